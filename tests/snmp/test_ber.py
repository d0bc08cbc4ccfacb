"""The codec against the agents' own encoder, and against bytes that nobody meant."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.errors import BerError
from exporter.snmp import ber
from tests.snmp import agents
from tests.snmp.agents import Oid, Row, tlv

numbers = st.one_of(st.integers(0, 300), st.integers(0, 2**32 - 1))
oids = st.one_of(
    st.builds(
        lambda a, b, rest: (a, b, *rest), st.integers(0, 1), st.integers(0, 39), st.lists(numbers, max_size=20)
    ),
    st.builds(lambda b, rest: (2, b, *rest), st.integers(0, 2**32 - 81), st.lists(numbers, max_size=20)),
)
values = st.tuples(st.integers(0, 255), st.one_of(st.binary(max_size=12), st.binary(min_size=120, max_size=300)))
rows = st.builds(lambda oid, value: (oid, *value), oids, values)
int32 = st.integers(-(2**31), 2**31 - 1)
MESSAGE = agents.message(
    1234,
    [
        ((1, 3, 6, 1, 2, 1, 1, 1, 0), ber.OCTET_STRING, b"a device" * 20),
        ((1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 6, 4_000_000_000), ber.COUNTER64, b"\0" + b"\xff" * 8),
        ((1, 3, 6, 1, 2, 1, 1, 2, 0), ber.OBJECT_ID, agents.oid_content((1, 3, 6, 1, 4, 1, 14988, 1))),
        ((1, 3, 6, 1, 2, 1, 1, 7, 0), ber.NO_SUCH_OBJECT, b""),
    ],
)
#: What fits into a datagram of UDP over IPv4.
LARGEST = 65_507


# What is well formed.


@given(oids)
def test_identifiers_come_back(oid: Oid) -> None:
    """Numbers of one to five bytes are encoded as the standard says, from text too, and read back."""
    content = ber.encode_oid(oid)
    assert content == agents.oid_content(oid)
    assert ber.decode_oid(content) == oid
    text = ".".join(map(str, oid))
    assert ber.parse_oid(text) == ber.parse_oid("." + text) == content


@given(oids, oids)
@example((1, 3, 6, 300), (1, 3, 6, 16_384))  # in the order of bytes the first comes last
def test_identifiers_are_in_the_order_of_their_numbers(one: Oid, other: Oid) -> None:
    """The order is that of walks: number by number, and a prefix before what it begins."""
    assert ber.is_after(ber.encode_oid(one), ber.encode_oid(other)) == (one > other)


@pytest.mark.parametrize(
    "text", ["", ".", "1", "1.", "1..3", "3.1", "1.40", "1.3.-6", "1.3.x", "1.3.4294967296", "1.³"]
)
def test_what_is_no_identifier_is_refused(text: str) -> None:
    """A configuration's identifier is numbers with dots between them, in the bounds of the standard."""
    with pytest.raises(ValueError, match=r"object identifier|32 bits"):
        ber.parse_oid(text)


def test_an_identifier_has_at_most_128_numbers() -> None:
    """As RFC 2578 has it, for those of a configuration."""
    assert ber.parse_oid("1.3" + ".1" * 126)
    with pytest.raises(ValueError, match="no object identifier"):
        ber.parse_oid("1.3" + ".1" * 127)


@given(st.integers(-(2**63), 2**64 - 1))
def test_numbers_come_back(number: int) -> None:
    """Whatever fits into 64 bits is exact, with its sign or without."""
    content = agents.signed(number)
    assert ber.integer(content) == number
    if number >= 0:
        assert ber.encode_integer(number) == tlv(2, content)
        assert ber.unsigned(content) == ber.unsigned(content.removeprefix(b"\0") or b"\0") == number


@pytest.mark.parametrize("read", [ber.integer, ber.unsigned])
@pytest.mark.parametrize("content", [b"", b"\1" * 10, b"\0" * 60_000])
def test_numbers_have_one_to_nine_bytes(read: Callable[[bytes], int], content: bytes) -> None:
    """An empty number is no zero, and a long one no number."""
    with pytest.raises(BerError, match="bytes"):
        read(content)


def test_a_counter_has_64_bits() -> None:
    """A ninth byte may only hold the sign."""
    assert ber.unsigned(b"\0" + b"\xff" * 8) == 2**64 - 1
    with pytest.raises(BerError):
        ber.unsigned(b"\1" + b"\0" * 8)


@given(st.integers(1, 2**31 - 1), st.sampled_from([ber.GET, ber.GET_NEXT]), st.lists(oids, max_size=12))
def test_an_agent_reads_our_requests(number: int, kind: int, asked: list[Oid]) -> None:
    """GET and GETNEXT say what was asked, under the number that they were given."""
    sent = ber.Request(kind, b"public", [ber.encode_oid(oid) for oid in asked]).datagram(number)
    assert agents.read_request(sent) == (kind, number, 0, 0, tuple(asked), (), len(sent))


@given(st.integers(1, 2**31 - 1), st.lists(oids, max_size=12), st.integers(0, 1000))
def test_an_agent_reads_our_bulk_requests(number: int, asked: list[Oid], repetitions: int) -> None:
    """GETBULK repeats everything that it asks for, as often as it was told."""
    sent = ber.Request(ber.GET_BULK, b"public", [ber.encode_oid(oid) for oid in asked], repetitions).datagram(
        number
    )
    assert agents.read_request(sent) == (ber.GET_BULK, number, 0, repetitions, tuple(asked), (), len(sent))


def test_a_retry_is_as_long_as_the_first_try() -> None:
    """The number takes four bytes whatever it is, so the size of a request can be planned."""
    request = ber.Request(ber.GET, b"public", [ber.parse_oid("1.3.6.1")])
    assert len({len(request.datagram(number)) for number in (1, 300, 2**31 - 1)}) == 1


@given(int32, int32, int32, st.lists(rows, max_size=40))
def test_responses_come_back(number: int, status: int, index: int, sent: list[Row]) -> None:
    """Every varbind of a response is found, with the bytes of its identifier and value as they were sent."""
    data = agents.message(number, sent, status, index)
    expected = [(agents.oid_content(oid), tag, value) for oid, tag, value in sent]
    assert ber.decode(data) == (number, status, index, expected, len(data))
    assert ber.message_number(data) == number


def test_longer_lengths_than_needed_are_read() -> None:
    """Many agents write every length in three bytes."""

    def long(tag: int, *contents: bytes) -> bytes:
        content = b"".join(contents)
        return bytes([tag, 0x82]) + len(content).to_bytes(2, "big") + content

    varbind = long(0x30, long(6, b"\x2b\6\1"), long(4, b"text"))
    pdu = long(ber.RESPONSE, long(2, b"\5"), long(2, b"\0"), long(2, b"\0"), long(0x30, varbind, varbind))
    data = long(0x30, b"\2\1\1", long(4, b"public"), pdu)
    assert ber.decode(data) == (5, 0, 0, [(b"\x2b\6\1", 4, b"text")] * 2, len(data))
    assert ber.message_number(data) == 5


# What is not.


def read_everything(data: bytes) -> None:
    """Do with a datagram whatever the exporter may do; only BerError may come of it."""
    for read in (ber.message_number, ber.decode):
        try:
            read(data)
        except BerError:
            continue
    try:
        varbinds = ber.decode(data).varbinds
    except BerError:
        return
    for oid, _, value in varbinds:
        for take in (ber.decode_oid, ber.arcs, ber.integer, ber.unsigned):
            for part in (oid, value):
                try:
                    take(part)
                except BerError:
                    continue
        try:
            ber.is_after(oid, value)
        except BerError:
            continue


@given(st.binary(max_size=2000))
def test_any_bytes_are_a_response_or_a_ber_error(data: bytes) -> None:
    """Noise raises nothing else."""
    read_everything(data)


@given(
    st.lists(rows, max_size=6), st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=6), st.integers(0)
)
def test_damaged_messages_are_responses_or_ber_errors(
    sent: list[Row], edits: list[tuple[int, int]], cut: int
) -> None:
    """Messages with some bytes changed, and cut, raise nothing else either: they get further than noise does."""
    data = bytearray(agents.message(7, sent))
    for place, byte in edits:
        data[place % len(data)] = byte
    read_everything(bytes(data))
    read_everything(bytes(data[: cut % len(data)]))


def test_a_message_cut_off_anywhere_is_refused() -> None:
    """However much of a message is missing, it is not taken for a whole one."""
    assert ber.decode(MESSAGE).request_id == 1234
    for size in range(len(MESSAGE)):
        with pytest.raises(BerError):
            ber.decode(MESSAGE[:size])


def framed(*varbinds: bytes) -> bytes:
    pdu = tlv(ber.RESPONSE, b"\2\1\7", b"\2\1\0", b"\2\1\0", tlv(0x30, *varbinds))
    return tlv(0x30, b"\2\1\1", tlv(4, b"public"), pdu)


@pytest.mark.parametrize(
    "varbind",
    [
        tlv(0x30, tlv(6, b"\x2b\6\1"), tlv(4, b"text"), b"\0"),  # more than a name and a value
        tlv(0x30, tlv(6, b"\x2b\6\1")),  # no value
        tlv(0x31, tlv(6, b"\x2b\6\1"), tlv(4, b"text")),
        tlv(0x30, tlv(4, b"\x2b\6\1"), tlv(4, b"text")),
        b"\x30\x09\x06\x7f\x2b\x06\x01\x04\x02hi",  # a name longer than its varbind
        b"\x30\x0c\x06\x03\x2b\x06\x01\x04\x05hi!",  # a varbind longer than the list
        b"\x30\x80\x06\x03\x2b\x06\x01\x05\x00\0\0",  # a length without end
        b"\x30\x85\0\0\0\0\x07\x06\x03\x2b\x06\x01\x05\x00",  # a length of five bytes
        b"\x30\x84\xff\xff\xff\xff\x06\x03\x2b\x06\x01\x05\x00",
    ],
)
def test_lengths_that_contradict_each_other_are_refused(varbind: bytes) -> None:
    """A varbind is a name and a value that fill it, and nothing in it reaches out of it."""
    with pytest.raises(BerError):
        ber.decode(framed(varbind))


@pytest.mark.parametrize("number", [b"", b"\1" * 10])
def test_a_request_number_has_one_to_nine_bytes(number: bytes) -> None:
    """A response without a number, or with one of ten bytes, belongs to nobody."""
    pdu = tlv(ber.RESPONSE, tlv(2, number), b"\2\1\0", b"\2\1\0", tlv(0x30))
    data = tlv(0x30, b"\2\1\1", tlv(4, b"public"), pdu)
    for read in (ber.decode, ber.message_number):
        with pytest.raises(BerError, match="bytes"):
            read(data)


@pytest.mark.parametrize("version", [0, 2, 3])
def test_other_versions_are_refused(version: int) -> None:
    """A response of SNMPv1 or v3 is not one of v2c; what is neither has no number."""
    data = tlv(0x30, tlv(2, bytes([version])), tlv(4, b"public"), tlv(ber.RESPONSE, b"\2\1\7\2\1\0\2\1\0\x30\0"))
    with pytest.raises(BerError, match="v2c"):
        ber.decode(data)
    with pytest.raises(BerError):
        ber.message_number(data)


def test_a_message_of_v3_has_a_number_of_its_own() -> None:
    """It stands in the header, and can be read without a key."""
    header = tlv(0x30, tlv(2, agents.signed(77_777)), tlv(2, agents.signed(65_507)), tlv(4, b"\3"), tlv(2, b"\3"))
    assert ber.message_number(tlv(0x30, b"\2\1\3", header, tlv(4, b"..."), tlv(4, b"..."))) == 77_777


@pytest.mark.parametrize("arc", [b"\1", b"\x81\0", b"\x80"])
def test_an_identifier_of_60000_numbers_is_refused(arc: bytes) -> None:
    """It is refused as a name with its message, and as a value when somebody reads it."""
    long = b"\x2b" + arc * (60_000 // len(arc))
    with pytest.raises(BerError, match="identifier"):
        ber.decode(framed(tlv(0x30, tlv(6, long), b"\5\0")))
    for read in (ber.decode_oid, ber.arcs):
        with pytest.raises(BerError, match="identifier"):
            read(long)
    with pytest.raises(BerError, match="identifier"):
        ber.is_after(long + b"\x81\0", b"\x2b")


@pytest.mark.parametrize("content", [b"", b"\x2b\x81", b"\x2b\x90\x80\x80\x80\x00", b"\x2b\x80\1"])
def test_broken_identifiers_are_refused(content: bytes) -> None:
    """An empty one, one that ends within a number, and ones with a number of more than 32 bits or with padding."""
    with pytest.raises(BerError, match="identifier"):
        ber.decode_oid(content)


def nested(depth: int) -> bytes:
    return b"".join(b"\x30\x82" + (4 * left).to_bytes(2, "big") for left in range(depth, -1, -1))


@pytest.mark.parametrize(
    "data",
    [
        nested(16_000),
        framed(tlv(0x30, tlv(6, b"\x2b"), nested(16_000))),
        framed(*[b"\x30\x04\x06\x00\x05\x00"] * ((LARGEST - 50) // 6)),
        framed(tlv(0x30, tlv(6, b"\x2b" + b"\x81\0" * 32_000), b"\5\0")),
        framed(tlv(0x30, b"\6\1\x2b", tlv(6, b"\xff" * 65_000))),
        framed(tlv(0x30, b"\6\1\x2b", tlv(2, b"\xff" * 65_000))),
    ],
    ids=["nesting", "nested value", "empty varbinds", "long name", "long identifier", "long number"],
)
def test_the_largest_datagrams_cost_little(data: bytes) -> None:
    """The worst that fits into a datagram is dealt with in a fraction of a second."""
    assert len(data) <= LARGEST
    began = time.process_time()
    read_everything(data)
    assert time.process_time() - began < 1


VALUES = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=200)), max_size=8)


def answer(number: int, values: list[tuple[int, bytes]]) -> bytes:
    """A response with these values."""
    return agents.message(number, [((1, 3, 6, 1, place), tag, value) for place, (tag, value) in enumerate(values)])


@given(VALUES, st.integers(0, 2**31 - 1), st.data())
def test_an_answer_of_a_known_shape_reads_as_any_other(
    values: list[tuple[int, bytes]], number: int, data: st.DataObject
) -> None:
    """Where only the values and the number are others, the message is read by its shape, and to the same result."""
    first = answer(number, values)
    shape = ber.Shape(first, ber.decode(first))
    others = [(tag, data.draw(st.binary(min_size=len(value), max_size=len(value)))) for tag, value in values]
    for second in (first, answer(number, others)):
        assert shape.read(second) == ber.decode(second)


@given(VALUES, st.data())
def test_an_answer_of_another_shape_is_not_read_by_it(values: list[tuple[int, bytes]], data: st.DataObject) -> None:
    """A byte changed anywhere: either it stands in a value, or the shape knows nothing of the message."""
    first = answer(5, values)
    shape = ber.Shape(first, ber.decode(first))
    place = data.draw(st.integers(0, len(first) - 1))
    second = first[:place] + bytes([data.draw(st.integers(0, 255))]) + first[place + 1 :]
    found = shape.read(second)
    assert found is None or found == ber.decode(second)
    assert shape.read(first + b"\0") is None


def test_a_request_that_is_asked_again_reads_every_answer() -> None:
    """Whatever the answers before were like, each is read for what it is, and a broken one is refused."""
    request = ber.Request(ber.GET, b"public", [b"\x2b\6\1"])
    for values in ([(4, b"one")], [(4, b"two")], [(4, b"red")], [(4, b"three")], [(2, b"red")], [(4, b"blu")]):
        for _ in range(3):
            data = answer(7, values)
            assert request.read(data) == ber.decode(data)
            with pytest.raises(BerError):
                request.read(data[:-1])
