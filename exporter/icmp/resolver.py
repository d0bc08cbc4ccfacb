"""Host names to addresses, off the probe loop, again and again."""

from __future__ import annotations

import logging
import queue
import socket
import threading
from collections.abc import Callable, Iterable

log = logging.getLogger(__name__)

_WORKERS = 8
#: A name without an address is asked for again this soon.
_RETRY_SECONDS = 30.0


class Resolver:
    """Calls `found(host, address)` from its threads, with None for a name that has no address."""

    def __init__(self, found: Callable[[str, str | None], None]) -> None:
        self._found = found
        self._hosts: frozenset[str] = frozenset()
        self._every = 300.0
        self._wake = threading.Event()
        #: The last address of each host that has one.
        self.known: dict[str, str] = {}
        self.failed: set[str] = set()

    def start(self) -> None:
        """Start the threads; they are daemons, for getaddrinfo(3) cannot be interrupted."""
        threading.Thread(target=self._run, name="resolver", daemon=True).start()

    def watch(self, hosts: Iterable[str], every: float) -> None:
        """From now on these hosts, each every so many seconds."""
        self._hosts, self._every = frozenset(hosts), every
        self.failed &= self._hosts
        self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.clear()
            self._resolve_all(self._hosts)
            pause = min(_RETRY_SECONDS, self._every) if self.failed else self._every
            while not self._wake.wait(pause) and self.failed:
                # Between two full rounds, only the names that had no answer.
                self._resolve_all(self._hosts & self.failed)
                pause = min(_RETRY_SECONDS, self._every)

    def _resolve_all(self, hosts: Iterable[str]) -> None:
        waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        for host in hosts:
            waiting.put(host)
        workers = [
            threading.Thread(target=self._work, args=(waiting,), name="resolver-worker", daemon=True)
            for _ in range(min(_WORKERS, waiting.qsize()))
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    def _work(self, waiting: queue.SimpleQueue[str]) -> None:
        while True:
            try:
                host = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                address = _lookup(host, self.known.get(host, ""))
            except (OSError, ValueError) as error:  # ValueError: a name that the idna codec refuses
                if host in self._hosts:
                    if host not in self.failed:
                        log.warning("%s does not resolve: %s", host, error)
                    self.failed.add(host)
                self._found(host, None)
                continue
            self.failed.discard(host)
            self.known[host] = address
            self._found(host, address)


def _lookup(host: str, former: str) -> str:
    """The host's first address, or the former one while it is among them. Raises OSError, ValueError.

    An address with a zone (RFC 4007) means something on one link only; such are not probed.
    """
    answers = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    addresses = [str(answer[4][0]) for answer in answers]
    addresses = [address for address in addresses if "%" not in address]
    if not addresses:
        raise OSError("it has nothing but link-local addresses")
    return former if former in addresses else addresses[0]
