"""A pinger that the simulator's own tests judge it by: plain sockets, one packet at a time.

It shares no code with the simulator's packets nor with the exporter's, so that one mistake cannot hide another.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tests.simnet.network import Simnet

IDENT = 0x5EED
# ip(7) and ipv6(7); the socket module has no names for them.
_IP_MTU_DISCOVER = 10
_IPV6_MTU_DISCOVER = 23
#: How the kernel sets DF: never; always, whatever it believes the path's MTU to be.
FRAGMENT, PROBE = 0, 3


class Received(NamedTuple):
    source: str
    type: int
    code: int
    ident: int
    sequence: int
    payload: bytes
    #: Bytes of the IPv4 header; 0 on IPv6, where a raw socket does not deliver it.
    header: int
    #: TTL, or hop limit.
    ttl: int
    #: Seconds since the request with that sequence.
    rtt: float
    #: The ICMP checksum fits; on IPv6 the kernel has seen to that.
    sound: bool

    @property
    def honest(self) -> bool:
        """A whole echo reply to a request of ours."""
        ours = payload(self.sequence, len(self.payload))
        return self.type in (0, 129) and self.ident == IDENT and self.sound and self.payload == ours


class Pinger:
    """Echo requests of one family, and whatever comes back. Addresses are not compared."""

    def __init__(self, net: Simnet, version: int = 4) -> None:
        self._net = net
        self._v4 = version == 4
        if self._v4:
            self.socket = net.inside(socket.socket, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        else:
            self.socket = net.inside(socket.socket, socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._sent: dict[int, float] = {}

    def mark(self, dscp: int) -> None:
        if self._v4:
            self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)
        else:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp << 2)

    def hops(self, ttl: int) -> None:
        if self._v4:
            self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        else:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)

    def fragment(self, how: int) -> None:
        if self._v4:
            self.socket.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, how)
        else:
            self.socket.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, how)

    def send(self, address: str, sequence: int, size: int = 56, spoil: int = 0) -> None:
        """One request; `spoil` changes its checksum (IPv4). Raises OSError."""
        message = struct.pack("!BBHHH", 8 if self._v4 else 128, 0, 0, IDENT, sequence) + payload(sequence, size)
        # The kernel makes ICMPv6 checksums itself.
        message = message[:2] + struct.pack("!H", _checksum(message) ^ spoil) + message[4:]
        self._sent[sequence] = time.monotonic()
        self.socket.sendto(message, (address, 0))

    def receive(self, seconds: float) -> Received | None:
        """The next ICMP message; None when none has come after `seconds`."""
        if not select.select([self.socket], [], [], seconds)[0]:
            return None
        packet, control, _, (source, *_) = self.socket.recvmsg(65535, 64)
        now = time.monotonic()
        start = (packet[0] & 15) * 4 if self._v4 else 0
        kind, code, _, ident, sequence = struct.unpack_from("!BBHHH", packet, start)
        ttl = packet[8] if self._v4 else int.from_bytes(control[0][2], "little")
        sound = not self._v4 or _checksum(packet[start:]) == 0
        rtt = now - self._sent.get(sequence, now)
        return Received(source, kind, code, ident, sequence, packet[start + 8 :], start, ttl, rtt, sound)

    def one(self, address: str, sequence: int = 1, size: int = 56, seconds: float = 5.0) -> Received:
        """Send one request and wait for what comes. Raises TimeoutError."""
        self.send(address, sequence, size)
        received = self.receive(seconds)
        if received is None:
            raise TimeoutError(f"nothing from {address} in {seconds} s")
        return received

    def ping(self, address: str, count: int, interval: float = 0.002) -> list[Received]:
        """All that comes back for sequences 0 to count - 1.

        It is over when the simulator says that it has seen them all and has nothing left to send; raises
        TimeoutError when it does not come to that.
        """
        expected = self._net.truth(address).requests + count
        found: list[Received] = []
        for sequence in range(count):
            self.send(address, sequence)
            found += self._listen(interval)
        deadline = time.monotonic() + 10
        while (truth := self._net.truth(address)).requests != expected or truth.pending:
            if time.monotonic() > deadline:
                raise TimeoutError(f"of {count} requests to {address} not all were seen and answered: {truth}")
            found += self._listen(0.02)
        return found + self._listen(0.0)

    def _listen(self, seconds: float) -> list[Received]:
        found: list[Received] = []
        deadline = time.monotonic() + seconds
        while received := self.receive(max(0.0, deadline - time.monotonic())):
            found.append(received)
        return found


@contextmanager
def pinger(net: Simnet, version: int = 4) -> Iterator[Pinger]:
    made = Pinger(net, version)
    with made.socket:
        yield made


def payload(sequence: int, size: int) -> bytes:
    """What a request of ours carries: its sequence, over and over."""
    return (struct.pack("!H", sequence) * (size // 2 + 1))[:size]


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data[: len(data) // 2 * 2]))
    total += data[-1] << 8 if len(data) % 2 else 0
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF
