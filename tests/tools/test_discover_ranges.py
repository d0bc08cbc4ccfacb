"""Ranges: which addresses they are, and which are refused."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import DiscoverError
from exporter.tools.discover_ranges import MOST, MOST_UNASKED, Ranges


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["10.1.0.8/29"], [f"10.1.0.{last}" for last in range(9, 15)]),
        (["10.1.0.8/30"], ["10.1.0.9", "10.1.0.10"]),
        (["10.1.0.8/31"], ["10.1.0.8", "10.1.0.9"]),
        (["10.1.0.8/32"], ["10.1.0.8"]),
        (["10.1.0.8"], ["10.1.0.8"]),
        (["10.1.0.0"], ["10.1.0.0"]),
        (["fd00::/126"], ["fd00::", "fd00::1", "fd00::2", "fd00::3"]),
        (["FD00:0:0::1"], ["fd00::1"]),
        (["fd00::1", "10.1.0.9", "10.1.0.8/31", "10.1.0.8"], ["10.1.0.8", "10.1.0.9", "fd00::1"]),
        # Side by side they are two networks all the same.
        (["10.1.0.8/30", "10.1.0.12/30"], ["10.1.0.9", "10.1.0.10", "10.1.0.13", "10.1.0.14"]),
        # The broadcast address of the smaller network is a broadcast address, whatever else it may be.
        (["10.1.0.8/29", "10.1.0.8/30"], [f"10.1.0.{last}" for last in (9, 10, 12, 13, 14)]),
        # But whoever writes one alone means it.
        (["10.1.0.8/30", "10.1.0.11"], ["10.1.0.9", "10.1.0.10", "10.1.0.11"]),
        (["10.1.0.8", "10.1.0.8/30"], ["10.1.0.8", "10.1.0.9", "10.1.0.10"]),
    ],
)
def test_addresses(texts: Sequence[str], expected: Sequence[str]) -> None:
    """Each address once, in order; of IPv4 networks larger than a /31 without the network and broadcast address."""
    ranges = Ranges(texts)
    assert list(ranges) == expected
    assert ranges.size == len(expected)


NETWORKS = st.lists(
    st.tuples(st.integers(0, 255), st.integers(24, 32)).map(
        lambda pair: ipaddress.IPv4Network((0x0A010000 + pair[0], pair[1]), strict=False)
    ),
    min_size=1,
    max_size=6,
)


@given(NETWORKS)
def test_any_networks(networks: list[ipaddress.IPv4Network]) -> None:
    """Merged ranges hold what the networks hold one by one, but for the ends of each that do not stand alone."""
    every = {address for network in networks for address in network}
    ends = {
        end
        for network in networks
        if network.prefixlen < 31
        for end in (network.network_address, network.broadcast_address)
    }
    found = list(Ranges([str(network) for network in networks]))
    alone = {network[0] for network in networks if network.prefixlen == 32}
    assert found == [str(address) for address in sorted(every - (ends - alone))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.1.0.5/22", "the network 10.1.0.0/22 or the address 10.1.0.5"),
        ("10.1.0.0/33", "a prefix length from 0 to 32 behind the slash"),
        ("10.1.0.0/255.255.252.0", "a prefix length from 0 to 32 behind the slash"),
        ("10.1.0.0/", "a prefix length from 0 to 32 behind the slash"),
        ("fd00::/-1", "a prefix length from 0 to 128 behind the slash"),
        ("10.1.0", "an IPv4 address of 4 numbers, not 3"),
        ("10.1.0.256", "an IPv4 address of numbers up to 255, not 256"),
        ("10.01.0.0/24", "no leading zero in '01', which some programs read as octal: write 10.1.0.0"),
        ("router1", "an IP address, or a network such as 10.1.0.0/22 or fd00:1::/120"),
        ("", "an IP address, or a network such as 10.1.0.0/22 or fd00:1::/120"),
        ("10.1.0.1-10.1.0.9", "an IP address, or a network such as 10.1.0.0/22 or fd00:1::/120"),
        ("224.0.0.0/24", "the address of one device; this is a multicast address"),
        ("ff02::1", "the address of one device; this is a multicast address"),
        ("0.0.0.0/0", "the address of one device; this one means 'no address'"),
        ("::/0", "the address of one device; this one means 'no address'"),
        ("240.0.0.0/24", "this one has reserved addresses"),
        ("128.0.0.0/1", "this one has multicast addresses"),
        ("0.0.0.8", "in 0.0.0.0/8 there are no devices"),
        ("fe80::1", "link-local addresses are not probed"),
        ("fe80::1%eth0", "an IPv6 address without a zone: link-local addresses are not probed"),
        ("::ffff:10.1.0.0/120", "IPv4 addresses are written as such"),
    ],
)
def test_wrong_ranges(text: str, expected: str) -> None:
    """What is no range, and where there are no devices, is refused: what was found, and what was expected."""
    with pytest.raises(DiscoverError) as caught:
        Ranges(["10.1.0.0/24", text])
    message = str(caught.value)
    assert message.startswith(f"RANGE: found {text!r}; expected ")
    assert message.endswith(expected)


def test_all_that_is_wrong_is_told_at_once() -> None:
    """A line for each range that is refused."""
    with pytest.raises(DiscoverError) as caught:
        Ranges(["a", "10.1.0.0/24", "10.1.0.1/24"])
    assert [line.split(";")[0] for line in str(caught.value).splitlines()] == [
        "RANGE: found 'a'",
        "RANGE: found '10.1.0.1/24'",
    ]


@pytest.mark.parametrize(
    ("texts", "asked", "refusal"),
    [
        (["10.0.0.0/20"], False, ""),
        (["fd00::/116"], False, ""),
        (["fd00::/116", "10.0.0.1"], False, f"4,097 addresses; expected at most {MOST_UNASKED:,}, or --yes"),
        (["10.0.0.0/19"], True, ""),
        (["10.0.0.0/12"], True, ""),
        (["fd00::/108"], True, ""),
        (["fd00::/108", "10.0.0.1"], True, f"1,048,577 addresses; expected at most {MOST:,}"),
        (["fd00::/64"], True, f"2^64 addresses; expected at most {MOST:,}"),
        (["10.0.0.0/8", "fd00::/64"], False, f"2^64 addresses; expected at most {MOST:,}"),
    ],
)
def test_size(texts: Sequence[str], asked: bool, refusal: str) -> None:
    """Above 4,096 addresses somebody must have said that it is meant, and nobody can above 1,048,576."""
    ranges = Ranges(texts)
    if not refusal:
        ranges.check_size(asked)
        return
    with pytest.raises(DiscoverError, match=r"^the ranges hold ") as caught:
        ranges.check_size(asked)
    assert str(caught.value) == f"the ranges hold {refusal}"
