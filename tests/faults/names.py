"""A DNS server inside the simulated network, and the resolv.conf that leads an exporter to it."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.simnet import Simnet

_A = 1


def resolver(folder: Path) -> str:
    """For Mounts: names are asked of 127.0.0.1, once and for a second."""
    conf = folder / "resolv.conf"
    conf.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    return f"mount --bind {conf} /etc/resolv.conf"


class NameServer:
    """Answers questions for A by `zone`, and NXDOMAIN to all else, from its start to its end."""

    def __init__(self, net: Simnet, zone: Mapping[str, str]) -> None:
        self.zone = dict(zone)
        self._net = net

    def __enter__(self) -> Self:
        self._socket = self._net.inside(socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 53))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Nothing at all is the end; closing alone would not wake the thread.
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            question, client = self._socket.recvfrom(4096)
            if not question:
                return
            self._socket.sendto(answer(question, self.zone), client)


def answer(question: bytes, zone: Mapping[str, str]) -> bytes:
    """A reply to a query of one question (RFC 1035, 4.1)."""
    labels, at = [], 12
    while question[at]:
        labels.append(question[at + 1 : at + 1 + question[at]].decode())
        at += 1 + question[at]
    kind = int.from_bytes(question[at + 1 : at + 3], "big")
    address = zone.get(".".join(labels).lower(), "")
    found = address and kind == _A
    # A response, authoritative, with recursion; 3 is "no such name".
    flags = 0x8580 | (0 if address else 3)
    counts = (1).to_bytes(2, "big") + int(bool(found)).to_bytes(2, "big") + bytes(4)
    record = b""
    if found:
        packed = ipaddress.IPv4Address(address).packed
        record = b"\xc0\x0c\x00\x01\x00\x01" + (60).to_bytes(4, "big") + b"\x00\x04" + packed
    return question[:2] + flags.to_bytes(2, "big") + counts + question[12 : at + 5] + record
