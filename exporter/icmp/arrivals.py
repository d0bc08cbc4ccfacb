"""Received packets as array columns: echo replies, and ICMP errors that quote a request of ours."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from exporter.icmp import packet
from exporter.icmp.channel import SO_TIMESTAMPING, QueuedError

Words = npt.NDArray[np.uint64]

_V4_MAPPED = 0xFFFF_0000_0000


class Arrivals(NamedTuple):
    """Parsed packets; one array element a packet.

    `reason` is 0 for a reply, else an index into `packet.REASONS`; `high` and `low` are the source of a reply or
    the quoted destination of an error, IPv4 as mapped IPv6; `cookie_known` is False where an error quotes too
    little of the request; `ttl` is 0 where it is not known; `stamp` is CLOCK_REALTIME in ns, 0 where there is none.
    """

    reason: npt.NDArray[np.uint8]
    ident: npt.NDArray[np.uint16]
    sequence: npt.NDArray[np.uint16]
    cookie: Words
    cookie_known: npt.NDArray[np.bool_]
    high: Words
    low: Words
    ttl: npt.NDArray[np.uint8]
    stamp: npt.NDArray[np.int64]


class Parser:
    """Reads what a raw or datagram socket of one family delivers."""

    def __init__(self, family: int, raw: bool) -> None:
        self._family = family
        self._ip_header = raw and family == socket.AF_INET
        self._layout = packet.layout(family, self._ip_header)
        self._reply_type = packet.ECHO_REPLY[family]
        self._reply_end = (20 if self._ip_header else 0) + packet.ICMP_HEADER + packet.COOKIE_BYTES
        self._quoted_end = packet.quoted_end(family, self._ip_header)

    def parse(
        self,
        rows: npt.NDArray[np.uint8],
        lengths: npt.NDArray[np.uint32],
        names: npt.NDArray[np.uint8],
        controls: npt.NDArray[Any],
    ) -> Arrivals:
        """Packets as they lie in a Receiver's memory; the result does not refer to that memory."""
        count = len(rows)
        intact = self._open(rows, lengths) if self._ip_header else np.ones(count, np.bool_)
        fields = rows.view(self._layout)[:, 0]
        stamped = (controls["level"] == socket.SOL_SOCKET) & (controls["type"] == SO_TIMESTAMPING)
        stamp = np.where(stamped, controls["seconds"] * 1_000_000_000 + controls["nanoseconds"], 0)
        ttl = fields["ttl"] if self._ip_header else np.where(stamped, controls["ttl"], 0)
        high, low = self._sources(fields, names)
        reply = (fields["type"] == self._reply_type) & (lengths >= self._reply_end) & intact
        if reply.all():
            return Arrivals(
                np.zeros(count, np.uint8),
                fields["ident"].astype(np.uint16),
                fields["sequence"].astype(np.uint16),
                fields["cookie"].copy(),
                np.ones(count, np.bool_),
                high,
                low,
                ttl.astype(np.uint8),
                stamp,
            )
        reason = packet.ERROR_REASONS[self._family][fields["type"], fields["code"]]
        error = (
            (reason > 0)
            & intact
            & (lengths >= self._quoted_end)
            & (fields["quoted_protocol"] == packet.PROTOCOL[self._family])
            & (fields["quoted_type"] == packet.ECHO_REQUEST[self._family])
        )
        if self._family == socket.AF_INET:
            quoted_high = np.zeros(count, np.uint64)
            quoted_low = fields["quoted_low"].astype(np.uint64) | np.uint64(_V4_MAPPED)
        else:
            quoted_high = fields["quoted_high"].astype(np.uint64)
            quoted_low = fields["quoted_low"].astype(np.uint64)
        # What is neither a whole reply nor a whole error keeps the cookie 0 and fits no probe.
        return Arrivals(
            np.where(error, reason, 0).astype(np.uint8),
            np.where(error, fields["quoted_ident"], fields["ident"]).astype(np.uint16),
            np.where(error, fields["quoted_sequence"], fields["sequence"]).astype(np.uint16),
            np.where(error, fields["quoted_cookie"], np.where(reply, fields["cookie"], 0)),
            ~error | (lengths >= self._quoted_end + packet.COOKIE_BYTES),
            np.where(error, quoted_high, high),
            np.where(error, quoted_low, low),
            ttl.astype(np.uint8),
            stamp,
        )

    @staticmethod
    def _open(rows: npt.NDArray[np.uint8], lengths: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
        """Bring IPv4 headers to 20 bytes; returns which packets have arrived intact."""
        # What fills its row has been cut off at the row's end, and nobody can tell: its cookie must do.
        whole = lengths < packet.ROW_BYTES
        plain = bool((rows[:, 0] == 0x45).all())
        if not plain:
            packet.strip_options(rows, lengths)
        intact = _intact(rows, lengths) | ~whole
        if not plain or rows[:, 20].any():
            packet.strip_quoted_options(rows, lengths)
        return intact

    def _sources(self, fields: npt.NDArray[Any], names: npt.NDArray[np.uint8]) -> tuple[Words, Words]:
        if self._family == socket.AF_INET:
            source = fields["source"] if self._ip_header else names[:, 4:8].copy().view(">u4")[:, 0]
            return np.zeros(len(names), np.uint64), source.astype(np.uint64) | np.uint64(_V4_MAPPED)
        address = names[:, 8:24].copy().view(">u8").astype(np.uint64)
        return address[:, 0], address[:, 1]

    def parse_queued(self, queued: Sequence[QueuedError]) -> Arrivals:
        """ICMP errors off the error queue of a datagram socket."""
        table = packet.ERROR_REASONS[self._family]
        # Redirects and source quenches come the same way, and end no wait.
        whole = [
            error
            for error in queued
            if len(error.quoted) >= packet.ICMP_HEADER and table[error.type, error.code] > 0
        ]
        headers = [struct.unpack_from("!HH", error.quoted, 4) for error in whole]
        cookies = [error.quoted[8:16].ljust(8, b"\0") for error in whole]
        destinations = [words(error.destination) for error in whole]
        return Arrivals(
            np.array([table[error.type, error.code] for error in whole], np.uint8),
            np.array([ident for ident, _ in headers], np.uint16),
            np.array([sequence for _, sequence in headers], np.uint16),
            np.frombuffer(b"".join(cookies), np.uint64),
            np.array([len(error.quoted) >= 16 for error in whole], np.bool_),
            np.array([high for high, _ in destinations], np.uint64),
            np.array([low for _, low in destinations], np.uint64),
            np.zeros(len(whole), np.uint8),
            np.zeros(len(whole), np.int64),
        )


def _intact(rows: npt.NDArray[np.uint8], lengths: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    """Whether the ICMP checksums are right: a raw IPv4 socket gets packets before the kernel has looked at them."""
    intact = np.zeros(len(rows), np.bool_)
    for length in set(lengths.tolist()):
        if length < 20 + packet.ICMP_HEADER:
            continue
        same = lengths == length
        odd = length % 2
        body = np.ascontiguousarray(rows[same, 20 : length + odd])
        if odd:
            body[:, -1] = 0  # RFC 1071: an odd last byte counts as if a zero followed
        intact[same] = packet.checksum(body.view(np.uint16)) == 0
    return intact


def words(address: bytes) -> tuple[int, int]:
    """A packed address as the two halves of an IPv6 one; IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2)."""
    if len(address) == 4:
        return 0, _V4_MAPPED | int.from_bytes(address, "big")
    return int.from_bytes(address[:8], "big"), int.from_bytes(address[8:], "big")
