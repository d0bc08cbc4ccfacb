"""ICMP through icmplib, for machines without sendmmsg and recvmmsg (macOS): a system call and more a packet.

icmplib does not hand out the payload of a reply, so the cookie cannot be compared here: identifier, sequence and
source address must do. Nor does it tell which request an ICMP error quotes, so such a probe times out. There are no
kernel stamps and no counts of dropped packets.
"""

from __future__ import annotations

import errno
import secrets
import select
import socket
import sys

import icmplib
import icmplib.sockets
import numpy as np
import numpy.typing as npt

from exporter.errors import SocketPermissionError
from exporter.icmp.arrivals import Arrivals, words
from exporter.icmp.packet import ECHO_REPLY
from exporter.icmp.transport import BATCH, NO_BLOCK, Batch, Ints, Sent


class IcmplibTransport:
    """A Transport over one icmplib socket. Raises SocketPermissionError."""

    def __init__(self, family: int, blocks: int) -> None:
        self.family = family
        self.kind = "icmplib"
        self.block_of = np.full(65_536, NO_BLOCK, np.uint8)
        self._blocks = blocks
        self._current = np.zeros(0, np.uint16)
        kind = icmplib.ICMPv4Socket if family == socket.AF_INET else icmplib.ICMPv6Socket
        try:
            # macOS leaves the identifier of a datagram socket to the sender; Linux would set its own.
            self._socket = kind(None, privileged=sys.platform == "linux")
        except icmplib.exceptions.SocketPermissionError as error:
            raise SocketPermissionError(str(error)) from error
        self.rotate()

    def idents(self, blocks: Ints) -> npt.NDArray[np.uint16]:
        return self._current[blocks]

    def rotate(self) -> None:
        former = self._current
        fresh: list[int] = []
        while len(fresh) < self._blocks:
            ident = secrets.randbelow(65_536)
            if ident not in former and ident not in fresh:
                fresh.append(ident)
        self._current = np.array(fresh, np.uint16)
        self.block_of[:] = NO_BLOCK
        self.block_of[former] = np.arange(len(former))
        self.block_of[self._current] = np.arange(self._blocks)

    def resize(self, blocks: int, receive_bytes: int) -> None:
        self._blocks, self._current = blocks, np.zeros(0, np.uint16)
        self.rotate()

    def send(self, batch: Batch) -> Sent:
        refused: list[tuple[int, int]] = []
        slots = batch.slots[:BATCH]
        profile = batch.profile
        for position, slot in enumerate(slots.tolist()):
            request = icmplib.ICMPRequest(
                destination=batch.destination(position),
                id=int(self._current[slot >> 16]),
                sequence=slot & 0xFFFF,
                payload=batch.cookies[position].tobytes().ljust(profile.payload_bytes, b"\0"),
                traffic_class=profile.dscp << 2,
            )
            try:
                self._socket.send(request)
            except icmplib.exceptions.ICMPSocketError as error:
                # icmplib keeps the OSError only as the cause in whose handling it raised its own.
                cause = error.__context__
                code = (cause.errno if isinstance(cause, OSError) else None) or errno.EIO
                if code in (errno.ENOBUFS, errno.EAGAIN):
                    return Sent(position, refused, code)
                refused.append((position, code))
        return Sent(len(slots), refused, 0)

    def receive(self) -> list[Arrivals]:
        replies = []
        while select.select([self._socket.sock], [], [], 0)[0]:
            try:
                replies.append(self._socket.receive(timeout=1))
            except icmplib.exceptions.ICMPLibError:
                break
        replies = [reply for reply in replies if reply.type == ECHO_REPLY[self.family]]
        if not replies:
            return []
        count = len(replies)
        addresses = [words(socket.inet_pton(self.family, reply.source.partition("%")[0])) for reply in replies]
        return [
            Arrivals(
                np.zeros(count, np.uint8),
                np.array([reply.id for reply in replies], np.uint16),
                np.array([reply.sequence for reply in replies], np.uint16),
                np.zeros(count, np.uint64),
                np.zeros(count, np.bool_),
                np.array([high for high, _ in addresses], np.uint64),
                np.array([low for _, low in addresses], np.uint64),
                np.zeros(count, np.uint8),
                np.array([int(reply.time * 1e9) for reply in replies], np.int64),
            )
        ]

    def transmit_stamps(self) -> tuple[Ints, Ints]:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)

    def drops(self) -> int:
        return 0

    def close(self) -> None:
        self._socket.close()
