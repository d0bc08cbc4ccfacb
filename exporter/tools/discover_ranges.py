"""The ranges that a discovery is asked for, as the addresses that it may send to: those, and no others."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from exporter import addresses
from exporter.errors import DiscoverError
from exporter.fields import WrongError, shown

#: So many addresses are swept without asking: a /20.
MOST_UNASKED = 4096
#: So many at all: a /12, nearly an hour at the pace that is the default.
MOST = 1 << 20

_EXPECTED = "an IP address, or a network such as 10.1.0.0/22 or fd00:1::/120"
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
#: Where no device has its address, and why.
_NO_DEVICES: tuple[tuple[Network, str], ...] = (
    (ipaddress.ip_network("0.0.0.0/8"), "in 0.0.0.0/8 there are no devices"),
    (ipaddress.ip_network("224.0.0.0/4"), "this one has multicast addresses"),
    (ipaddress.ip_network("240.0.0.0/4"), "this one has reserved addresses"),
    (ipaddress.ip_network("::/128"), "this one has the address that means 'no address'"),
    (ipaddress.ip_network("::ffff:0:0/96"), "IPv4 addresses are written as such"),
    (ipaddress.ip_network("fe80::/10"), "link-local addresses are not probed"),
    (ipaddress.ip_network("ff00::/8"), "this one has multicast addresses"),
)


class Interval(NamedTuple):
    """Addresses of one version, as numbers; both ends belong to it."""

    version: int
    first: int
    last: int


class Ranges:
    """Addresses in ascending order, IPv4 first, each once."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Raises DiscoverError with all that is wrong."""
        networks: list[Network] = []
        wrong: list[str] = []
        for text in texts:
            try:
                networks.append(_network(text))
            except WrongError as error:
                wrong.append(f"RANGE: found {shown(text)}; expected {error.expected}")
        if wrong:
            raise DiscoverError("\n".join(wrong))
        self.intervals = _without(_merged(networks), _edges(networks))

    @property
    def size(self) -> int:
        return sum(last - first + 1 for _, first, last in self.intervals)

    def __iter__(self) -> Iterator[str]:
        for version, first, last in self.intervals:
            make = ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address
            for number in range(first, last + 1):
                yield str(make(number))

    def check_size(self, large_is_meant: bool) -> None:
        """Raise DiscoverError for more addresses than may be swept."""
        if self.size > MOST:
            raise DiscoverError(f"the ranges hold {_count(self.size)} addresses; expected at most {MOST:,}")
        if self.size > MOST_UNASKED and not large_is_meant:
            raise DiscoverError(
                f"the ranges hold {_count(self.size)} addresses; expected at most {MOST_UNASKED:,}, or --yes"
            )


def _count(size: int) -> str:
    return f"{size:,}" if size < 10**9 else f"2^{size.bit_length() - 1}"


def _network(text: str) -> Network:
    """Raises WrongError."""
    start, slash, length = text.partition("/")
    try:
        address = ipaddress.ip_address(addresses.ip_only(start))
    except WrongError as error:
        expected = _EXPECTED if error.expected == "an IP address" else error.expected
        raise WrongError(expected) from None
    width = address.max_prefixlen
    if not slash:
        network: Network = ipaddress.ip_network(address)
    elif ":" in start and address.version == 4:
        raise WrongError(f"{_EXPECTED}; IPv4 addresses are written as such")
    elif not (length.isascii() and length.isdecimal() and len(length) <= 3 and int(length) <= width):
        raise WrongError(f"a prefix length from 0 to {width} behind the slash")
    else:
        network = ipaddress.ip_network((address, int(length)), strict=False)
        if network.network_address != address:
            raise WrongError(f"the network {network} or the address {address}")
    for taboo, why in _NO_DEVICES:
        if network.version == taboo.version and network.overlaps(taboo):
            raise WrongError(f"{_EXPECTED}; {why}")
    return network


def _merged(networks: Sequence[Network]) -> list[Interval]:
    """Their addresses, each once."""
    merged: list[Interval] = []
    spans = sorted(Interval(one.version, int(one.network_address), int(one.broadcast_address)) for one in networks)
    for span in spans:
        former = merged[-1] if merged else None
        if former is not None and former.version == span.version and span.first <= former.last + 1:
            merged[-1] = former._replace(last=max(former.last, span.last))
        else:
            merged.append(span)
    return merged


def _edges(networks: Sequence[Network]) -> list[Interval]:
    """Network and broadcast addresses, sorted: whoever pings those may hear from everybody.

    One that is written alone is meant.
    """
    alone = {int(one.network_address) for one in networks if one.version == 4 and one.prefixlen == 32}
    edges = {
        int(edge)
        for network in networks
        if network.version == 4 and network.prefixlen < 31
        for edge in (network.network_address, network.broadcast_address)
    }
    return [Interval(4, edge, edge) for edge in sorted(edges - alone)]


def _without(intervals: Sequence[Interval], edges: Sequence[Interval]) -> tuple[Interval, ...]:
    """`intervals` but for single addresses in them."""
    left: list[Interval] = []
    waiting = list(reversed(edges))
    for version, first, last in intervals:
        start = first
        while waiting and waiting[-1].version == version and waiting[-1].first <= last:
            edge = waiting.pop().first
            if start < edge:
                left.append(Interval(version, start, edge - 1))
            start = edge + 1
        if start <= last:
            left.append(Interval(version, start, last))
    return tuple(left)
