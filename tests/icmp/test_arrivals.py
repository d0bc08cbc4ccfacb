"""What received packets are taken for: whole ones, cut ones, broken ones, and any bytes at all."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import ip_address

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.icmp.arrivals import Arrivals, Parser, words
from exporter.icmp.channel import RECEIVE_CONTROL, QueuedError
from exporter.icmp.packet import REASONS, ROW_BYTES
from tests.icmp.delivered import FAMILIES, HERE, THERE, error, parse, reply, request
from tests.simnet import packets
from tests.simnet.behaviour import ERRORS_V4, ERRORS_V6

COOKIE = int(np.frombuffer(b"8 bytes!", np.uint64)[0])
BOTH = pytest.mark.parametrize("family", FAMILIES)
#: How each kind of socket delivers packets.
KINDS = pytest.mark.parametrize(
    ("family", "raw"), [(family, raw) for family in FAMILIES for raw in (True, False)], ids=str
)


def fits(arrivals: Arrivals, family: int) -> list[bool]:
    """Which of them the prober would count for the request of `delivered.request`."""
    high, low = words(ip_address(THERE[family]).packed)
    whole = (arrivals.ident == 0x1234) & (arrivals.sequence == 7)
    whole &= (arrivals.high == high) & (arrivals.low == low)
    whole &= (arrivals.cookie == COOKIE) | ~arrivals.cookie_known
    found: list[bool] = whole.tolist()
    return found


@KINDS
def test_replies_are_read_alike_from_every_socket(family: int, raw: bool) -> None:
    """Identifier, sequence, cookie and source of a reply are found, with its TTL and stamp."""
    stamps = [1_700_000_000_123_456_789, 0, 5]
    arrivals = parse(family, [reply(request(family))] * 3, raw, stamps)
    assert fits(arrivals, family) == [True] * 3
    assert arrivals.cookie_known.all()
    assert not arrivals.reason.any()
    assert arrivals.stamp.tolist() == stamps
    header = raw and family == socket.AF_INET
    assert arrivals.ttl.tolist() == ([61, 61, 61] if header else [57, 0, 57])


@KINDS
@pytest.mark.parametrize("payload", [8, 9, 56, 57, 164, 165, 1001, 1400])
def test_replies_of_every_size_count(family: int, raw: bool, payload: int) -> None:
    """A reply longer than its row, or of odd size, is a reply; IP options change nothing."""
    asked = request(family, payload=payload)
    assert fits(parse(family, [reply(asked), reply(asked, options=True)], raw), family) == [True, True]


def kinds(family: int) -> list[str]:
    return list(ERRORS_V4 if family == socket.AF_INET else ERRORS_V6)


@BOTH
@pytest.mark.parametrize("quoted", [8, 15, 16, 64, 520])
@pytest.mark.parametrize("payload", [8, 57, 1400])
def test_errors_end_the_probe_that_they_quote(family: int, quoted: int, payload: int) -> None:
    """Each kind of error is matched by the request that it quotes; the cookie counts where it is quoted."""
    asked = request(family, payload=payload)
    arrivals = parse(family, [error(asked, kind, quoted) for kind in kinds(family)])
    assert [REASONS[reason] for reason in arrivals.reason] == kinds(family)
    assert all(fits(arrivals, family))
    assert arrivals.cookie_known.tolist() == [quoted >= 16] * len(kinds(family))


@BOTH
def test_errors_among_replies(family: int) -> None:
    """In one batch each packet is read as what it is."""
    asked = request(family)
    others = [request(family, sequence=8), request(family, cookie=b"another!")]
    batch = [reply(asked), error(asked, "host_unreachable"), *map(reply, others), error(asked, "ttl_exceeded", 8)]
    arrivals = parse(family, batch)
    assert [REASONS[reason] for reason in arrivals.reason] == ["", "host_unreachable", "", "", "ttl_exceeded"]
    assert fits(arrivals, family) == [True, True, False, False, True]


def test_options_in_a_quoted_header() -> None:
    """An error about a request that got IP options on its way is still about that request."""
    asked = request(socket.AF_INET)
    arrivals = parse(socket.AF_INET, [error(asked, "host_unreachable", size, options=True) for size in (8, 56)])
    assert fits(arrivals, socket.AF_INET) == [True, True]
    assert [REASONS[reason] for reason in arrivals.reason] == ["host_unreachable"] * 2


@BOTH
def test_a_reply_cut_short_fits_nothing(family: int) -> None:
    """Without the whole cookie there is no reply, whatever stood in the row before."""
    whole = reply(request(family))
    header = 20 if family == socket.AF_INET else 40
    cut = [whole[:length] for length in range(header, header + 16)]
    assert not any(fits(parse(family, cut), family))


@BOTH
def test_an_error_cut_short_fits_nothing(family: int) -> None:
    """An error that does not quote the request's whole ICMP header ends no wait."""
    asked = request(family)
    arrivals = parse(family, [error(asked, "host_unreachable", size) for size in range(8)])
    assert not arrivals.reason.any()
    assert not any(fits(arrivals, family))


@pytest.mark.parametrize("payload", [8, 57])
def test_a_single_flipped_bit_makes_a_raw_ipv4_reply_unfit(payload: int) -> None:
    """A raw IPv4 socket gets packets with wrong ICMP checksums; none of them counts."""
    whole = reply(request(socket.AF_INET, payload=payload))
    broken = [flipped(whole, bit) for bit in range(20 * 8, len(whole) * 8)]
    arrivals = parse(socket.AF_INET, broken)
    assert not any(fits(arrivals, socket.AF_INET))


def test_a_single_flipped_bit_makes_a_raw_ipv4_error_unfit() -> None:
    """Nor does an error whose checksum is wrong end a wait."""
    whole = error(request(socket.AF_INET), "host_unreachable", 16)
    broken = [flipped(whole, bit) for bit in range(20 * 8, len(whole) * 8)]
    arrivals = parse(socket.AF_INET, broken)
    assert not arrivals.reason.any()
    assert not any(fits(arrivals, socket.AF_INET))


def flipped(data: bytes, bit: int) -> bytes:
    at, mask = bit // 8, 1 << bit % 8
    return data[:at] + bytes((data[at] ^ mask,)) + data[at + 1 :]


@BOTH
def test_errors_about_other_protocols_are_not_ours(family: int) -> None:
    """An error that quotes a UDP packet with the same bytes in the place of ours is no error about a probe."""
    asked = request(family)
    at = 9 if family == socket.AF_INET else 6
    udp = asked[:at] + bytes((socket.IPPROTO_UDP,)) + asked[at + 1 :]
    assert not parse(family, [error(udp, "port_unreachable", 8)]).reason.any()


@BOTH
def test_errors_about_replies_are_not_about_requests(family: int) -> None:
    """An error that quotes a reply of this machine ends no wait."""
    assert not parse(family, [error(reply(request(family)), "host_unreachable")]).reason.any()


@BOTH
@given(rows=st.lists(st.binary(max_size=ROW_BYTES), min_size=1, max_size=20), raw=st.booleans())
def test_any_bytes_are_read_without_harm(family: int, rows: Sequence[bytes], raw: bool) -> None:
    """No packet, however malformed, raises; and what is neither a reply nor an error fits no probe."""
    memory = np.full((len(rows), ROW_BYTES), 0xAA, np.uint8)
    for row, data in zip(memory, rows, strict=True):
        row[: len(data)] = np.frombuffer(data, np.uint8)
    lengths = np.array([len(data) for data in rows], np.uint32)
    controls = np.frombuffer(memory.tobytes()[: RECEIVE_CONTROL.itemsize] * len(rows), RECEIVE_CONTROL)
    arrivals = Parser(family, raw).parse(memory, lengths, memory[:, :28].copy(), controls)
    assert {len(column) for column in arrivals} == {len(rows)}
    assert not any(fits(arrivals, family))
    assert (arrivals.reason < len(REASONS)).all()


@BOTH
@given(
    data=st.data(),
    start=st.sampled_from(["reply", "error"]),
    changes=st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_spoilt_packets_are_read_without_harm(
    family: int, data: st.DataObject, start: str, changes: list[tuple[int, int]]
) -> None:
    """Packets that are nearly right do not raise, and only right cookies are taken for right."""
    asked = request(family)
    whole = bytearray(reply(asked) if start == "reply" else error(asked, "host_unreachable"))
    first = 0 if family == socket.AF_INET else 40
    for at, value in changes:
        if at + first < len(whole):
            whole[at + first] = value
    length = data.draw(st.integers(first + 1, len(whole)))
    # The header's first byte says where the rest begins: the kernel delivers no packet that it does not fit.
    arrivals = parse(family, [bytes(whole[:length])])
    if fits(arrivals, family)[0] and start == "reply":
        assert b"8 bytes!" in whole


@BOTH
def test_queued_errors_are_read_like_any_others(family: int) -> None:
    """The error queue of a datagram socket tells the same as a raw socket's error packets."""
    destination = ip_address(THERE[family]).packed
    asked = request(family)[20 if family == socket.AF_INET else 40 :]
    table = ERRORS_V4 if family == socket.AF_INET else ERRORS_V6
    queued = [
        QueuedError(*code, destination, asked[:quoted]) for code in table.values() for quoted in (8, 12, 16, 64)
    ]
    arrivals = Parser(family, False).parse_queued(queued)
    assert [REASONS[reason] for reason in arrivals.reason] == [name for name in table for _ in range(4)]
    assert all(fits(arrivals, family))
    assert arrivals.cookie_known.tolist() == [False, False, True, True] * len(table)


@BOTH
def test_queued_messages_that_are_no_errors_end_nothing(family: int) -> None:
    """A redirect, a source quench, or a quote too short to tell the probe is passed over."""
    destination = ip_address(THERE[family]).packed
    asked = request(family)[20 if family == socket.AF_INET else 40 :]
    unreachable, redirect, quench = (3, 5, 4) if family == socket.AF_INET else (1, 137, 200)
    queued = [
        QueuedError(redirect, 1, destination, asked),
        QueuedError(quench, 0, destination, asked),
        QueuedError(unreachable, 1, destination, asked[:7]),
    ]
    assert len(Parser(family, False).parse_queued(queued).reason) == 0


def test_addresses_as_two_halves() -> None:
    """IPv4 addresses become mapped ones, so that both families are compared alike."""
    assert words(ip_address("10.1.2.3").packed) == (0, 0xFFFF_0A01_0203)
    assert words(ip_address("::ffff:10.1.2.3").packed) == words(ip_address("10.1.2.3").packed)
    assert words(ip_address("fd00::1").packed) == (0xFD00 << 48, 1)


def test_sources_of_replies_differ_between_this_machine_and_that() -> None:
    """The fixtures' own check: a request reflected by its target comes back from the target."""
    for family in FAMILIES:
        back = reply(request(family))
        at = 12 if family == socket.AF_INET else 8
        size = 4 if family == socket.AF_INET else 16
        assert back[at : at + size] == ip_address(THERE[family]).packed
        assert packets.intact(request(family))
        assert HERE[family] != THERE[family]
