"""ICMP echo packets, a whole batch at a time (RFC 792, RFC 4443; the checksum is RFC 1071's).

A request carries an 8-byte cookie as the start of its payload and zeros behind it. Received packets land in
fixed-width rows; `layout()` says where the fields of a row are, so that a batch parses as array columns.
"""

from __future__ import annotations

import socket
from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]

ICMP_HEADER = 8
COOKIE_BYTES = 8
#: Bytes kept of a received packet: the longest IPv4 header, an ICMP error, and the request quoted in it.
ROW_BYTES = 192

ECHO_REQUEST: dict[int, int] = {socket.AF_INET: 8, socket.AF_INET6: 128}
ECHO_REPLY: dict[int, int] = {socket.AF_INET: 0, socket.AF_INET6: 129}
PROTOCOL: dict[int, int] = {socket.AF_INET: socket.IPPROTO_ICMP, socket.AF_INET6: socket.IPPROTO_ICMPV6}

#: Why a probe got no reply; a column of these is one byte a device, and index 0 means no reason.
REASONS = (
    "",
    "timeout",
    "net_unreachable",
    "host_unreachable",
    "admin_prohibited",
    "port_unreachable",
    "protocol_unreachable",
    "fragmentation_needed",
    "ttl_exceeded",
    "parameter_problem",
    "unreachable",
    "send_error",
    "dns",
)
REASON = {name: code for code, name in enumerate(REASONS)}

_DESTINATION_UNREACHABLE = {
    0: "net_unreachable",
    1: "host_unreachable",
    2: "protocol_unreachable",
    3: "port_unreachable",
    4: "fragmentation_needed",
    6: "net_unreachable",
    7: "host_unreachable",
    9: "admin_prohibited",
    10: "admin_prohibited",
    11: "net_unreachable",
    12: "host_unreachable",
    13: "admin_prohibited",
}
_DESTINATION_UNREACHABLE_V6 = {
    0: "net_unreachable",
    1: "admin_prohibited",
    2: "net_unreachable",
    3: "host_unreachable",
    4: "port_unreachable",
    5: "admin_prohibited",
    6: "net_unreachable",
}


def _reason_table(unreachable: int, codes: dict[int, str], others: dict[int, str]) -> Bytes:
    table = np.zeros((256, 256), np.uint8)
    table[unreachable] = REASON["unreachable"]
    for code, name in codes.items():
        table[unreachable, code] = REASON[name]
    for kind, name in others.items():
        table[kind] = REASON[name]
    return table


#: `ERROR_REASONS[family][type, code]` is an index into REASONS, 0 for what is no error about a request.
ERROR_REASONS: dict[int, Bytes] = {
    socket.AF_INET: _reason_table(3, _DESTINATION_UNREACHABLE, {11: "ttl_exceeded", 12: "parameter_problem"}),
    socket.AF_INET6: _reason_table(
        1,
        _DESTINATION_UNREACHABLE_V6,
        {2: "fragmentation_needed", 3: "ttl_exceeded", 4: "parameter_problem"},
    ),
}


class RequestBuffer:
    """Memory for `capacity` echo requests of one family; the part that never changes is written once."""

    def __init__(self, family: int, capacity: int, payload_bytes: int) -> None:
        self.rows: Bytes = np.zeros((capacity, ICMP_HEADER + payload_bytes), np.uint8)
        self.rows[:, 0] = ECHO_REQUEST[family]
        # The kernel fills in ICMPv6 checksums itself, for they cover the IPv6 source address.
        self._checksummed = family == socket.AF_INET
        self._words = self.rows[:, :16].view(np.uint16)
        self._ident = self.rows[:, 4:6].view(">u2")[:, 0]
        self._sequence = self.rows[:, 6:8].view(">u2")[:, 0]
        self._cookie = self.rows[:, 8:16].view(np.uint64)[:, 0]

    def fill(self, idents: npt.NDArray[Any], sequences: npt.NDArray[Any], cookies: npt.NDArray[np.uint64]) -> None:
        """Write the first `len(idents)` requests."""
        count = len(idents)
        self._ident[:count] = idents
        self._sequence[:count] = sequences
        self._cookie[:count] = cookies
        if self._checksummed:
            words = self._words[:count]
            words[:, 1] = 0
            words[:, 1] = checksum(words)


def checksum(words: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
    """The Internet checksum of each row of 16-bit words, in the words' own byte order (RFC 1071, 2B)."""
    total = words.sum(axis=1, dtype=np.uint32)
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    folded: npt.NDArray[np.uint16] = (~total).astype(np.uint16)
    return folded


def layout(family: int, ip_header: bool) -> np.dtype[Any]:
    """Where the fields of a received packet stand in its row of ROW_BYTES.

    Only a raw IPv4 socket delivers the IP header (ip(7), ipv6(7)); rows whose header has options are
    brought to 20 bytes by `strip_options` and `strip_quoted_options` first. `quoted_*` is the request inside an
    ICMP error.
    """
    start = 20 if ip_header else 0
    inner = start + ICMP_HEADER
    fields: list[tuple[str, str, int]] = [
        ("type", "u1", start),
        ("code", "u1", start + 1),
        ("ident", ">u2", start + 4),
        ("sequence", ">u2", start + 6),
        ("cookie", "u8", start + 8),
    ]
    if family == socket.AF_INET:
        request = inner + 20
        fields += [
            ("ttl", "u1", 8),
            ("source", ">u4", 12),
            ("quoted_protocol", "u1", inner + 9),
            ("quoted_low", ">u4", inner + 16),
        ]
    else:
        request = inner + 40
        fields += [
            ("quoted_protocol", "u1", inner + 6),
            ("quoted_high", ">u8", inner + 24),
            ("quoted_low", ">u8", inner + 32),
        ]
    fields += [
        ("quoted_type", "u1", request),
        ("quoted_ident", ">u2", request + 4),
        ("quoted_sequence", ">u2", request + 6),
        ("quoted_cookie", "u8", request + 8),
    ]
    return np.dtype(
        {
            "names": [name for name, _, _ in fields],
            "formats": [kind for _, kind, _ in fields],
            "offsets": [offset for _, _, offset in fields],
            "itemsize": ROW_BYTES,
        }
    )


def quoted_end(family: int, ip_header: bool) -> int:
    """How many bytes an ICMP error needs to hold the whole ICMP header of the request that it quotes."""
    return (20 if ip_header else 0) + ICMP_HEADER + (20 if family == socket.AF_INET else 40) + ICMP_HEADER


def strip_options(rows: Bytes, lengths: npt.NDArray[Any]) -> None:
    """Cut IPv4 options out of the outer headers of raw packets, in place."""
    _strip(rows, lengths, 0, (rows[:, 0] & 0x0F).astype(np.int64) * 4)


def strip_quoted_options(rows: Bytes, lengths: npt.NDArray[Any]) -> None:
    """The same for the headers that ICMP errors quote; the errors' own checksums fit no longer."""
    header = (rows[:, 28] & 0x0F).astype(np.int64) * 4
    header[ERROR_REASONS[socket.AF_INET][rows[:, 20], rows[:, 21]] == 0] = 20
    _strip(rows, lengths, 28, header)


def _strip(rows: Bytes, lengths: npt.NDArray[Any], at: int, header: npt.NDArray[np.int64]) -> None:
    for row in np.flatnonzero(header != 20):
        extra = int(header[row]) - 20
        if extra < 0:
            rows[row, 20] = 255  # a header shorter than a header: no type that anything is matched to
            continue
        rows[row, at + 20 : ROW_BYTES - extra] = rows[row, at + 20 + extra :].copy()
        rows[row, at] = (int(rows[row, at]) & 0xF0) | 5
        lengths[row] = max(0, int(lengths[row]) - extra)
