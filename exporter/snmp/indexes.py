"""The numbers behind a column's identifier, which name its row, as texts (RFC 2578, section 7.7).

The notation is snmp_exporter's: 0x0A1B for octets, 00:1A:... for addresses of Ethernet, upper case everywhere.
Numbers that an agent has left out at the end count as zeros, as there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from exporter.snmp.ber import MAX_ARCS, encode_oid

Arcs = tuple[int, ...]

#: Types whose first number says of which type the rest is.
COMBINED: Mapping[str, Mapping[int, str]] = {
    "InetAddress": {1: "InetAddressIPv4", 2: "InetAddressIPv6"},
    "InetAddressMissingSize": {1: "InetAddressIPv4", 2: "InetAddressIPv6"},
    "LldpPortId": {
        **{1: "DisplayString", 2: "DisplayString", 3: "PhysAddress48"},
        **{5: "DisplayString", 7: "DisplayString"},
    },
}
_ADDRESS_SIZES = {"InetAddressIPv4": 4, "IpAddr": 4, "InetAddressIPv6": 16, "PhysAddress48": 6}
_NUMBERS = frozenset({"gauge", "counter", "Integer", "Integer32"})
_STRINGS = frozenset({"OctetString", "DisplayString"})
#: Every type that an index may have.
TYPES = (*sorted(_NUMBERS), *sorted(_STRINGS), *_ADDRESS_SIZES, *COMBINED, "EnumAsInfo")

_INVALID = re.compile("[\udc80-\udcff]+")


def take(
    arcs: Arcs, kind: str, fixed_size: int = 0, *, implied: bool = False, states: Mapping[int, str] | None = None
) -> tuple[str, Arcs, Arcs]:
    """The text of the index in front, the numbers that it takes, and those behind it."""
    if kind in COMBINED:
        return _take_combined(arcs, kind)
    if kind in _ADDRESS_SIZES:
        head, rest = _split(arcs, _ADDRESS_SIZES[kind])
        return address(head, kind), head, rest
    if kind in _STRINGS:
        return _take_string(arcs, kind, len(arcs) if implied else fixed_size)
    head, rest = _split(arcs, 1)
    named = (states or {}) if kind == "EnumAsInfo" else {}
    return named.get(head[0], str(head[0])), head, rest


def _take_combined(arcs: Arcs, kind: str) -> tuple[str, Arcs, Arcs]:
    sized = kind != "InetAddressMissingSize"
    head, rest = _split(arcs, 2 if sized else 1)
    actual = COMBINED[kind].get(head[0])
    if actual is not None:
        text, used, rest = take(rest, actual)
        return text, head + used, rest
    # Of an unknown type: type, size and content together, or all there is where nothing says the size.
    return _take_string(arcs, "OctetString", head[1] + 2 if sized else len(arcs))


def _take_string(arcs: Arcs, kind: str, size: int) -> tuple[str, Arcs, Arcs]:
    """A string of `size` numbers, or of as many as its first number says if that is 0."""
    length: Arcs = ()
    if size == 0:
        length, arcs = _split(arcs, 1)
        size = length[0]
    content, rest = _split(arcs, size)
    octets = bytes(number & 0xFF for number in content)
    return utf8(octets) if kind == "DisplayString" else hexadecimal(octets), length + content, rest


def _split(arcs: Arcs, count: int) -> tuple[Arcs, Arcs]:
    # No identifier is longer than MAX_ARCS, whatever a length in it claims.
    count = min(count, MAX_ARCS)
    head = arcs[:count]
    return head + (0,) * (count - len(head)), arcs[count:]


def encoded(arcs: Arcs) -> bytes:
    """Numbers as they stand in an encoded identifier; those that cannot stand in any give what is found in none."""
    if all(0 <= number < 0x80 for number in arcs):
        return bytes(arcs)
    try:
        # The first two numbers share one byte.
        return encode_oid((0, 0, *arcs))[1:]
    except ValueError:
        return b"\x80"


def address(numbers: Sequence[int], kind: str) -> str:
    """4 numbers as 192.0.2.1, 6 as 00:1A:2B:3C:4D:5E, 16 as 2001:0DB8:..., which is never shortened."""
    if kind == "PhysAddress48":
        return ":".join([f"{number:02X}" for number in numbers])
    if kind == "InetAddressIPv6":
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        return ":".join([f"{high:02X}{low:02X}" for high, low in pairs])
    return ".".join(map(str, numbers))


def hexadecimal(octets: bytes) -> str:
    """0x0A1B, or nothing for nothing."""
    return f"0x{octets.hex().upper()}" if octets else ""


def utf8(octets: bytes) -> str:
    """Octets as text; a run of those that are no UTF-8 becomes one U+FFFD."""
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return _INVALID.sub("\ufffd", octets.decode(errors="surrogateescape"))
