"""Values as they come from a device, as numbers and texts, in the notation of snmp_exporter."""

from __future__ import annotations

import calendar
import math
import re
import struct
from datetime import datetime, timedelta
from decimal import Decimal

from exporter.errors import BerError
from exporter.snmp import ber, indexes

#: Tags of numbers without a sign.
UNSIGNED = frozenset({ber.COUNTER32, ber.GAUGE32, ber.TIME_TICKS, ber.COUNTER64})
_FLOAT, _DOUBLE = b"\x9f\x78\x04", b"\x9f\x79\x08"

#: As much of a text is looked through by regular expressions: a device may send 64 KiB.
LONGEST_SEARCHED = 1024
#: Seconds from 1900, where NTP counts from, to 1970.
_NTP_EPOCH = 2_208_988_800
#: Directives of strptime(3) that Python's lacks, as those that it has.
_DIRECTIVES = {
    **{"D": "%m/%d/%y", "F": "%Y-%m-%d", "R": "%H:%M", "T": "%H:%M:%S", "r": "%I:%M:%S %p", "v": "%d-%b-%Y"},
    **{"e": "%d", "h": "%b", "k": "%H", "l": "%I", "n": " ", "t": " ", "P": "%p"},
    **{"c": "%a %b %d %H:%M:%S %Y", "x": "%m/%d/%y", "X": "%H:%M:%S"},
}
_PYTHON_DIRECTIVES = frozenset("aAbBdfHIjmMpSuUVwWyYzZG%")
_HINT = re.compile(r"(\*?)([0-9]{1,9})([dxoat])([^0-9*]?)((?<=[^0-9*])[^0-9*])?")


def number(tag: int, value: bytes) -> int | float:
    """The number in a value; 0 for one that is a text or address. Raises BerError where it is none at all."""
    if tag in UNSIGNED:
        return ber.unsigned(value)
    if tag == ber.INTEGER:
        return ber.integer(value)
    if tag == ber.OPAQUE:
        found = _opaque(value)
        return found if isinstance(found, float) else 0
    if tag in {ber.OCTET_STRING, ber.OBJECT_ID, ber.IP_ADDRESS}:
        return 0
    raise BerError(f"a value of the unknown tag {tag:#04x}")


def whole(tag: int, value: bytes) -> int:
    """The number in a value without its fraction; raises BerError where there is none."""
    try:
        return int(number(tag, value))
    except (ValueError, OverflowError):
        raise BerError("a float that is infinite or no number") from None


def text(tag: int, value: bytes, kind: str, hint: str = "") -> str:
    """A value as text; `kind` says how octets are meant, `hint` (RFC 2579, section 3.1) how they are shown."""
    if tag in UNSIGNED or tag == ber.INTEGER:
        return str(number(tag, value))
    if tag == ber.OCTET_STRING:
        return _octets(value, kind, hint)
    if tag == ber.OBJECT_ID:
        return ".".join(map(str, ber.decode_oid(value)))
    if tag == ber.IP_ADDRESS:
        return indexes.address(value, "InetAddressIPv6" if len(value) == 16 else "InetAddressIPv4")
    if tag == ber.OPAQUE:
        found = _opaque(value)
        return _plain(found, single=value.startswith(_FLOAT)) if isinstance(found, float) else _octets(found, "")
    raise BerError(f"a value of the unknown tag {tag:#04x}")


def _octets(value: bytes, kind: str, hint: str = "") -> str:
    shown = hinted(hint, value) if hint else None
    if shown is not None:
        return shown
    if kind == "DisplayString":
        return indexes.utf8(value)
    if kind == "OctetString" or kind not in indexes.TYPES:
        return indexes.hexadecimal(value)
    return indexes.take(tuple(value), kind)[0]


def _opaque(value: bytes) -> float | bytes:
    """The number that net-snmp's MIBs wrap into an Opaque, or its octets."""
    if len(value) == 7 and value.startswith(_FLOAT):
        return float(struct.unpack(">f", value[3:])[0])
    if len(value) == 11 and value.startswith(_DOUBLE):
        return float(struct.unpack(">d", value[3:])[0])
    return value


def _plain(found: float, *, single: bool) -> str:
    """The shortest digits that read back as the same number, without an exponent."""
    if not math.isfinite(found):
        return {"inf": "+Inf", "-inf": "-Inf"}.get(repr(found), "NaN")
    short = repr(found)
    if single:
        wanted = struct.pack(">f", found)
        tries = (f"{found:.{digits}g}" for digits in range(1, 10))
        short = next(digits for digits in tries if _as_single(float(digits)) == wanted)
    shown = f"{Decimal(short):f}"
    return shown.removesuffix(".0")


def _as_single(found: float) -> bytes:
    """Its bytes in single precision; none where it is too large, as the greatest ones are in few digits."""
    try:
        return struct.pack(">f", found)
    except OverflowError:
        return b""


# Times.


def date_and_time(value: bytes) -> int | None:
    """RFC 2579's DateAndTime in Unix time: 8 octets, in UTC, or 11 with an offset. None where it is none."""
    offset = 0
    if len(value) == 11:
        hours, minutes = value[9], value[10]
        if value[8] not in b"+-" or hours > 24 or minutes > 60:
            return None
        offset = (hours * 60 + minutes) * (60 if value[8] == ord("+") else -60)
    elif len(value) != 8:
        return None
    # A month of 13 or a day of 0 is that much later or earlier, as in Go; datetime would refuse it.
    years, month = divmod(int.from_bytes(value[:2], "big") * 12 + value[2] - 1, 12)
    days = _days(years, month + 1) + value[3] - 1
    seconds = (value[4] * 60 + value[5]) * 60 + value[6] + value[7] // 10
    return days * 86_400 + seconds - offset


def _days(year: int, month: int) -> int:
    """From 1970-01-01 to the first of a month of the Gregorian calendar, which repeats every 400 years."""
    cycles, year = divmod(year - 1, 400)
    return (datetime(year + 1, month, 1) - datetime(1970, 1, 1)).days + cycles * 146_097


def ntp_timestamp(value: bytes) -> int | None:
    """RFC 1305's 64 bits in Unix time, whole seconds. None where it is none."""
    return int.from_bytes(value[:4], "big") - _NTP_EPOCH if len(value) >= 8 else None


def python_pattern(pattern: str) -> str:
    """A pattern of strptime(3) as Python's strptime reads it; ValueError says which directive it may not have."""

    def one(found: re.Match[str]) -> str:
        letter = found[1]
        if letter not in _DIRECTIVES and letter not in _PYTHON_DIRECTIVES:
            raise ValueError(f"%{letter}")
        return _DIRECTIVES.get(letter, found[0])

    translated = re.sub("%(.?)", one, pattern)
    used = [letter for letter in re.findall("%(.)", translated) if letter != "%"]
    for letter in used:
        if used.count(letter) > 1:
            raise ValueError(f"%{letter} twice")
    return translated


def parse_time(found: str, pattern: str) -> int | None:
    """A text in Unix time by a pattern of `python_pattern`; in UTC where it has no offset. None where it fails."""
    try:
        moment = datetime.strptime(found[:LONGEST_SEARCHED], pattern)
        return calendar.timegm((moment - (moment.utcoffset() or timedelta())).timetuple())
    except (ValueError, OverflowError):
        return None


# Display hints.


def hinted(hint: str, value: bytes) -> str | None:
    """Octets by a DISPLAY-HINT (RFC 2579, section 3.1); None where there are none, or the hint is not for such."""
    parts = list(_HINT.finditer(hint))
    if not value or not parts or "".join(part[0] for part in parts) != hint:
        return None
    if parts[-1][1] == "" and int(parts[-1][2]) == 0:
        # The last part is used again and again; this one would never end.
        return None
    out = bytearray()
    at = turn = 0
    while at < len(value):
        star, size, form, separator, terminator = parts[min(turn, len(parts) - 1)].groups()
        turn += 1
        repeats = 1
        if star:
            repeats, at = value[at], at + 1
        elif terminator:
            return None
        for repeat in range(repeats):
            if at >= len(value):
                break
            octets, at = value[at : at + int(size)], at + int(size)
            if form in "do" and len(octets) > 8:
                return None
            out += _formatted(octets, form)
            if at < len(value) and not (terminator and repeat == repeats - 1):
                out += separator.encode()
        if terminator and at < len(value):
            out += terminator.encode()
    return indexes.utf8(bytes(out))


def _formatted(octets: bytes, form: str) -> bytes:
    if form in "at":
        return octets
    if form == "x":
        return octets.hex().upper().encode()
    return f"{int.from_bytes(octets, 'big'):{form}}".encode()
