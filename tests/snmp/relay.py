"""A relay between a client and a real agent, that can drop, change and invent what goes through."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from typing import Self

#: Takes a request and its answer, and gives what the client gets.
Tamper = Callable[[bytes, bytes], Sequence[bytes]]


class Relay:
    """A port of loopback behind which an agent's `port` is, as `tamper` lets it be seen; it runs in a thread."""

    def __init__(self, port: int, tamper: Tamper) -> None:
        self._tamper = tamper
        self.answers: list[bytes] = []
        self._front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._front.bind(("127.0.0.1", 0))
        self.port: int = self._front.getsockname()[1]
        self._back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._back.connect(("127.0.0.1", port))
        self._back.settimeout(5)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
            end.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._front.close()
        self._back.close()

    def _run(self) -> None:
        while True:
            request, client = self._front.recvfrom(65_535)
            if not request:
                return
            self._back.send(request)
            self.answers.append(self._back.recv(65_535))
            for answer in self._tamper(request, self.answers[-1]):
                self._front.sendto(answer, client)
