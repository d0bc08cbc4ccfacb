"""A client of the live stream: what a browser's EventSource does, with a socket that the test holds."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Self


class Message(NamedTuple):
    kind: str
    data: dict[str, Any]
    id: str


class Listener:
    """Reads messages one by one; a context manager. `comments` counts the lines that are none."""

    def __init__(
        self,
        port: int,
        path: str = "/api/v1/events",
        headers: str = "",
        receive_bytes: int = 0,
        through: Callable[[socket.socket], io.RawIOBase] | None = None,
    ) -> None:
        self._socket = socket.socket()
        if receive_bytes:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self._socket.settimeout(10)
        self._socket.connect(("127.0.0.1", port))
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())
        self._file = io.BufferedReader(through(self._socket)) if through else self._socket.makefile("rb")
        self.comments = 0
        self.id = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def head(self) -> tuple[int, dict[str, str]]:
        status = int(self._file.readline().split()[1])
        headers = {}
        while line := self._file.readline().decode().strip():
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        return status, headers

    def _lines(self) -> Iterator[bytes]:
        """The body's lines; it comes in chunks, which may end within one."""
        begun = b""
        while size := int(self._file.readline(), 16):
            *lines, begun = (begun + self._file.read(size)).split(b"\n")
            yield from lines
            self._file.readline()

    def messages(self) -> Iterator[Message]:
        """After `head`; ends with the stream."""
        fields: dict[str, str] = {}
        for line in self._lines():
            name, _, value = line.decode().partition(":")
            if line and not name:
                self.comments += 1
            elif name:
                fields[name] = value.strip()
            elif "data" in fields:
                self.id = fields.get("id", self.id)
                yield Message(fields["event"], json.loads(fields["data"]), self.id)
                fields = {}

    def until(self, kind: str) -> Message:
        """The next of this kind. The generator is left behind: no message is read ahead."""
        return next(message for message in self._following() if message.kind == kind)

    def _following(self) -> Iterator[Message]:
        if not hasattr(self, "_generator"):
            assert self.head()[0] == 200
            self._generator = self.messages()
        return self._generator
