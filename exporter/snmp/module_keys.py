"""What may stand in a file of modules: the keys of snmp_exporter's format, and what is checked of their values."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from typing import Any

from exporter import values
from exporter.fields import Check, ListOf, MapOf, Table, WrongError, listed
from exporter.snmp import decode, indexes
from exporter.snmp.ber import parse_oid

#: Types of numbers, and of numbers that stand for words.
NUMERIC = ("gauge", "counter", "Float", "Double", "DateAndTime", "ParseDateAndTime", "NTPTimeStamp")
STATES = ("EnumAsInfo", "EnumAsStateSet", "Bits")
#: Types whose value becomes a label.
TEXTS = (
    *("DisplayString", "OctetString", "PhysAddress48", "InetAddressIPv4", "InetAddressIPv6", "IpAddr"),
    *indexes.COMBINED,
)


def _text(value: Any) -> str:
    # Of any length: help texts are whole paragraphs of MIBs.
    if not isinstance(value, str):
        raise WrongError("text")
    return value


def _pattern(expected: str, pattern: str) -> Check:
    allowed = re.compile(pattern)

    def check(value: Any) -> str:
        if not isinstance(value, str) or not allowed.fullmatch(value):
            raise WrongError(expected)
        return value

    return check


def _one_of(what: str, known: Iterable[str]) -> Check:
    words = tuple(known)

    def check(value: Any) -> str:
        if value not in words:
            raise WrongError(f"{what}: {listed(words)}")
        return str(value)

    return check


def _oid(value: Any) -> bytes:
    try:
        return parse_oid(value if isinstance(value, str) else "")
    except ValueError:
        raise WrongError("an object identifier such as 1.3.6.1.2.1.2.2") from None


#: What Go's regular expressions have, and Python's write in another way.
_GO_ONLY = re.compile(r"\\(.)|\[:(\w+):\]|\(\?<(?=\w)", re.DOTALL)
_WHOLE = re.compile(r"\^\(\?:(.*)\)\$", re.DOTALL)
_POSIX_CLASSES = {
    **{"alnum": "0-9A-Za-z", "alpha": "A-Za-z", "blank": r"\t ", "cntrl": r"\x00-\x1F\x7F", "digit": "0-9"},
    **{"graph": "!-~", "lower": "a-z", "print": " -~", "punct": r"!-/:-@\[-`{-~", "space": r"\s", "upper": "A-Z"},
    **{"word": r"\w", "xdigit": "0-9A-Fa-f"},
}


def _regex(value: Any) -> re.Pattern[str]:
    try:
        return _compiled(_text(value))
    except (re.error, OverflowError, RecursionError) as error:
        raise WrongError(f"a regular expression ({error})") from error


def _whole_regex(value: Any) -> re.Pattern[str]:
    """One that a whole text has to match: without the ^(?:...)$ that the generator puts around it."""
    inner = _WHOLE.fullmatch(_text(value))
    if inner:
        try:
            return _compiled(inner[1])
        except (re.error, OverflowError, RecursionError):
            # What looked like one pair of brackets was two.
            pass
    return _regex(value)


def _compiled(written: str) -> re.Pattern[str]:
    def python(found: re.Match[str]) -> str:
        if found[1]:
            return r"\Z" if found[1] == "z" else found[0]
        return _POSIX_CLASSES.get(found[2], found[0]) if found[2] else "(?P<"

    with warnings.catch_warnings():
        # That [[ may come to mean something else one day.
        warnings.simplefilter("ignore", FutureWarning)
        # \d and \w are ASCII's in Go.
        return re.compile(_GO_ONLY.sub(python, written), re.ASCII)


def _time_pattern(value: Any) -> str:
    try:
        return decode.python_pattern(_text(value))
    except ValueError as error:
        raise WrongError(f"a pattern of strptime(3), without {error}") from error


_name = _pattern("the name of a metric: letters, digits, _ and :", "[a-zA-Z_:][a-zA-Z0-9_:]*")
_label = _pattern("a label name of letters, digits and _", "(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
_any_number = values.number(-1e300, 1e300)
_enum_values = MapOf(values.whole(-(2**31), 2**32 - 1), _text)

_INDEX = Table(
    {
        "labelname": _label,
        "type": _one_of("a type of an index", indexes.TYPES),
        "fixed_size": values.whole(0, 65_535),
        "implied": values.flag,
        "enum_values": _enum_values,
    },
    required=("labelname", "type"),
)
_LOOKUP = Table(
    {
        "labels": ListOf(_label),
        "labelname": _label,
        "oid": _oid,
        "type": _one_of("a type of a lookup", dict.fromkeys([*indexes.TYPES, *NUMERIC, *STATES])),
        "display_hint": _text,
    },
    required=("labelname",),
)
_METRIC = Table(
    {
        "name": _name,
        "oid": _oid,
        "type": _one_of("a type", (*NUMERIC, *STATES, *TEXTS)),
        "help": _text,
        "indexes": ListOf(_INDEX),
        "lookups": ListOf(_LOOKUP),
        "enum_values": _enum_values,
        "regex_extracts": MapOf(
            _pattern("the end of a metric's name: letters, digits, _ and :", "[a-zA-Z0-9_:]*"),
            ListOf(Table({"regex": _whole_regex, "value": _text}, required=("regex",))),
        ),
        "scale": _any_number,
        "offset": _any_number,
        "datetime_pattern": _time_pattern,
        "display_hint": _text,
    },
    required=("name", "oid", "type"),
)
_AUTHS_MOVED = "it belongs into 'auths', as snmp_exporter has had it since 0.23"
_MODULE = Table(
    {
        "walk": ListOf(_oid),
        "get": ListOf(_oid),
        "metrics": ListOf(_METRIC),
        "max_repetitions": values.whole(0, 65_535),
        "retries": values.whole(0, 100),
        "timeout": values.duration("1ms", "1h"),
        "filters": ListOf(
            Table(
                {"oid": _oid, "targets": ListOf(_oid), "values": ListOf(_regex)},
                required=("oid", "targets", "values"),
            )
        ),
        "allow_nonincreasing_oids": values.flag,
        # Our sockets are unconnected, and take an answer from the address that was asked alone.
        "use_unconnected_udp_socket": values.flag,
    },
    hints={"version": _AUTHS_MOVED, "auth": _AUTHS_MOVED},
)
FILE = Table({"auths": lambda found: found, "modules": MapOf(values.name, _MODULE)})
AUTH = Table(
    dict.fromkeys(
        (
            *("version", "community", "username", "security_level", "password", "auth_protocol"),
            *("priv_protocol", "priv_password", "context_name"),
        ),
        _text,
    )
)
