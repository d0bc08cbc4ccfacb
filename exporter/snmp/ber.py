"""SNMP messages as bytes and back: the PDUs of RFC 3416, SNMPv2c's frame around them, the BER of RFC 3417.

An object identifier stays in its encoded form, for the parts that matter are compared and looked up as they are; a
value stays bytes with its tag until somebody wants it. So a varbind costs a microsecond to take apart, and whatever
is wrong with a datagram is one error: BerError.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from exporter.errors import BerError

INTEGER, OCTET_STRING, NULL, OBJECT_ID, SEQUENCE = 0x02, 0x04, 0x05, 0x06, 0x30
IP_ADDRESS, COUNTER32, GAUGE32, TIME_TICKS, OPAQUE, COUNTER64 = 0x40, 0x41, 0x42, 0x43, 0x44, 0x46
NO_SUCH_OBJECT, NO_SUCH_INSTANCE, END_OF_MIB_VIEW = 0x80, 0x81, 0x82
GET, GET_NEXT, RESPONSE, GET_BULK = 0xA0, 0xA1, 0xA2, 0xA5
#: Tags that stand for an absent value.
ABSENT = frozenset({NO_SUCH_OBJECT, NO_SUCH_INSTANCE, END_OF_MIB_VIEW, NULL})

_VERSION_2C, VERSION_3 = b"\x02\x01\x01", b"\x02\x01\x03"
#: An identifier has at most so many numbers, each of 32 bits (RFC 2578, section 3.5).
MAX_ARCS = 128
_MAX_ARC = 2**32 - 1
#: No number in SNMP is longer than a Counter64 with its sign byte.
_MAX_INTEGER_BYTES = 9


#: One answer: its encoded identifier, the tag of its value, and the value's bytes.
VarBind = tuple[bytes, int, bytes]


class Response(NamedTuple):
    """A response: `error_index` counts from 1 and says which of the varbinds `error_status` is about.

    Both, and the request's number, are whatever the device wrote. The community is not kept: it is a secret.
    `size` is that of the message.
    """

    request_id: int
    error_status: int
    error_index: int
    varbinds: list[VarBind]
    size: int


def encode_oid(arcs: Sequence[int]) -> bytes:
    """The content of an OBJECT IDENTIFIER; ValueError where it cannot be one."""
    if not 2 <= len(arcs) <= MAX_ARCS or arcs[0] > 2 or (arcs[0] < 2 and arcs[1] > 39):
        raise ValueError(f"{'.'.join(map(str, arcs))} is no object identifier")
    out = bytearray()
    for arc in (arcs[0] * 40 + arcs[1], *arcs[2:]):
        if not 0 <= arc <= _MAX_ARC:
            raise ValueError(f"{arc} in {'.'.join(map(str, arcs))} is not a number of 32 bits")
        part = [arc & 0x7F]
        while arc := arc >> 7:
            part.append(arc & 0x7F | 0x80)
        out += bytes(reversed(part))
    return bytes(out)


def parse_oid(text: str) -> bytes:
    """`1.3.6.1` or `.1.3.6.1` as the content of an OBJECT IDENTIFIER; ValueError for anything else."""
    parts = text.removeprefix(".").split(".")
    if not all(part.isdecimal() and part.isascii() and len(part) <= 10 for part in parts):
        raise ValueError(f"{text!r} is no object identifier; expected numbers with dots between them")
    return encode_oid([int(part) for part in parts])


def arcs(content: bytes) -> tuple[int, ...]:
    """Encoded numbers, as of the part of an identifier behind a prefix; raises BerError."""
    if content.isascii():
        if len(content) > MAX_ARCS:
            raise BerError(f"an identifier of {len(content)} numbers; at most {MAX_ARCS} are allowed")
        return tuple(content)
    found = []
    arc = 0
    open_ = False
    for byte in content:
        if byte == 0x80 and not open_:
            raise BerError("a number in an identifier begins with nothing")
        arc = arc << 7 | byte & 0x7F
        open_ = byte > 0x7F
        if not open_:
            found.append(arc)
            arc = 0
            if len(found) > MAX_ARCS:
                raise BerError(f"an identifier of more than {MAX_ARCS} numbers")
        elif arc > _MAX_ARC >> 7:
            raise BerError("a number in an identifier exceeds 32 bits")
    if open_:
        raise BerError("an identifier ends within a number")
    return tuple(found)


def decode_oid(content: bytes) -> tuple[int, ...]:
    """A whole OBJECT IDENTIFIER; raises BerError."""
    numbers = arcs(content)
    if not numbers:
        raise BerError("an empty identifier")
    first = min(numbers[0] // 40, 2)
    return (first, numbers[0] - 40 * first, *numbers[1:])


def shown(content: bytes) -> str:
    """An identifier for a message: with dots, or in hexadecimal where it is none."""
    try:
        return ".".join(map(str, decode_oid(content)))
    except BerError:
        return content.hex()


def is_after(oid: bytes, former: bytes) -> bool:
    """Whether an identifier comes behind another in the order of walks; raises BerError."""
    if oid.isascii() and former.isascii():
        return oid > former
    return arcs(oid) > arcs(former)


def integer(value: bytes) -> int:
    """The content of an INTEGER; raises BerError."""
    if not 0 < len(value) <= _MAX_INTEGER_BYTES:
        raise BerError(f"an integer of {len(value)} bytes")
    return int.from_bytes(value, "big", signed=True)


def unsigned(value: bytes) -> int:
    """The content of a Counter, Gauge or TimeTicks, with or without its sign byte; raises BerError."""
    if not 0 < len(value) <= _MAX_INTEGER_BYTES or (len(value) == _MAX_INTEGER_BYTES and value[0]):
        raise BerError(f"an integer of {len(value)} bytes")
    return int.from_bytes(value, "big")


# Requests.


def element(tag: int, content: bytes) -> bytes:
    """A content with its tag and length."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def encode_integer(number: int) -> bytes:
    """A whole INTEGER, of a number that is not negative."""
    return element(INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True))


def encode_number(number: int) -> bytes:
    """The number of a request, which always takes four bytes: so every retry is as long as the first try."""
    return b"\x02\x04" + number.to_bytes(4, "big")


def encode_pdu(kind: int, number: int, oids: Sequence[bytes], max_repetitions: int = 0) -> bytes:
    """GET or GETNEXT of `oids`, or GETBULK of them, all of them repeated (RFC 3416, section 4.2.3)."""
    varbinds = b"".join([_asking(oid) for oid in oids])
    bounds = b"\x02\x01\x00" + encode_integer(max_repetitions)
    return element(kind, encode_number(number) + bounds + element(SEQUENCE, varbinds))


def _asking(oid: bytes) -> bytes:
    """A varbind with no value yet. Most are short, and a walk writes many of them."""
    size = len(oid)
    if size < 0x7C:
        return b"\x30%c\x06%c%b\x05\x00" % (size + 4, size, oid)
    return element(SEQUENCE, element(OBJECT_ID, oid) + b"\x05\x00")


class Request:
    """A request of SNMPv2c, with the community that it goes out under. Who asks it again and again keeps it."""

    def __init__(self, kind: int, community: bytes, oids: Sequence[bytes], max_repetitions: int = 0) -> None:
        pdu = encode_pdu(kind, 0, oids, max_repetitions)
        message = element(SEQUENCE, _VERSION_2C + element(OCTET_STRING, community) + pdu)
        # Behind the number stand two more, and the identifiers.
        place = len(message) - len(pdu) + pdu.index(encode_number(0))
        self._front, self._back = message[:place], message[place + len(encode_number(0)) :]
        self._shape: Shape | None = None
        self._answered = False

    def datagram(self, number: int) -> bytes:
        """The message; `number` is from 1 to 2^31 - 1."""
        return self._front + encode_number(number) + self._back

    def read(self, data: bytes) -> Response:
        """The answer to it; raises BerError."""
        response = self._shape.read(data) if self._shape is not None else None
        if response is None:
            response = decode(data)
            # What is asked only once is not worth a shape, nor is what is of another shape each time.
            self._shape = Shape(data, response) if self._answered and self._shape is None else None
            self._answered = True
        return response


# Responses.


def inside(data: bytes, at: int, tag: int, end: int) -> tuple[int, int]:
    """Start and end of the content of the element at `at`, which must have this tag and end by `end`.

    Raises BerError, or IndexError where the data ends too soon.
    """
    if data[at] != tag:
        raise BerError(f"tag {data[at]:#04x} where {tag:#04x} was expected")
    start, stop = _span(data, at + 1)
    if stop > end:
        raise BerError("an element is longer than what it stands in")
    return start, stop


def _span(data: bytes, at: int) -> tuple[int, int]:
    """Start and end of a content by its length at `at`."""
    length = data[at]
    at += 1
    if length > 0x7F:
        size = length & 0x7F
        if not 0 < size <= 4:
            raise BerError(f"a length of {size} bytes")
        length = int.from_bytes(data[at : at + size], "big")
        at += size
    return at, at + length


def message_number(data: bytes) -> int:
    """The number by which a message belongs to a request: of SNMPv2c the request's, of SNMPv3 the message's."""
    try:
        at, end = inside(data, 0, SEQUENCE, len(data))
        version = data[at : at + 3]
        if version == _VERSION_2C:
            _, at = inside(data, at + 3, OCTET_STRING, end)
            at, end = inside(data, at, RESPONSE, end)
        elif version == VERSION_3:
            at, end = inside(data, at + 3, SEQUENCE, end)
        else:
            raise BerError("neither SNMPv2c nor SNMPv3")
        start, stop = inside(data, at, INTEGER, end)
        return integer(data[start:stop])
    except IndexError:
        raise BerError("the message is cut off") from None


def decode(data: bytes) -> Response:
    """A response of SNMPv2c; raises BerError for anything else. The datagram's size bounds time and memory."""
    try:
        at, end = inside(data, 0, SEQUENCE, len(data))
        if data[at : at + 3] != _VERSION_2C:
            raise BerError("not a message of SNMPv2c")
        _, at = inside(data, at + 3, OCTET_STRING, end)
        return decode_pdu(data, at, end, RESPONSE)
    except IndexError:
        raise BerError("the message is cut off") from None


def decode_pdu(data: bytes, at: int, end: int, kind: int) -> Response:
    """The PDU of this kind at `at`, as `inside` finds it."""
    at, end = inside(data, at, kind, end)
    numbers = []
    for _ in range(3):
        start, at = inside(data, at, INTEGER, end)
        numbers.append(integer(data[start:at]))
    at, end = inside(data, at, SEQUENCE, end)
    return Response(numbers[0], numbers[1], numbers[2], _varbinds(data, at, end), len(data))


def _varbinds(data: bytes, at: int, end: int) -> list[VarBind]:
    """The varbinds between two places. Short ones are read in place: a poll's CPU goes into this loop."""
    found: list[VarBind] = []
    append = found.append
    while at < end:
        size = data[at + 1]
        middle = at + 4 + data[at + 3]
        # Where all three lengths fit into each other and the outer one is short, so are the inner ones.
        if (
            size < 0x80
            and size == middle - at + data[middle + 1]
            and data[at] == SEQUENCE
            and data[at + 2] == OBJECT_ID
        ):
            stop = at + 2 + size
            append((data[at + 4 : middle], data[middle], data[middle + 2 : stop]))
            at = stop
        else:
            varbind, at = _long_varbind(data, at, end)
            append(varbind)
    if at != end:
        raise BerError("a varbind is longer than the list that it stands in")
    return found


def _long_varbind(data: bytes, at: int, end: int) -> tuple[VarBind, int]:
    """The varbind at a place, with lengths of any form, and the place behind it."""
    start, stop = inside(data, at, SEQUENCE, end)
    start, middle = inside(data, start, OBJECT_ID, stop)
    if middle - start > 5 * MAX_ARCS:
        raise BerError(f"an identifier of {middle - start} bytes")
    value, last = _span(data, middle + 1)
    if last != stop:
        raise BerError("a varbind's lengths contradict each other")
    return (data[start:middle], data[middle], data[value:stop]), stop


class Shape:
    """All of a response but its number and its values: the next answer to the same request mostly has the same.

    Then its values are cut out all at once, which takes a fifth of the time of reading each varbind.
    """

    __slots__ = ("_first", "_fixed", "_oids", "_split", "_tags")

    def __init__(self, data: bytes, first: Response) -> None:
        """Of a message, and what `decode` has read in it."""
        at, parts = 0, []
        for start, stop in _places(data):
            parts += [start - at, stop - start]
            at = stop
        self._split = struct.Struct("".join([f"{size}s" for size in (*parts, len(data) - at)]))
        self._fixed = b"".join(self._split.unpack(data)[::2])
        self._first = first._replace(varbinds=[])
        self._oids = [oid for oid, _, _ in first.varbinds]
        self._tags = bytes(tag for _, tag, _ in first.varbinds)

    def read(self, data: bytes) -> Response | None:
        """What `decode` would read; None where the message is of another shape."""
        if len(data) != self._split.size:
            return None
        parts = self._split.unpack(data)
        if b"".join(parts[::2]) != self._fixed:
            return None
        _, status, index, _, size = self._first
        return Response(
            integer(parts[1]), status, index, list(zip(self._oids, self._tags, parts[3::2], strict=True)), size
        )


def _places(data: bytes) -> Iterator[tuple[int, int]]:
    """Where the contents of a response's number and values begin and end."""
    at, end = inside(data, 0, SEQUENCE, len(data))
    _, at = inside(data, at + len(_VERSION_2C), OCTET_STRING, end)
    at, end = inside(data, at, RESPONSE, end)
    number = inside(data, at, INTEGER, end)
    yield number
    _, at = inside(data, number[1], INTEGER, end)
    _, at = inside(data, at, INTEGER, end)
    at, end = inside(data, at, SEQUENCE, end)
    while at < end:
        start, at = inside(data, at, SEQUENCE, end)
        _, middle = inside(data, start, OBJECT_ID, at)
        yield _span(data, middle + 1)
