"""The simulated network does what it is told, and tells the truth about it.

The pinger here is the tests' own: a raw socket opened inside the namespace, with no code in common with the
simulator's packets or the exporter's.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import statistics
import struct
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.simnet import Behaviour, Jitter, Simnet, SimnetError, Spiky, Truth

IDENT = 0x5EED
IP_MTU_DISCOVER, IP_PMTUDISC_DONT, IP_PMTUDISC_PROBE = 10, 0, 3


class Received(NamedTuple):
    source: str
    type: int
    code: int
    ident: int
    sequence: int
    payload: bytes
    #: Bytes of the IPv4 header; 0 on IPv6, where a raw socket does not deliver it.
    header: int
    ttl: int
    rtt: float
    sound: bool


class Pinger:
    """Echo requests of one family and whatever comes back. Payloads are the sequence, repeated."""

    def __init__(self, net: Simnet, version: int = 4) -> None:
        self._v4 = version == 4
        family, protocol = (
            (socket.AF_INET, socket.IPPROTO_ICMP) if self._v4 else (socket.AF_INET6, socket.IPPROTO_ICMPV6)
        )
        self.socket = net.inside(socket.socket, family, socket.SOCK_RAW, protocol)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._sent: dict[int, float] = {}

    def send(self, address: str, sequence: int, size: int = 56, spoil: int = 0) -> None:
        payload = (struct.pack("!H", sequence) * (size // 2 + 1))[:size]
        kind = 8 if self._v4 else 128
        message = struct.pack("!BBHHH", kind, 0, 0, IDENT, sequence) + payload
        if self._v4:
            message = message[:2] + struct.pack("!H", _sum(message) ^ spoil) + message[4:]
        self._sent[sequence] = time.monotonic()
        self.socket.sendto(message, (address, 0))

    def receive(self, seconds: float) -> Received | None:
        """The next ICMP message but our own requests; None when none has come after `seconds`."""
        deadline = time.monotonic() + seconds
        while select.select([self.socket], [], [], max(0.0, deadline - time.monotonic()))[0]:
            packet, (source, *_) = self.socket.recvfrom(65535)
            now = time.monotonic()
            start = (packet[0] & 15) * 4 if self._v4 else 0
            kind, code, _, ident, sequence = struct.unpack_from("!BBHHH", packet, start)
            if kind in (8, 128) or (not self._v4 and kind >= 130):
                continue
            return Received(
                source,
                kind,
                code,
                ident,
                sequence,
                packet[start + 8 :],
                start,
                packet[8] if self._v4 else 0,
                now - self._sent.get(sequence, now),
                _sum(packet[start:]) == 0 if self._v4 else True,
            )
        return None

    def ping(self, address: str, count: int, interval: float = 0.002, wait: float = 0.3) -> list[Received]:
        """All that comes back for sequences 0 to count - 1, until nothing has come for `wait` seconds."""
        found: list[Received] = []
        for sequence in range(count):
            self.send(address, sequence)
            due = time.monotonic() + interval
            while (left := due - time.monotonic()) > 0:
                if received := self.receive(left):
                    found.append(received)
        while received := self.receive(wait):
            found.append(received)
        return found


def _sum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data[: len(data) // 2 * 2]))
    total += data[-1] << 8 if len(data) % 2 else 0
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


@contextmanager
def pinger(net: Simnet, version: int = 4) -> Iterator[Pinger]:
    made = Pinger(net, version)
    with made.socket:
        yield made


def honest(received: Received) -> bool:
    whole = len(received.payload) // 2
    return received.type in (0, 129) and received.payload == struct.pack("!H", received.sequence) * whole


@pytest.mark.parametrize("address", ["10.1.2.3", "fd00:1::5"])
def test_truth_is_what_a_pinger_sees(shared_simnet: Simnet, address: str) -> None:
    """Replies come from the address asked, whole, and are counted as the pinger counts them."""
    shared_simnet.set(["10.1.0.0/16", "fd00:1::/32"], latency=0.003)
    with pinger(shared_simnet, ip_address(address).version) as pings:
        found = pings.ping(address, 50)
    truth = shared_simnet.truth(address)
    assert (truth.requests, truth.replies, truth.pending) == (50, 50, 0)
    assert [reply.sequence for reply in found] == list(range(50))
    assert all(honest(reply) and reply.sound and reply.source == address for reply in found)
    assert truth.sizes == {56: 50}
    assert truth.source == ("10.255.255.254" if "." in address else "fd00:ffff::fe")
