"""Echo requests as they are built, and the arithmetic and tables that packets are read with."""

from __future__ import annotations

import socket

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.icmp import packet
from tests.icmp.delivered import FAMILIES
from tests.simnet.behaviour import ERRORS_V4, ERRORS_V6

numbers = st.integers(0, 0xFFFF)


def internet_checksum(data: bytes) -> int:
    """RFC 1071, section 4.1, word by word."""
    total = 0
    for at in range(0, len(data) - 1, 2):
        total += data[at] << 8 | data[at + 1]
    if len(data) % 2:
        total += data[-1] << 8
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def checksums(rows: list[bytes]) -> list[int]:
    words = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1).view(np.uint16)
    return [int.from_bytes(number.tobytes(), "big") for number in packet.checksum(words)]


@given(st.integers(1, 700).flatmap(lambda n: st.lists(st.binary(min_size=2 * n, max_size=2 * n), min_size=1)))
def test_checksum_is_the_one_of_rfc_1071(rows: list[bytes]) -> None:
    """Each row of a batch has the checksum that the RFC's own loop finds."""
    assert checksums(rows) == [internet_checksum(row) for row in rows]


def test_checksum_folds_every_carry() -> None:
    """The RFC's example, and sums whose carries make another carry."""
    assert checksums([bytes.fromhex("0001f203f4f5f6f7")]) == [0x220D]
    assert checksums([b"\xff" * 1400, b"\0" * 1400]) == [0, 0xFFFF]


@given(
    st.lists(st.tuples(numbers, numbers, st.integers(0, 2**64 - 1)), min_size=1, max_size=40),
    st.sampled_from([8, 56, 57, 1400]),
)
def test_requests_carry_what_they_were_given(probes: list[tuple[int, int, int]], payload: int) -> None:
    """Ident, sequence and cookie stand where RFC 792 has them, zeros follow, and the checksum covers it all."""
    buffer = packet.RequestBuffer(socket.AF_INET, 64, 56)
    buffer.rows[:, 2:16] = 0xAA  # what was written before must not show
    idents, sequences, cookies = (np.array(column, np.uint64) for column in zip(*probes, strict=True))
    buffer.fill(idents, sequences, cookies)
    for row, (ident, sequence, cookie) in zip(buffer.rows, probes, strict=False):
        message = row[: 8 + payload].tobytes().ljust(8 + payload, b"\0")
        assert message[:2] == b"\x08\0"
        assert (int.from_bytes(message[4:6], "big"), int.from_bytes(message[6:8], "big")) == (ident, sequence)
        assert message[8:16] == np.uint64(cookie).tobytes()
        assert not any(message[16:])
        assert internet_checksum(message) == 0


def test_icmpv6_checksums_are_left_to_the_kernel() -> None:
    """Only the kernel knows the source address that an ICMPv6 checksum covers."""
    buffer = packet.RequestBuffer(socket.AF_INET6, 2, 56)
    buffer.fill(np.array([1, 2]), np.array([3, 4]), np.array([5, 6], np.uint64))
    assert buffer.rows[:, :8].tolist() == [[128, 0, 0, 0, 0, 1, 0, 3], [128, 0, 0, 0, 0, 2, 0, 4]]


@given(st.integers(0, 10), st.integers(0, 10), st.binary(min_size=16, max_size=100))
def test_options_are_cut_out_of_both_headers(outer: int, inner: int, message: bytes) -> None:
    """Behind headers of any length the fields end up at the same places."""
    quoted = bytes((0x45 + inner,)) + bytes(19) + b"\1" * 4 * inner + message
    whole = bytes((0x45 + outer,)) + bytes(range(1, 20)) + b"\1" * 4 * outer + b"\3\1" + bytes(6) + quoted
    rows = np.full((1, packet.ROW_BYTES), 0xAA, np.uint8)
    kept = whole[: packet.ROW_BYTES]
    rows[0, : len(kept)] = np.frombuffer(kept, np.uint8)
    lengths = np.array([len(kept)], np.uint32)
    packet.strip_options(rows, lengths)
    packet.strip_quoted_options(rows, lengths)
    plain = b"\x45" + bytes(range(1, 20)) + b"\3\1" + bytes(6) + b"\x45" + bytes(19) + message
    assert lengths[0] == len(kept) - 4 * (outer + inner)
    assert rows[0, : lengths[0]].tobytes() == plain[: lengths[0]]


@pytest.mark.parametrize("family", FAMILIES)
def test_each_error_has_its_reason(family: int) -> None:
    """Every error of RFC 792, RFC 1812 and RFC 4443 that ends a probe is told apart, and nothing else is one."""
    table = packet.ERROR_REASONS[family]
    kinds = ERRORS_V4 if family == socket.AF_INET else ERRORS_V6
    for name, (kind, code) in kinds.items():
        assert packet.REASONS[table[kind, code]] == name
    assert packet.REASONS[table[3 if family == socket.AF_INET else 1, 200]] == "unreachable"
    others = set(range(256)) - ({3, 11, 12} if family == socket.AF_INET else {1, 2, 3, 4})
    assert not table[list(others)].any()
    assert len(set(packet.REASONS)) == len(packet.REASONS)
