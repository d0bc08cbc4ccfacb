"""Packets as a socket delivers them, in arrays that are full of an earlier packet's bytes."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import ip_address

import numpy as np

from exporter.icmp.arrivals import Arrivals, Parser
from exporter.icmp.channel import RECEIVE_CONTROL, SO_TIMESTAMPING
from exporter.icmp.packet import ROW_BYTES
from tests.simnet import packets

STALE = 0xAA
HERE: dict[int, str] = {socket.AF_INET: "10.255.255.254", socket.AF_INET6: "fd00:ffff::fe"}
THERE: dict[int, str] = {socket.AF_INET: "10.1.2.3", socket.AF_INET6: "fd00::1:2:3"}
FAMILIES = (socket.AF_INET, socket.AF_INET6)


def request(
    family: int, ident: int = 0x1234, sequence: int = 7, cookie: bytes = b"8 bytes!", payload: int = 56
) -> bytes:
    """An echo request with its IP header, as it was sent from HERE to THERE."""
    message = bytes((8 if family == socket.AF_INET else 128, 0, 0, 0))
    message += ident.to_bytes(2, "big") + sequence.to_bytes(2, "big") + cookie.ljust(payload, b"\0")
    version = 4 if family == socket.AF_INET else 6
    here, there = ip_address(HERE[family]).packed, ip_address(THERE[family]).packed
    return packets.datagram(version, here, there, message, 64, 0, False)


def reply(asked: bytes, options: bool = False, ttl: int = 61) -> bytes:
    """The honest answer, with its IP header."""
    if asked[0] >> 4 == 4:
        return packets.datagram(4, asked[16:20], asked[12:16], b"\0" + asked[21:], ttl, 0, options)
    return packets.datagram(6, asked[24:40], asked[8:24], b"\x81" + asked[41:], ttl, 0, options)


def error(asked: bytes, kind: str, quoted_bytes: int = 520, options: bool = False) -> bytes:
    """A router's error; `options` are in the quoted IPv4 header."""
    if options:
        body = asked[20:]
        asked = packets.datagram(4, asked[12:16], asked[16:20], body, asked[8], 0, True)
        quoted_bytes += 8
    return packets.error(asked, kind, 1400, quoted_bytes)


def parse(
    family: int, whole: Sequence[bytes], raw: bool = True, stamps: Sequence[int] | None = None, hops: int = 57
) -> Arrivals:
    """Let the parser have IP packets the way a socket of this kind delivers them."""
    count = len(whole)
    rows = np.full((count, ROW_BYTES), STALE, np.uint8)
    lengths = np.zeros(count, np.uint32)
    names = np.full((count, 28), STALE, np.uint8)
    controls = np.zeros(count, RECEIVE_CONTROL)
    for row, data in enumerate(whole):
        if family == socket.AF_INET6:
            names[row, 8:24] = np.frombuffer(data[8:24].ljust(16, b"\0"), np.uint8)
            start = 40 + (8 if data[6] == 0 else 0)
        else:
            names[row, 4:8] = np.frombuffer(data[12:16].ljust(4, b"\0"), np.uint8)
            start = 0 if raw else 4 * (data[0] & 15)
        delivered = data[start : start + ROW_BYTES]
        rows[row, : len(delivered)] = np.frombuffer(delivered, np.uint8)
        lengths[row] = len(delivered)
        if stamps is None or stamps[row]:
            seconds, nanoseconds = divmod(1 if stamps is None else stamps[row], 1_000_000_000)
            controls[row] = (socket.SOL_SOCKET, SO_TIMESTAMPING, seconds, nanoseconds, hops)
    return Parser(family, raw).parse(rows, lengths, names, controls)
