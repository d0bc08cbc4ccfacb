"""ICMP through icmplib, for machines without sendmmsg and recvmmsg (macOS): system calls for each packet.

icmplib opens the socket and sends. It hands out no payload of what it receives, so packets are read off its socket
here, with their receive stamps (SO_TIMESTAMP), and parsed like any others. Transmit stamps are icmplib's, from just
before each send. There are no counts of dropped packets, and what asks for don't-fragment or for a source address
is refused.
"""

from __future__ import annotations

import errno
import secrets
import socket
import struct
import sys

import icmplib
import numpy as np
import numpy.typing as npt

from exporter.errors import SocketPermissionError
from exporter.icmp.arrivals import Arrivals, Parser
from exporter.icmp.channel import BUSY, RECEIVE_CONTROL, SO_TIMESTAMPING
from exporter.icmp.packet import ECHO_REQUEST, ROW_BYTES
from exporter.icmp.transport import BATCH, NO_BLOCK, Batch, Ints, Sent

#: SO_TIMESTAMP and the control message that it brings, SCM_TIMESTAMP: a struct timeval.
_SO_TIMESTAMP, _SCM_TIMESTAMP = (29, 29) if sys.platform == "linux" else (0x0400, 0x02)


class IcmplibTransport:
    """A Transport over one icmplib socket. Raises SocketPermissionError, OSError."""

    def __init__(self, family: int, blocks: int, receive_bytes: int) -> None:
        self.family = family
        self.kind = "icmplib"
        self.block_of = np.full(65_536, NO_BLOCK, np.uint8)
        self._blocks = blocks
        self._current = np.zeros(0, np.uint16)
        self._sent: list[tuple[int, int]] = []
        # Raw sockets of Linux deliver the IPv4 header, and datagram sockets of macOS do too.
        self._parser = Parser(family, True)
        self._type_at = 20 if family == socket.AF_INET else 0
        self._request_type = bytes((ECHO_REQUEST[family],))
        kind = icmplib.ICMPv4Socket if family == socket.AF_INET else icmplib.ICMPv6Socket
        try:
            # macOS leaves the identifier of a datagram socket to the sender; Linux would set its own.
            self._socket = kind(None, privileged=sys.platform == "linux")
        except icmplib.SocketPermissionError as error:
            raise SocketPermissionError(str(error)) from error
        except icmplib.ICMPSocketError as error:
            raise OSError(_errno(error), str(error)) from error
        self._socket.blocking = False
        self._socket.sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMP, 1)
        self._set_buffer(receive_bytes)
        self.rotate()

    def _set_buffer(self, receive_bytes: int) -> int:
        """The largest receive buffer up to that size: macOS refuses more than its limit, Linux cuts it down, and
        tells it doubled."""
        while receive_bytes > 65_536:
            try:
                self._socket.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            except OSError:
                receive_bytes //= 2
            else:
                break
        granted: int = self._socket.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        return granted // 2 if sys.platform == "linux" else granted

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

    def resize(self, blocks: int, receive_bytes: int) -> int:
        granted = self._set_buffer(receive_bytes)
        if blocks != self._blocks:
            self._blocks, self._current = blocks, np.zeros(0, np.uint16)
            self.rotate()
        return granted

    def send(self, batch: Batch) -> Sent:
        refused: list[tuple[int, int]] = []
        slots = batch.slots[:BATCH]
        profile = batch.profile
        if profile.source or profile.dont_fragment:
            return Sent(len(slots), [(position, errno.EOPNOTSUPP) for position in range(len(slots))], 0)
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
            except icmplib.ICMPSocketError as error:
                code = _errno(error)
                if code in BUSY:
                    return Sent(position, refused, code)
                refused.append((position, code))
            else:
                self._sent.append((slot, int(request.time * 1e9)))
        return Sent(len(slots), refused, 0)

    def receive(self) -> list[Arrivals]:
        arrivals: list[Arrivals] = []
        while packets := self._read():
            count = len(packets)
            rows = np.zeros((count, ROW_BYTES), np.uint8)
            names = np.zeros((count, 28), np.uint8)
            controls = np.zeros(count, RECEIVE_CONTROL)
            for row, (data, stamp, source) in enumerate(packets):
                rows[row, : len(data)] = np.frombuffer(data, np.uint8)
                if self.family == socket.AF_INET6:
                    packed = socket.inet_pton(self.family, source.partition("%")[0])
                    names[row, 8:24] = np.frombuffer(packed, np.uint8)
                if stamp is not None:
                    seconds, nanoseconds = stamp
                    controls[row] = (socket.SOL_SOCKET, SO_TIMESTAMPING, seconds, nanoseconds, 0)
            lengths = np.array([len(data) for data, _, _ in packets], np.uint32)
            arrivals.append(self._parser.parse(rows, lengths, names, controls))
        return arrivals

    def _read(self) -> list[tuple[bytes, tuple[int, int] | None, str]]:
        """Up to BATCH packets: what fits a row, the receive stamp in s and ns, the source."""
        packets: list[tuple[bytes, tuple[int, int] | None, str]] = []
        while len(packets) < BATCH:
            try:
                data, messages, _, address = self._socket.sock.recvmsg(ROW_BYTES, 64)
            except BlockingIOError:
                break
            # A raw socket hears the requests to this machine too.
            if data[self._type_at : self._type_at + 1] == self._request_type:
                continue
            stamp = None
            for level, kind, value in messages:
                if (level, kind) == (socket.SOL_SOCKET, _SCM_TIMESTAMP) and len(value) >= 12:
                    seconds, microseconds = struct.unpack_from("=qi", value)
                    stamp = seconds, microseconds * 1000
            packets.append((data, stamp, address[0]))
        return packets

    def transmit_stamps(self) -> tuple[Ints, Ints]:
        sent = np.array(self._sent, np.int64).reshape(-1, 2)
        self._sent = []
        return sent[:, 0], sent[:, 1]

    def drops(self) -> int:
        return 0

    def close(self) -> None:
        self._socket.close()


def _errno(error: icmplib.ICMPSocketError) -> int:
    """icmplib keeps the OSError only as the cause in whose handling it raised its own."""
    cause = error.__context__
    return (cause.errno if isinstance(cause, OSError) else None) or errno.EIO
