"""A transport inside the simulated network, and what it does, as lists that a test can look at."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import pytest

from exporter.icmp.arrivals import Arrivals
from exporter.icmp.packet import REASONS
from exporter.icmp.plan import Plan
from exporter.icmp.transport import Batch, KernelTransport, Sent, Transport
from exporter.inventory.device import Device, ProbeOptions
from tests.simnet import Simnet

KINDS = pytest.mark.parametrize(
    ("family", "raw"),
    [(socket.AF_INET, True), (socket.AF_INET, False), (socket.AF_INET6, True), (socket.AF_INET6, False)],
    ids=["raw-v4", "dgram-v4", "raw-v6", "dgram-v6"],
)
EVERYWHERE = ("10.0.0.0/8", "fd00::/8")
#: Addresses inside that refuse a packet, and how; an xfrm policy stands in for a packet filter of this machine.
REFUSALS: dict[int, dict[str, str]] = {
    socket.AF_INET: {
        "10.66.0.1": "EPERM",
        "10.67.0.1": "EACCES",
        "10.68.0.1": "EHOSTUNREACH",
        "192.0.2.1": "ENETUNREACH",
    },
    socket.AF_INET6: {
        "fd66::1": "EPERM",
        "fd67::1": "EACCES",
        "fd68::1": "EHOSTUNREACH",
        "2001:db8::1": "ENETUNREACH",
    },
}
SOURCES: dict[int, str] = {socket.AF_INET: "10.255.255.253", socket.AF_INET6: "fd00:ffff::fd"}


def furnish(net: Simnet) -> Simnet:
    """Datagram ICMP sockets, refusals and a second source address inside."""
    net.run(["sysctl", "-q", "-w", "net.ipv4.ping_group_range=0 2147483647"], check=True)
    commands = [
        "addr replace 10.255.255.253/32 dev simnet0",
        # Deprecated, so that it is used where it is asked for only.
        "addr replace fd00:ffff::fd/128 dev simnet0 nodad preferred_lft 0",
        "route replace prohibit 10.67.0.0/16",
        "route replace unreachable 10.68.0.0/16",
        "route replace prohibit fd67::/16",
        "route replace unreachable fd68::/16",
        "xfrm policy update dst 10.66.0.0/16 dir out action block",
        "xfrm policy update dst fd66::/16 dir out action block",
    ]
    net.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True)
    return net


class Heard(NamedTuple):
    """One packet that came in; `stamp` is CLOCK_REALTIME ns."""

    slot: int
    reason: str
    cookie: int
    source: str
    ttl: int
    stamp: int


class Wire:
    """A transport and what it has sent and heard; a context manager."""

    def __init__(
        self,
        net: Simnet,
        family: int,
        raw: bool,
        *,
        blocks: int = 1,
        receive_bytes: int = 1 << 20,
        make: Callable[[], Transport] | None = None,
    ) -> None:
        self.net = net
        self.family = family
        self.transport: Transport = net.inside(
            make or (lambda: KernelTransport(family, raw, blocks, receive_bytes))
        )
        self.cookies: dict[int, int] = {}
        #: CLOCK_REALTIME ns before and after the call that sent a slot.
        self.between: dict[int, tuple[int, int]] = {}
        self.stamps: dict[int, int] = {}
        self.heard: list[Heard] = []
        #: Packets for identifiers that are not this transport's.
        self.foreign = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.transport.close()

    def ident(self, block: int = 0) -> int:
        """The identifier that a block of slots travels under now."""
        return int(self.transport.idents(np.array([block]))[0])

    @property
    def kernel(self) -> KernelTransport:
        assert isinstance(self.transport, KernelTransport)
        return self.transport

    def send(self, addresses: Sequence[str], first_slot: int = 0, **options: Any) -> Sent:
        """One request to each address, on slots from `first_slot` on."""
        probe = ProbeOptions(**options)
        plan = Plan([Device(name=str(i), address=a, probe=probe) for i, a in enumerate(addresses)], {})
        slots = first_slot + np.arange(len(addresses))
        cookies = np.frombuffer(np.random.default_rng().bytes(8 * len(addresses)), np.uint64)
        before = time.time_ns()
        sent = self.transport.send(Batch(plan.profiles[0], plan.names[: len(addresses)], slots, cookies))
        after = time.time_ns()
        for slot, cookie in zip(slots.tolist(), cookies.tolist(), strict=True):
            self.cookies[slot] = cookie
            self.between[slot] = before, after
        return sent

    def take(self) -> None:
        """What has arrived by now."""
        for arrivals in self.transport.receive():
            self._note(arrivals)
        slots, stamps = self.transport.transmit_stamps()
        self.stamps.update(zip(slots.tolist(), stamps.tolist(), strict=True))

    def _note(self, arrivals: Arrivals) -> None:
        for row in range(len(arrivals.reason)):
            block = int(self.transport.block_of[arrivals.ident[row]])
            slot = block << 16 | int(arrivals.sequence[row])
            if slot not in self.cookies:
                self.foreign += 1
                continue
            packed = int(arrivals.high[row]).to_bytes(8, "big") + int(arrivals.low[row]).to_bytes(8, "big")
            source = ip_address(packed)
            mapped = getattr(source, "ipv4_mapped", None)
            cookie = int(arrivals.cookie[row]) if arrivals.cookie_known[row] else self.cookies[slot]
            self.heard.append(
                Heard(
                    slot,
                    REASONS[arrivals.reason[row]],
                    cookie,
                    str(mapped or source),
                    int(arrivals.ttl[row]),
                    int(arrivals.stamp[row]),
                )
            )

    def listen(self, count: int, seconds: float = 5.0) -> list[Heard]:
        """Until so many packets have come in, all told; returns all. Fails when they do not come."""
        deadline = time.monotonic() + seconds
        while len(self.heard) < count:
            self.take()
            assert time.monotonic() < deadline, f"{len(self.heard)} packets of {count} have come in"
            time.sleep(0.002)
        self.take()
        return self.heard

    def honest(self, slot: int) -> bool:
        """Whether exactly one packet, with the right cookie, has come in for a slot."""
        return [packet.cookie for packet in self.heard if packet.slot == slot] == [self.cookies[slot]]


def addresses(family: int, count: int, subnet: int = 1) -> list[str]:
    """Distinct addresses of the simulated network."""
    if family == socket.AF_INET:
        return [f"10.{subnet}.{i >> 8}.{i & 255}" for i in range(count)]
    return [f"fd00:{subnet}::{i:x}" for i in range(1, count + 1)]


def descriptors() -> int:
    """How many this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))
