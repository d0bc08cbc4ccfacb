"""Echo requests out, replies and ICMP errors in, a batch at a time: what the prober needs of one address family.

A probe's slot is a number below `65,536 * blocks`. Its low 16 bits travel as the ICMP sequence; the rest chooses
one of the transport's identifiers. So any number of probes can be under way, and an identifier says where to look.
"""

from __future__ import annotations

import ctypes
import errno
import secrets
import socket
import struct
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from exporter.icmp import bpf, packet
from exporter.icmp.arrivals import Arrivals, Parser
from exporter.icmp.channel import BUSY, RECEIVE_CONTROL, Channel, ErrorQueue, QueuedError
from exporter.icmp.mmsg import Receiver, Sender

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

BATCH = 1024
NO_BLOCK = 255
_MAX_PAYLOAD = 65_507
_STANDARD_PAYLOAD = 56
#: A socket reports ICMP errors of earlier requests in place of a send or a read; so often at most.
_PENDING_ERRORS = 100
_IP_TOS, _IP_PKTINFO, _IPV6_TCLASS, _IPV6_PKTINFO = 1, 8, 67, 50


class Profile(NamedTuple):
    """How a packet looks: bytes of ICMP payload, DSCP (RFC 2474), don't-fragment, source address or ""."""

    family: int
    payload_bytes: int
    dscp: int
    dont_fragment: bool
    source: str


class Batch(NamedTuple):
    """Requests of one profile, one array element each; `names` point at struct sockaddr_in or sockaddr_in6."""

    profile: Profile
    names: Words
    slots: Ints
    cookies: Words

    def destination(self, position: int) -> str:
        """Where one of them goes, as text."""
        at, size = (4, 4) if self.profile.family == socket.AF_INET else (8, 16)
        return socket.inet_ntop(self.profile.family, ctypes.string_at(int(self.names[position]) + at, size))


class Sent(NamedTuple):
    """`done` requests went or were refused for good; `refused` says which, with errno; `busy` is why it stopped."""

    done: int
    refused: list[tuple[int, int]]
    busy: int


class Transport(Protocol):
    """One address family's way to the network; used from one thread."""

    family: int
    kind: str
    #: identifier -> block of slots, NO_BLOCK where the identifier is not ours.
    block_of: npt.NDArray[np.uint8]

    def idents(self, blocks: Ints) -> npt.NDArray[np.uint16]: ...
    def send(self, batch: Batch) -> Sent: ...
    def receive(self) -> list[Arrivals]: ...
    def transmit_stamps(self) -> tuple[Ints, Ints]: ...
    def drops(self) -> int: ...
    def rotate(self) -> None: ...
    def resize(self, blocks: int, receive_bytes: int) -> int: ...
    def close(self) -> None: ...


class KernelTransport:
    """Raw sockets: one, with a BPF filter. Datagram sockets: one a block, for the kernel sets the identifier.

    Identifiers rotate: the former ones are listened to until the next rotation, so that no probe under way is lost.
    """

    def __init__(self, family: int, raw: bool, blocks: int, receive_bytes: int) -> None:
        self.family = family
        self.kind = "raw" if raw else "dgram"
        self.block_of = np.full(65_536, NO_BLOCK, np.uint8)
        self._receive_bytes = receive_bytes
        self._raw = raw
        self._parser = Parser(family, raw)
        self._current: npt.NDArray[np.uint16] = np.zeros(0, np.uint16)
        self._channels: list[Channel] = []
        self._former_channels: list[Channel] = []
        self._closed_drops = 0
        self._queued: list[QueuedError] = []
        self._slots: list[Ints] = []
        self._stamps: list[Ints] = []

        self._requests = packet.RequestBuffer(family, BATCH, _STANDARD_PAYLOAD)
        self._sender = Sender(self._requests.rows, _MAX_PAYLOAD)
        self._name_bytes = 16 if family == socket.AF_INET else 28
        self._controls: dict[Profile, npt.NDArray[np.uint8] | None] = {}
        # A raw IPv4 socket tells the source in the packet itself.
        source_bytes = 0 if raw and family == socket.AF_INET else self._name_bytes
        self._receiver = Receiver(BATCH, packet.ROW_BYTES, source_bytes, RECEIVE_CONTROL.itemsize)
        self._received_controls = self._receiver.controls.view(RECEIVE_CONTROL)[:, 0]
        self._errors = ErrorQueue(BATCH)
        if raw:
            self._channels = [self._open(blocks)]
        try:
            self._renew(blocks)
            # What came in between the opening of a raw socket and its filter is not for us.
            if raw:
                self._read(self._channels[0], [])
        except BaseException:
            self.close()
            raise

    def idents(self, blocks: Ints) -> npt.NDArray[np.uint16]:
        return self._current[blocks]

    def rotate(self) -> None:
        """Take new identifiers. Raises SocketPermissionError, OSError; then the former ones stay."""
        self._renew(len(self._current))

    def resize(self, blocks: int, receive_bytes: int) -> int:
        """Make room for more probes, and ask for a receive buffer; the bytes that were granted.

        Where `blocks` is another number than before, replies to probes under way find nobody. Raises
        SocketPermissionError, OSError; then all stays.
        """
        self._receive_bytes = receive_bytes
        if blocks != len(self._current):
            self._renew(blocks)
        return min(channel.set_buffer(receive_bytes) for channel in self._channels)

    def _renew(self, blocks: int) -> None:
        """New identifiers; the former ones are listened to as long as they mean the same slots."""
        former = self._current if blocks == len(self._current) else self._current[:0]
        if self._raw:
            size = 1 << (blocks - 1).bit_length()
            bases = [secrets.randbelow(65_536 // size) * size, *former[:1].tolist()]
            while bases[0] in bases[1:]:
                bases[0] = secrets.randbelow(65_536 // size) * size
            bpf.attach(self._channels[0].sock, bpf.program(self.family, bases, size))
            self._current = np.arange(bases[0], bases[0] + blocks, dtype=np.uint16)
            if not len(former):
                self._channels[0].reserve(blocks * 65_536)
        else:
            fresh = self._open_all(blocks)
            for channel in self._former_channels:
                channel.watch_buffer()
                self._closed_drops += channel.overflows
                channel.close()
            self._former_channels, self._channels = self._channels, fresh
            self._current = np.array([channel.ident for channel in fresh], np.uint16)
        self.block_of[:] = NO_BLOCK
        self.block_of[former] = np.arange(len(former))
        self.block_of[self._current] = np.arange(blocks)

    def _open_all(self, blocks: int) -> list[Channel]:
        channels: list[Channel] = []
        try:
            for _ in range(blocks):
                channels.append(self._open(blocks))
        except BaseException:
            for channel in channels:
                channel.close()
            raise
        return channels

    def _open(self, blocks: int) -> Channel:
        return Channel(self.family, self._raw, self._receive_bytes, blocks * 65_536)

    def send(self, batch: Batch) -> Sent:
        """Send up to BATCH requests; see Sent."""
        count = min(len(batch.slots), BATCH)
        if batch.profile.source and not self._raw and self.family == socket.AF_INET6:
            # Linux takes the source address of such a packet and then uses its own choice: another path, perhaps.
            return Sent(count, [(position, errno.EOPNOTSUPP) for position in range(count)], 0)
        slots = batch.slots[:count]
        blocks = slots >> 16
        self._requests.fill(self._current[blocks], slots & 0xFFFF, batch.cookies[:count])
        if batch.profile not in self._controls:
            self._controls[batch.profile] = _control(batch.profile)
        self._sender.prepare(
            batch.names[:count],
            self._name_bytes,
            packet.ICMP_HEADER + batch.profile.payload_bytes,
            self._controls[batch.profile],
        )
        refused: list[tuple[int, int]] = []
        if self._raw:
            done, busy = self._send_run(self._channels[0], batch.profile, slots, 0, count, refused)
            return Sent(done, refused, busy)
        done, busy = 0, 0
        while done < count and not busy:
            run = done + int(np.argmax(np.append(blocks[done:], -1) != blocks[done]))
            channel = self._channels[int(blocks[done])]
            done, busy = self._send_run(channel, batch.profile, slots, done, run, refused)
        return Sent(done, refused, busy)

    def _send_run(
        self,
        channel: Channel,
        profile: Profile,
        slots: Ints,
        first: int,
        end: int,
        refused: list[tuple[int, int]],
    ) -> tuple[int, int]:
        channel.set_dont_fragment(profile.dont_fragment)
        if channel.reports_errors:
            channel.clear_error()
        tries = 0
        while first < end:
            try:
                count = self._sender.send(channel.descriptor, first, end)
            except OSError as error:
                told = channel.errors_told
                self._restart_keys(channel)
                code = error.errno or 0
                if code in BUSY:
                    return first, code
                # Another ICMP error in the queue, or one that was read before, may be what this speaks of.
                another = not tries or channel.errors_told > told
                if channel.reports_errors and another and tries < _PENDING_ERRORS:
                    tries += 1
                    continue
                refused.append((first, code))
                count = 1
            else:
                channel.sent(slots[first : first + count])
                if first + count < end:
                    # Something was refused behind those; sendmmsg keeps the reason to itself, the next call tells.
                    self._restart_keys(channel)
            first += count
            tries = 0
        return first, 0

    def _restart_keys(self, channel: Channel) -> None:
        """Whether a refused request has used up a stamp's key differs between kernels: count from 0 again."""
        self._collect(channel)
        channel.restart_keys()

    def receive(self) -> list[Arrivals]:
        """Everything that has arrived."""
        arrivals: list[Arrivals] = []
        for channel in (*self._former_channels, *self._channels):
            channel.watch_buffer()
            self._read(channel, arrivals)
            self._collect(channel)
        if self._queued:
            arrivals.append(self._parser.parse_queued(self._queued))
            self._queued = []
        return arrivals

    def _read(self, channel: Channel, arrivals: list[Arrivals]) -> None:
        receiver = self._receiver
        count, failures = BATCH, 0
        while count == BATCH:
            try:
                count = receiver.receive(channel.descriptor)
            except OSError:
                # A pending error, which is on the error queue too; any other one stays.
                failures += 1
                if not channel.reports_errors or failures > _PENDING_ERRORS:
                    raise
                continue
            if count:
                arrivals.append(
                    self._parser.parse(
                        receiver.rows[:count],
                        receiver.lengths[:count],
                        receiver.names[:count],
                        self._received_controls[:count],
                    )
                )
            if count < BATCH and channel.reports_errors and failures < _PENDING_ERRORS and channel.clear_error():
                # It came in the middle, and may have cut this read short.
                failures += 1
                count = BATCH

    def transmit_stamps(self) -> tuple[Ints, Ints]:
        """Slots and CLOCK_REALTIME ns of what the kernel has sent; `receive` collects them, this hands them out."""
        slots, stamps = self._slots, self._stamps
        self._slots, self._stamps = [], []
        if not slots:
            return _NONE, _NONE
        return (slots[0], stamps[0]) if len(slots) == 1 else (np.concatenate(slots), np.concatenate(stamps))

    def _collect(self, channel: Channel) -> None:
        slots, stamps, errors = channel.read_errors(self._errors)
        if len(slots):
            self._slots.append(slots)
            self._stamps.append(stamps)
        self._queued += errors

    def drops(self) -> int:
        """Packets that the receive buffers could not hold, ever; as of the last `receive`."""
        live = sum(channel.overflows for channel in (*self._former_channels, *self._channels))
        return self._closed_drops + live

    def close(self) -> None:
        for channel in (*self._former_channels, *self._channels):
            channel.close()


_NONE = np.zeros(0, np.int64)


def _control(profile: Profile) -> npt.NDArray[np.uint8] | None:
    """Control data that gives a request its DSCP and source address, None where it needs neither."""
    messages = b""
    v4 = profile.family == socket.AF_INET
    if profile.dscp:
        level, kind = (socket.IPPROTO_IP, _IP_TOS) if v4 else (socket.IPPROTO_IPV6, _IPV6_TCLASS)
        messages += struct.pack("=Qiii4x", 20, level, kind, profile.dscp << 2)
    if profile.source:
        source = socket.inet_pton(profile.family, profile.source)
        if v4:
            messages += struct.pack("=Qiii4s4x4x", 28, socket.IPPROTO_IP, _IP_PKTINFO, 0, source)
        else:
            messages += struct.pack("=Qii16si4x", 36, socket.IPPROTO_IPV6, _IPV6_PKTINFO, source, 0)
    return np.frombuffer(messages, np.uint8) if messages else None
