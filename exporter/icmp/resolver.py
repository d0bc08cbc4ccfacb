"""Host names to addresses, off the probe loop, again and again."""

from __future__ import annotations

import logging
import math
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable

log = logging.getLogger(__name__)

_WORKERS = 8
#: A name without an address is asked for again this soon.
_RETRY_SECONDS = 30.0
#: A first answer that takes longer is taken for none, until it comes.
_PATIENCE_SECONDS = 10.0
_ROUND_SECONDS = 1.0


class Resolver:
    """Calls `found(host, address)` from its threads, with None for a name that has no address."""

    def __init__(self, found: Callable[[str, str | None], None]) -> None:
        self._found = found
        self._hosts: frozenset[str] = frozenset()
        self._every = 300.0
        self._wake = threading.Event()
        #: When each name is to be asked for again, and since when it is being asked for; monotonic seconds.
        self._due: dict[str, float] = {}
        self._asked: dict[str, float] = {}
        #: The last address of each host that has one.
        self.known: dict[str, str] = {}
        self.failed: set[str] = set()

    def start(self) -> None:
        """Start the threads; they are daemons, for getaddrinfo(3) cannot be interrupted."""
        threading.Thread(target=self._run, name="resolver", daemon=True).start()

    def watch(self, hosts: Iterable[str], every: float) -> None:
        """From now on these hosts, each at once and then every so many seconds."""
        self._hosts, self._every = frozenset(hosts), every
        self.failed &= self._hosts
        # All of them now: who reloads wants to see what the names say now.
        for host in self._hosts - self._asked.keys():
            self._due[host] = 0.0
        self._wake.set()

    def _run(self) -> None:
        """Hand out the names that are due, and give up the wait for those that have been asked for too long."""
        waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        workers = 0
        while True:
            self._wake.clear()
            now = time.monotonic()
            hosts = self._hosts
            for host in [host for host in hosts if self._due.get(host, 0.0) <= now]:
                self._due[host] = math.inf
                self._asked[host] = now
                waiting.put(host)
            for host, asked in list(self._asked.items()):
                if host in hosts and host not in self.known and now - asked > _PATIENCE_SECONDS:
                    self._give_up(host, "no answer yet")
            while workers < min(_WORKERS, len(hosts)):
                threading.Thread(target=self._work, args=(waiting,), name="resolver-worker", daemon=True).start()
                workers += 1
            pause = min([self._due.get(host, 0.0) for host in hosts], default=math.inf) - time.monotonic()
            self._wake.wait(min(_ROUND_SECONDS, max(pause, 0.01)) if hosts else None)

    def _work(self, waiting: queue.SimpleQueue[str]) -> None:
        while True:
            host = waiting.get()
            pause = self._every
            try:
                address = _lookup(host, self.known.get(host, ""))
            except (OSError, ValueError) as error:  # ValueError: a name that the idna codec refuses
                self._give_up(host, str(error))
                pause = min(_RETRY_SECONDS, pause)
            else:
                self.failed.discard(host)
                self.known[host] = address
                self._found(host, address)
            self._asked.pop(host, None)
            self._due[host] = time.monotonic() + pause
            self._wake.set()

    def _give_up(self, host: str, why: str) -> None:
        if host in self._hosts and host not in self.failed:
            log.warning("%s does not resolve: %s", host, why)
            self.failed.add(host)
        self._found(host, None)


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
