"""Addresses of devices: strict IPv4, canonical IPv6, host names by their syntax (RFC 1123, RFC 4291)."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from exporter.fields import WrongError

_DIGITS_AND_DOTS = re.compile(r"[0-9.]+")
#: The usual IPv4 address of one host, 1.0.0.0 to 223.255.255.255, which is canonical as it stands.
_PLAIN_IPV4 = re.compile(
    r"(?:[1-9][0-9]?|1[0-9]{2}|2[01][0-9]|22[0-3])"
    r"(?:\.(?:[0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])){3}"
)
_HOST_PART = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_DECIMAL = re.compile(r"[0-9]+")

EXPECTED = "an IP address or a host name"


def address(value: Any) -> str:
    """One host's address in canonical form, or a host name as it was written (not looked up)."""
    if not isinstance(value, str):
        raise WrongError(EXPECTED)
    if _PLAIN_IPV4.fullmatch(value):
        return value
    if ":" in value or _DIGITS_AND_DOTS.fullmatch(value):
        return str(_host(_ip(value)))
    return _host_name(value)


def ip_only(value: Any) -> str:
    """An IP address in canonical form; no host name."""
    if not isinstance(value, str) or not (":" in value or _DIGITS_AND_DOTS.fullmatch(value)):
        raise WrongError("an IP address")
    return str(_host(_ip(value)))


def family(canonical: str) -> int:
    """4 or 6 for an address, 0 for a host name."""
    if ":" in canonical:
        return 6
    return 4 if _DIGITS_AND_DOTS.fullmatch(canonical) else 0


def _ip(value: str) -> IPv4Address | IPv6Address:
    if ":" not in value:
        return _ipv4(value)
    if "%" in value:
        raise WrongError("an IPv6 address without a zone: link-local addresses are not probed")
    if value.startswith("["):
        raise WrongError("an IPv6 address without brackets and port")
    if value.count(":") == 1:
        raise WrongError("an address without a port")
    try:
        found = IPv6Address(value)
    except ValueError as error:
        raise WrongError(f"an IPv6 address: {_reason(error, value)}") from error
    # ::ffff:10.1.1.5 is an IPv4 host, and ICMPv6 does not reach it.
    return found.ipv4_mapped or found


def _ipv4(value: str) -> IPv4Address:
    parts = value.split(".")
    if len(parts) != 4:
        raise WrongError(f"an IPv4 address of 4 numbers, not {len(parts)}")
    for part in parts:
        if not part:
            raise WrongError("an IPv4 address with a number between its dots")
        if len(part) > 1 and part[0] == "0":
            plain = ".".join(str(int(piece)) if piece and len(piece) < 4 else piece for piece in parts)
            raise WrongError(f"no leading zero in {part!r}, which some programs read as octal: write {plain}")
        if len(part) > 3 or int(part) > 255:
            raise WrongError(f"an IPv4 address of numbers up to 255, not {part[:20]}")
    return IPv4Address(value)


def _reason(error: ValueError, value: str) -> str:
    """Python's reason without the value that it repeats."""
    return str(error).removesuffix(f" in {value!r}").removesuffix(f": {value!r}")


def _host(found: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if found.is_multicast:
        raise WrongError("the address of one device; this is a multicast address")
    if found.is_unspecified:
        raise WrongError("the address of one device; this one means 'no address'")
    if found == ip_address("255.255.255.255"):
        raise WrongError("the address of one device; this is the broadcast address")
    return found


def _host_name(value: str) -> str:
    if "/" in value and _DIGITS_AND_DOTS.fullmatch(value.replace("/", "")):
        raise WrongError("one address, without a prefix length")
    if not value.isascii():
        raise WrongError("a host name in ASCII (its xn-- form)")
    parts = value.removesuffix(".").split(".")
    if len(value) > 253 or not all(_HOST_PART.fullmatch(part) for part in parts):
        raise WrongError(f"{EXPECTED} (letters, digits, hyphens and dots; 63 between dots, 253 in all)")
    if _DECIMAL.fullmatch(parts[-1]):
        raise WrongError(f"{EXPECTED} (a name whose last part is a number is neither)")
    return value
