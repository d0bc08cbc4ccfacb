"""What a simulated address does with an echo request, and which addresses a call speaks of."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Generic, NamedTuple, TypeVar

Value = TypeVar("Value")
#: An address, a prefix, or several of them.
Target = str | Iterable[str]

#: ICMP type and code of each kind of error (RFC 792, RFC 1812; RFC 4443).
ERRORS_V4 = {
    "net_unreachable": (3, 0),
    "host_unreachable": (3, 1),
    "port_unreachable": (3, 3),
    "fragmentation_needed": (3, 4),
    "admin_prohibited": (3, 13),
    "ttl_exceeded": (11, 0),
    "parameter_problem": (12, 0),
}
ERRORS_V6 = {
    "net_unreachable": (1, 0),
    "host_unreachable": (1, 3),
    "port_unreachable": (1, 4),
    "fragmentation_needed": (2, 0),
    "admin_prohibited": (1, 1),
    "ttl_exceeded": (3, 0),
    "parameter_problem": (4, 0),
}


@dataclass(frozen=True)
class Jitter:
    """Latency drawn for each reply, in seconds; never below 0.

    `normal`: `spread` is the standard deviation. `uniform`: from `mean - spread` to `mean + spread`.
    """

    mean: float
    spread: float
    shape: str = "normal"

    def __post_init__(self) -> None:
        if self.shape not in ("normal", "uniform"):
            raise ValueError(f"no such jitter shape: {self.shape}")


@dataclass(frozen=True)
class Spiky:
    """Latency `base`, and `spike` for each `every`-th request that is answered; seconds."""

    base: float
    spike: float
    every: int

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError("every: 1 or more")


Latency = float | Jitter | Spiky


@dataclass(frozen=True)
class Behaviour:
    """How an address answers echo requests. Probabilities are 0..1, times are seconds, sizes are bytes.

    A request meets these in order: outage, loss, mtu, path, error; then the reply is made.
    """

    latency: Latency = 0.001
    loss: float = 0.0
    #: Drop everything without a word.
    outage: bool = False
    #: A second copy of the reply, right behind the first.
    duplicates: float = 0.0
    #: The reply comes `late_seconds` after its latency.
    late: float = 0.0
    late_seconds: float = 2.0
    #: Besides the reply, and before it: one whose first 8 payload bytes are not the request's.
    forged_cookie: float = 0.0
    #: Besides the reply, and before it: the same from the neighbouring address (last bit flipped).
    forged_source: float = 0.0
    #: Besides the reply, and before it: one with the request's identifier, the next sequence, another payload.
    foreign: float = 0.0
    #: Instead of the reply: one with a bit flipped behind its checksum.
    corrupt: float = 0.0
    #: Instead of the reply: an ICMP error from the router (a key of ERRORS_V4).
    error: str = ""
    #: How much of the request's ICMP message an error quotes; RFC 792 asks for 8.
    quoted_bytes: int = 520
    #: Replies carry 8 bytes of IPv4 options, or an IPv6 hop-by-hop header.
    ip_options: bool = False
    #: TTL or hop limit of replies as they arrive.
    ttl: int = 64
    #: Largest IP packet let through (0: any); a larger one with DF, or of IPv6, is answered with the error ...
    mtu: int = 0
    #: ... or, in a black hole, not at all.
    mtu_blackhole: bool = False
    #: Routers on the way: a request with TTL n <= len(path) is answered by the n-th with "ttl_exceeded".
    path: tuple[str, ...] = ()
    #: Another loss for requests with this DSCP.
    dscp_loss: Mapping[int, float] = field(default_factory=dict)
    #: Another behaviour altogether for requests with this DSCP.
    by_dscp: Mapping[int, Behaviour] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("loss", "duplicates", "late", "forged_cookie", "forged_source", "foreign", "corrupt"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: a probability is 0..1")
        if self.error and self.error not in ERRORS_V4:
            raise ValueError(f"no such error: {self.error}; one of {', '.join(ERRORS_V4)}")
        if not 1 <= self.ttl <= 255:
            raise ValueError("ttl: 1..255")
        if any(not 0 <= mark < 64 for mark in (*self.dscp_loss, *self.by_dscp)):
            raise ValueError("a DSCP is 0..63")

    @property
    def plain(self) -> bool:
        """Nothing but latency, loss, outage and TTL: one request, at most one honest reply."""
        unset = Behaviour()
        simple = {"latency", "loss", "outage", "ttl", "ip_options", "dscp_loss", "by_dscp"}
        return all(getattr(self, f.name) == getattr(unset, f.name) for f in fields(self) if f.name not in simple)


OUTAGE = Behaviour(outage=True)


class Network(NamedTuple):
    """An address or prefix: `number` is its first address."""

    version: int
    number: int
    length: int

    @property
    def width(self) -> int:
        return 32 if self.version == 4 else 128

    @property
    def single(self) -> bool:
        return self.length == self.width

    def covers(self, other: Network) -> bool:
        return (
            other.version == self.version
            and other.length >= self.length
            and (other.number ^ self.number) >> (self.width - self.length) == 0
        )

    def __str__(self) -> str:
        first = ipaddress.IPv4Address if self.version == 4 else ipaddress.IPv6Address
        return str(first(self.number)) + ("" if self.single else f"/{self.length}")


def networks(target: Target) -> list[Network]:
    """The networks a target names. Raises ValueError for what is no address and no prefix."""
    names = [target] if isinstance(target, str) else target
    parsed = [ipaddress.ip_network(name) for name in names]
    return [Network(net.version, int(net.network_address), net.prefixlen) for net in parsed]


class PrefixTable(Generic[Value]):
    """Values by network; a lookup yields that of the most specific network around an address."""

    def __init__(self) -> None:
        self._values: dict[tuple[int, int], dict[int, Value]] = {}
        self._order: list[tuple[int, int]] = []

    def put(self, network: Network, value: Value) -> None:
        level = (network.version, network.length)
        if level not in self._values:
            self._values[level] = {}
            self._order = sorted(self._values, reverse=True)
        self._values[level][network.number >> (network.width - network.length)] = value

    def find(self, version: int, number: int) -> Value | None:
        width = 32 if version == 4 else 128
        for level in self._order:
            if level[0] == version:
                value = self._values[level].get(number >> (width - level[1]))
                if value is not None:
                    return value
        return None

    def drop_inside(self, network: Network) -> None:
        """Forget the values of `network` and of every network inside it."""
        wanted = network.number >> (network.width - network.length)
        for (version, length), values in self._values.items():
            if version != network.version or length < network.length:
                continue
            if network.single:
                values.pop(wanted, None)
                continue
            for key in [key for key in values if key >> (length - network.length) == wanted]:
                del values[key]

    def clear(self) -> None:
        self._values.clear()
        self._order.clear()
