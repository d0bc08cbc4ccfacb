"""Checks for single values: times, ratios, numbers, addresses, names.

Each takes the value as the format gave it and returns what is meant, or raises WrongError with what it
expected. Numbers and flags may also come as text, because CSV cells and http_sd labels know nothing else.
"""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from exporter.fields import Check, WrongError

MAX_TEXT = 1024
#: What one IPv4 datagram carries beside its header and ICMP's: 65,535 - 20 - 8.
MAX_PAYLOAD = 65_507
#: Our requests start with a cookie of this length, by which a reply is known to be ours.
MIN_PAYLOAD = 8

_UNITS = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION = re.compile(
    r"(?:([0-9]{1,9})d)?(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?"
    r"(?:([0-9]{1,9}(?:\.[0-9]{1,9})?)s)?(?:([0-9]{1,9}(?:\.[0-9]{1,9})?)ms)?"
)
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")

#: Label names that the exporter itself writes on its series.
OWN_LABELS = frozenset(
    {
        *(
            "device",
            "address",
            "site",
            "role",
            "priority",
            "hostname",
            "region",
            "provider",
            "vendor",
            "model",
        ),
        *("parent", "latitude", "longitude", "reason", "le"),
    }
)

#: RFC 2474 (CS), RFC 2597 (AF), RFC 3246 (EF), RFC 5865 (VA), RFC 8622 (LE).
DSCP_NAMES = {
    "BE": 0,
    "LE": 1,
    "VA": 44,
    "EF": 46,
    **{f"CS{number}": 8 * number for number in range(8)},
    **{f"AF{number}{drop}": 8 * number + 2 * drop for number in range(1, 5) for drop in range(1, 4)},
}


def text(value: Any) -> str:
    """Any text that a label can carry: at most MAX_TEXT characters, and valid as UTF-8."""
    if not isinstance(value, str):
        raise WrongError("text", unquoted=isinstance(value, bool | int | float))
    if len(value) > MAX_TEXT:
        raise WrongError(f"at most {MAX_TEXT} characters, not {len(value)}")
    if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise WrongError("text that is valid as UTF-8")
    return value


def name(value: Any) -> str:
    """Text that is not empty, in one line, with no blank at its ends."""
    found = text(value)
    if not found or found != found.strip() or not found.isprintable():
        raise WrongError("one line of text with no blank at its ends")
    return found


def device_name(value: Any) -> str:
    """A name that has a page: browsers walk `.` and `..` between slashes of an address, escaped or not."""
    found = name(value)
    if not {".", ".."}.isdisjoint(found.split("/")):
        raise WrongError("a name without `.` and `..` between slashes, which no address of a page can hold")
    return found


def flag(value: Any) -> bool:
    """true or false; as text also yes, no, 1 and 0."""
    if isinstance(value, bool):
        return value
    known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    found = known.get(value.lower()) if isinstance(value, str) else None
    if found is None:
        raise WrongError("true or false")
    return found


def whole(low: int, high: int, what: str = "a whole number") -> Check:
    """A check for an integer within [low, high]."""

    def check(value: Any) -> int:
        found = int(value) if isinstance(value, str) and _INTEGER.fullmatch(value) else value
        if type(found) is not int or not low <= found <= high:
            raise WrongError(f"{what} from {low} to {high}")
        return found

    return check


def number(low: float, high: float, what: str = "a number") -> Check:
    """A check for a finite number within [low, high]."""

    def check(value: Any) -> float:
        found = _float(value)
        if found is None or not low <= found <= high:
            raise WrongError(f"{what} from {low:g} to {high:g}")
        return found

    return check


def _float(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def ratio(value: Any) -> float:
    """`5%` or 0.05 as 0.05: 0 to 1."""
    percent = isinstance(value, str) and value.endswith("%")
    found = _float(value[:-1] if percent else value)
    if found is None or not 0 <= found <= (100 if percent else 1):
        raise WrongError("a ratio such as 5% or 0.05, from 0 to 1")
    return found / 100 if percent else found


def seconds(value: Any) -> float:
    """`500ms`, `1s`, `1m30s`, `1.5s`, `1h`, `1d` in seconds; larger units come first."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if found is None and isinstance(value, str) and value.startswith("-"):
        raise WrongError("a time that is not negative, such as 500ms, 1s or 5m")
    if found is None:
        raise WrongError("a time with a unit, such as 500ms, 1s, 1m30s, 1h or 1d")
    days, hours, minutes, whole_seconds, milliseconds = (float(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + whole_seconds + milliseconds / 1000


def duration(low: str, high: str) -> Check:
    """A check for a time within [low, high]."""
    least, most = seconds(low), seconds(high)

    def check(value: Any) -> float:
        found = seconds(value)
        if not least <= found <= most:
            raise WrongError(f"a time from {low} to {high}")
        return found

    return check


def show_seconds(value: float) -> str:
    """Seconds in the notation of the configuration: 90.5 is `1m30s500ms`."""
    rest = round(value * 1000)
    parts = []
    for unit, size in _UNITS.items():
        count, rest = divmod(rest, round(size * 1000))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def instant(value: Any) -> datetime:
    """ISO 8601 with an offset from UTC, such as 2025-03-01T22:00:00+04:00."""
    expected = "a date and time with its offset from UTC, such as 2025-03-01T22:00:00+04:00"
    if not isinstance(value, str):
        raise WrongError(expected)
    try:
        found = datetime.fromisoformat(value)
        # An offset may push a date out of the years that there are.
        offset = found.utcoffset()
        found.timestamp()
    except (ValueError, OverflowError) as error:
        raise WrongError(expected) from error
    if offset is None:
        raise WrongError(f"{expected} (the offset is missing)")
    return found


def dscp(value: Any) -> int:
    """0 to 63, or a name such as EF, AF41 or CS6."""
    found = DSCP_NAMES.get(value.upper()) if isinstance(value, str) else None
    if found is not None:
        return found
    checked: int = whole(0, 63, "a DSCP name such as EF, AF41 or CS6, or a number")(value)
    return checked


def label_name(value: Any) -> str:
    """A Prometheus label name that is not one of the exporter's own."""
    found = text(value)
    if not _LABEL_NAME.fullmatch(found):
        raise WrongError("a label name of letters, digits and _, with no digit in front")
    if found.startswith("__"):
        raise WrongError("a label name that does not start with __: Prometheus keeps those for itself")
    if found in OWN_LABELS:
        raise WrongError(f"another label name: the exporter writes {found!r} itself")
    return found


def url(value: Any) -> str:
    """An http or https URL with a host and without a password."""
    expected = "an http:// or https:// URL"
    if not isinstance(value, str):
        raise WrongError(expected)
    try:
        parts = urlsplit(value)
        port_is_right = parts.port is None or parts.port > 0
    except ValueError as error:
        raise WrongError(expected) from error
    clean = value.isprintable() and " " not in value and value.isascii()
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_is_right or not clean:
        raise WrongError(expected)
    if parts.username is not None or parts.password is not None:
        hint = "username and password_file, which no log shows"
        raise WrongError(hint, instead="a user name or password in the URL")
    return value
