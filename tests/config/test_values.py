"""Times, ratios, numbers, addresses and names, one value at a time."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import addresses, values
from exporter.fields import WrongError, did_you_mean, shown


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("700ms", 0.7),
        ("1s", 1.0),
        ("1.5s", 1.5),
        ("0.1ms", 0.0001),
        ("1m30s", 90.0),
        ("5m", 300.0),
        ("1h", 3600.0),
        ("1d", 86400.0),
        ("1d2h3m4s5ms", 93784.005),
        ("0s", 0.0),
    ],
)
def test_a_time_is_its_seconds(text: str, seconds: float) -> None:
    """The notations of the documentation mean what they say."""
    assert values.seconds(text) == seconds


@pytest.mark.parametrize(
    "wrong",
    ["", "1", "s", "1 s", " 1s", "1s ", "1s1m", "1s1s", "1e3s", "-1s", "1S", "१s", "1.s", "1y", 1, 1.5, True],
)
def test_what_is_no_time_is_refused(wrong: object) -> None:
    """No unit, a wrong order, a sign, other digits: none of them passes for a time."""
    with pytest.raises(WrongError):
        values.seconds(wrong)


@given(st.integers(0, 10**12))
def test_a_shown_time_reads_back(milliseconds: int) -> None:
    """Any number of milliseconds survives being shown and read again."""
    seconds = milliseconds / 1000
    assert values.seconds(values.show_seconds(seconds)) == pytest.approx(seconds, abs=1e-4)


@given(
    st.tuples(*[st.integers(0, 999)] * 5).filter(any),
)
def test_a_time_is_the_sum_of_its_parts(parts: tuple[int, ...]) -> None:
    """Days, hours, minutes, seconds and milliseconds add up, whichever of them are there."""
    units = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    text = "".join(f"{part}{unit}" for part, unit in zip(parts, units, strict=True) if part)
    total = sum(part * size for part, size in zip(parts, units.values(), strict=True))
    assert values.seconds(text) == pytest.approx(total)


CHECKS: list[Callable[[Any], Any]] = [
    *(values.text, values.name, values.flag, values.ratio, values.seconds, values.instant, values.dscp),
    *(values.label_name, values.url, values.whole(0, 5), values.number(-90, 90), values.duration("1s", "1h")),
    *(addresses.address, addresses.ip_only),
]
NUMBERS = st.booleans() | st.integers() | st.floats()
SCALARS = NUMBERS | st.none() | st.text() | st.lists(st.text(), max_size=2)


@given(st.sampled_from(CHECKS), SCALARS)
def test_any_value_is_right_or_wrong(check: Callable[[Any], Any], value: object) -> None:
    """A check gives a value or WrongError, whatever it is given."""
    try:
        said = repr(check(value))
    except WrongError as wrong:
        said = str(wrong)
    assert said


@pytest.mark.parametrize(
    ("written", "meant"), [("5%", 0.05), ("100%", 1.0), ("0.5%", 0.005), (0.05, 0.05), (1, 1.0), ("0.2", 0.2)]
)
def test_ratios(written: object, meant: float) -> None:
    """A percentage and a fraction are two ways to write a ratio."""
    assert values.ratio(written) == pytest.approx(meant)


@pytest.mark.parametrize("wrong", [5, -0.1, "101%", "%", "5%%", "nan", float("nan"), float("inf"), True])
def test_ratios_outside_0_to_1_are_refused(wrong: object) -> None:
    """5 is no ratio, and neither is what is no number."""
    with pytest.raises(WrongError):
        values.ratio(wrong)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("EF", 46),
        ("ef", 46),
        ("AF41", 34),
        ("AF11", 10),
        ("CS0", 0),
        ("CS7", 56),
        ("BE", 0),
        ("LE", 1),
        (63, 63),
        ("8", 8),
    ],
)
def test_dscp_names(written: object, meant: int) -> None:
    """DSCP names have the values of their RFCs."""
    assert values.dscp(written) == meant


@given(st.ip_addresses(v=4))
def test_ipv4_is_kept_as_it_is(found: IPv4Address) -> None:
    """A host's IPv4 address is canonical already; those of no single host are refused."""
    if found.is_multicast or found.is_unspecified or str(found) == "255.255.255.255":
        with pytest.raises(WrongError):
            addresses.address(str(found))
    else:
        assert addresses.address(str(found)) == str(found)


@given(st.ip_addresses(v=6), st.booleans())
def test_ipv6_becomes_canonical(found: IPv6Address, capitals: bool) -> None:
    """However an IPv6 address is written, one host has one address."""
    text = found.exploded.upper() if capitals else found.exploded
    if not (found.is_multicast or found.is_unspecified or found.ipv4_mapped):
        assert addresses.address(text) == str(found)


@pytest.mark.parametrize(
    "found", ["localhost", "a", "sw-1.tbilisi.example", "x_y.example.", "1st.example", "a" * 63]
)
def test_host_names_are_kept_as_written(found: str) -> None:
    """A host name by the rules is not looked up and not changed."""
    assert addresses.address(found) == found
    assert addresses.family(found) == 0


@pytest.mark.parametrize("wrong", ["", "-a", "a-", "a..b", "a b", ".", "a" * 64, "a." * 127 + "a", "a/b"])
def test_what_is_no_host_name(wrong: str) -> None:
    """Blanks, empty parts, hyphens at the ends, and lengths that DNS does not have."""
    with pytest.raises(WrongError):
        addresses.address(wrong)


def test_mapped_ipv4_is_the_ipv4_host() -> None:
    """::ffff:10.1.1.5 is probed as 10.1.1.5, since ICMPv6 does not reach it."""
    assert addresses.address("::ffff:10.1.1.5") == "10.1.1.5"


def test_label_values_may_be_any_text_of_bounded_length() -> None:
    """Georgian, quotes and line breaks pass; 1,025 characters and half a surrogate pair do not."""
    for right in ("თბილისი", 'a "b"\n\\', "", "x" * 1024):
        assert values.text(right) == right
    for wrong in ("x" * 1025, "\ud800", 5, None, ["a"]):
        with pytest.raises(WrongError):
            values.text(wrong)


def test_messages_show_a_bounded_part_of_a_value() -> None:
    """A huge value does not make a huge message."""
    assert len(shown("x" * 10_000)) < 70
    assert shown(10**5000) == "a huge number"
    assert shown({"a": [1] * 1000}) == "a mapping"


def test_suggestions_are_near_or_absent() -> None:
    """A slip of the hand is recognised in any case of letters, a different word is not."""
    assert did_you_mean("Intervall", ["interval", "timeout"]) == "did you mean 'interval'?"
    assert did_you_mean("colour", ["interval", "timeout"]) == ""
