"""One kernel ICMP socket: its options, its transmit and receive stamps, and what it dropped.

Stamps are the kernel's software ones (Linux Documentation/networking/timestamping.rst): on transmit they come back
over the error queue with a key that counts the packets of the socket (OPT_ID) and without the packet (OPT_TSONLY);
on receive they come as control data. Both are nanoseconds of CLOCK_REALTIME.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from exporter.errors import SocketPermissionError
from exporter.icmp.mmsg import MSG_ERRQUEUE, Receiver

SO_TIMESTAMPING = 37
_SO_RCVBUFFORCE = 33
_SO_MEMINFO, _MEMINFO_WORDS, _MEMINFO_HELD, _MEMINFO_ROOM, _MEMINFO_DROPS = 55, 9, 0, 1, 8
_STAMPING = 0x2 | 0x8 | 0x10 | 0x80 | 0x800  # TX_SOFTWARE, RX_SOFTWARE, SOFTWARE, OPT_ID, OPT_TSONLY
_ORIGIN_TIMESTAMPING = 4
_ORIGIN_ICMP = 2, 3
#: In the control data of an ICMP error without a stamp.
_ORIGIN_AT = 20

_IP_RECVERR, _IP_RECVTTL, _IP_MTU_DISCOVER = 11, 12, 10
_IPV6_RECVERR, _IPV6_RECVHOPLIMIT, _IPV6_MTU_DISCOVER, _IPV6_DONTFRAG = 25, 51, 23, 62
_PMTUDISC_DONT, _PMTUDISC_PROBE = 0, 3
_SOL_RAW, _ICMP_FILTER = 255, 1
_ICMP6_FILTER = 1

STAMP_SPACE = 64  # CMSG_SPACE(3 * sizeof(struct timespec))

#: The control data of a received packet: the stamp first, then the TTL or hop limit where it was asked for.
RECEIVE_CONTROL = np.dtype(
    {
        "names": ["level", "type", "seconds", "nanoseconds", "ttl"],
        "formats": ["i4", "i4", "i8", "i8", "i4"],
        "offsets": [8, 12, 16, 24, STAMP_SPACE + 16],
        "itemsize": STAMP_SPACE + 32,
    }
)
#: The same on the error queue: the stamp (where it is one), then struct sock_extended_err.
_ERROR_CONTROL = np.dtype(
    {
        "names": ["level", "type", "seconds", "nanoseconds", "origin", "key"],
        "formats": ["i4", "i4", "i8", "i8", "u1", "u4"],
        "offsets": [8, 12, 16, 24, STAMP_SPACE + 20, STAMP_SPACE + 28],
        "itemsize": 192,
    }
)


class QueuedError(NamedTuple):
    """An ICMP error that a datagram socket keeps on its error queue (IP_RECVERR, ip(7))."""

    type: int
    code: int
    destination: bytes  # of the request, packed
    quoted: bytes  # the request, from its ICMP header on


class ErrorQueue:
    """Memory that error queues are read into; the sockets of one thread share it."""

    def __init__(self, capacity: int) -> None:
        self.receiver = Receiver(capacity, 64, 28, _ERROR_CONTROL.itemsize)
        self.controls: npt.NDArray[Any] = self.receiver.controls.view(_ERROR_CONTROL)[:, 0]


class Channel:
    """A non-blocking ICMP socket of one family. Raises SocketPermissionError, or OSError for anything else."""

    def __init__(self, family: int, raw: bool, receive_bytes: int, slots: int) -> None:
        self.family = family
        self.raw = raw
        protocol = socket.IPPROTO_ICMP if family == socket.AF_INET else socket.IPPROTO_ICMPV6
        try:
            self.sock = socket.socket(family, socket.SOCK_RAW if raw else socket.SOCK_DGRAM, protocol)
        except PermissionError as error:
            raise SocketPermissionError(str(error)) from error
        self.sock.setblocking(False)
        self.descriptor = self.sock.fileno()
        #: ICMP errors come over the error queue, and fail the next send or read whatever that is about.
        self.reports_errors = not raw or family == socket.AF_INET
        #: How many have come so.
        self.errors_told = 0
        #: Packets that were lost for want of buffer, as of the last `watch_buffer`.
        self.overflows = 0
        self._held = self._drops = 0
        self._keys = 0
        self._slot_of_key = np.zeros(slots, np.int64)
        self._dont_fragment = False
        try:
            self._set_options(receive_bytes)
        except BaseException:
            self.sock.close()
            raise

    def reserve(self, slots: int) -> None:
        """Make room for the stamps of as many probes as `slots`; those of probes under way are lost."""
        self.restart_keys()
        self._slot_of_key = np.zeros(slots, np.int64)

    def set_buffer(self, receive_bytes: int) -> int:
        """Ask for another receive buffer; the kernel grants what it allows: so many bytes."""
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, receive_bytes)
        except PermissionError:  # needs CAP_NET_ADMIN; without it net.core.rmem_max is the bound
            # What was granted before that capability was dropped may be more.
            if self._buffer() < receive_bytes:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        return self._buffer()

    def _buffer(self) -> int:
        return self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2  # the kernel tells it doubled

    def _set_options(self, receive_bytes: int) -> None:
        sock = self.sock
        self.set_buffer(receive_bytes)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, _STAMPING)
        if self.raw:
            self._filter_types()
        if self.family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_DONT)
            # On a raw socket too: without it, of IPv4, what a full queue has dropped counts as sent.
            sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
            if not self.raw:
                sock.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)
                sock.bind(("0.0.0.0", 0))
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVHOPLIMIT, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_DONT)
            if not self.raw:
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
                sock.bind(("::", 0))

    def _filter_types(self) -> None:
        """Refuse other ICMP types (icmp(7), RFC 3542 3.2) before the kernel copies a packet for the BPF filter."""
        if self.family == socket.AF_INET:
            blocked = 0xFFFF_FFFF & ~sum(1 << kind for kind in (0, 3, 11, 12))
            self.sock.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", blocked))
        else:
            words = [0xFFFF_FFFF] * 8
            for kind in (1, 2, 3, 4, 129):
                words[kind >> 5] &= ~(1 << (kind & 31))
            self.sock.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, struct.pack("=8I", *words))

    @property
    def ident(self) -> int:
        """The identifier that the kernel gives to each request of a datagram socket."""
        return int(self.sock.getsockname()[1])

    def set_dont_fragment(self, on: bool) -> None:
        if on == self._dont_fragment:
            return
        mode = _PMTUDISC_PROBE if on else _PMTUDISC_DONT
        if self.family == socket.AF_INET:
            self.sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, mode)
        else:
            self.sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, mode)
            self.sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_DONTFRAG, int(on))
        self._dont_fragment = on

    def sent(self, slots: npt.NDArray[np.int64]) -> None:
        """Remember which probes the next stamps belong to, in send order."""
        keys = (self._keys + np.arange(len(slots))) % len(self._slot_of_key)
        self._slot_of_key[keys] = slots
        self._keys += len(slots)

    def restart_keys(self) -> None:
        """Set the kernel's key to 0 again: whether a refused packet has used one up differs between kernels."""
        self.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, _STAMPING & ~0x80)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, _STAMPING)
        self._keys = 0

    def clear_error(self) -> int:
        """Take the pending error off the socket, which the next send or read would report as its own; 0: none."""
        return self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def watch_buffer(self) -> None:
        """Count what the receive buffer has lost; to be called before each time that it is emptied.

        SO_RXQ_OVFL tells the same, but only with a later packet: a buffer that overflowed and then fell silent
        would go unnoticed until after its probes had timed out. The kernel counts packets with a wrong ICMPv6
        checksum in the same place; a buffer that has not even been half full has lost nothing. While a raw
        socket's buffer is full, newer kernels also count packets that its filter would have refused.
        """
        memory = self.sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 4 * _MEMINFO_WORDS)
        words = struct.unpack_from(f"={_MEMINFO_WORDS}I", memory)
        former, self._held = self._held, words[_MEMINFO_HELD]
        if words[_MEMINFO_DROPS] != self._drops:
            if max(former, self._held) > words[_MEMINFO_ROOM] // 2:
                self.overflows += (words[_MEMINFO_DROPS] - self._drops) & 0xFFFF_FFFF
            self._drops = words[_MEMINFO_DROPS]

    def read_errors(
        self, queue: ErrorQueue
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], list[QueuedError]]:
        """Empty the error queue: slots of sent probes, their transmit stamps (ns), and ICMP errors."""
        slots: list[npt.NDArray[np.int64]] = []
        stamps: list[npt.NDArray[np.int64]] = []
        errors: list[QueuedError] = []
        receiver = queue.receiver
        count = receiver.capacity
        while count == receiver.capacity:
            count = receiver.receive(self.descriptor, MSG_ERRQUEUE)
            controls = queue.controls[:count]
            stamped = (controls["level"] == socket.SOL_SOCKET) & (controls["type"] == SO_TIMESTAMPING)
            ours = stamped & (controls["origin"] == _ORIGIN_TIMESTAMPING)
            if ours.all():
                chosen = controls
            else:
                chosen = controls[ours]
                if self.raw:
                    # It is given them as packets too.
                    origin = np.where(stamped, controls["origin"], receiver.controls[:count, _ORIGIN_AT])
                    self.errors_told += int(np.isin(origin[~ours], _ORIGIN_ICMP).sum())
                else:
                    found = [self._queued_error(receiver, int(i), bool(stamped[i])) for i in np.flatnonzero(~ours)]
                    whole = [error for error in found if error is not None]
                    self.errors_told += len(whole)
                    errors += whole
            slots.append(self._slot_of_key[chosen["key"] % len(self._slot_of_key)])
            stamps.append(chosen["seconds"] * 1_000_000_000 + chosen["nanoseconds"])
        if len(slots) == 1:
            return slots[0], stamps[0], errors
        return np.concatenate(slots), np.concatenate(stamps), errors

    def _queued_error(self, receiver: Receiver, index: int, stamped: bool) -> QueuedError | None:
        control = receiver.controls[index].tobytes()
        at = STAMP_SPACE if stamped else 0
        while at + 16 <= len(control):
            length, level, kind = struct.unpack_from("=Qii", control, at)
            if length < 16:
                return None
            if (level, kind) in (
                (socket.IPPROTO_IP, _IP_RECVERR),
                (socket.IPPROTO_IPV6, _IPV6_RECVERR),
            ):
                break
            at += (length + 7) & ~7
        else:
            return None
        _, origin, icmp_type, code = struct.unpack_from("=IBBB", control, at + 16)
        if origin not in _ORIGIN_ICMP:
            return None
        name = receiver.names[index].tobytes()
        destination = name[4:8] if self.family == socket.AF_INET else name[8:24]
        length = min(int(receiver.lengths[index]), receiver.rows.shape[1])
        return QueuedError(icmp_type, code, destination, receiver.rows[index, :length].tobytes())

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.close()


#: Refusals that say nothing about the device: our own buffers are full, try again later.
BUSY = frozenset({errno.ENOBUFS, errno.EAGAIN, errno.ENOMEM})
