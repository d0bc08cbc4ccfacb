"""Names by DNS: only where they are asked for, for that sends to name servers."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping

#: Seconds for all names together.
LOOKUP_TIME = 15.0
_THREADS = 32


def names(addresses: Iterable[str]) -> Mapping[str, str]:
    """What DNS calls these addresses, of those that it has a name for."""
    return _look_up(addresses, _name)


def addresses(hosts: Iterable[str]) -> Mapping[str, str]:
    """The first address of these host names, of those that have one."""
    return _look_up(hosts, _address)


def _name(address: str) -> str:
    return socket.getnameinfo((address, 0), socket.NI_NAMEREQD)[0]


def _address(host: str) -> str:
    return str(socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)[0][4][0])


def _look_up(asked: Iterable[str], how: Callable[[str], str]) -> Mapping[str, str]:
    todo: queue.SimpleQueue[str] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
    every = list(dict.fromkeys(asked))
    for one in every:
        todo.put(one)

    def work() -> None:
        while True:
            try:
                one = todo.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((one, how(one)))
            except (OSError, UnicodeError):
                done.put((one, ""))

    # Daemon threads: a resolver that hangs must not hold the end of the program.
    for _ in range(min(_THREADS, len(every))):
        threading.Thread(target=work, daemon=True).start()
    found: dict[str, str] = {}
    end = time.monotonic() + LOOKUP_TIME
    for _ in every:
        try:
            one, answer = done.get(timeout=max(end - time.monotonic(), 0.001))
        except queue.Empty:
            break
        if answer:
            found[one] = answer
    return found
