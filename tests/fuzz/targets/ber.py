"""The SNMP codec: whatever a datagram holds is read, or is a BerError; by a known shape it reads the same."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from exporter.errors import BerError
from exporter.snmp import ber, decode

_KINDS = ("DisplayString", "OctetString", "PhysAddress48", "InetAddress")


def fuzz(data: bytes) -> None:
    with suppress(BerError):
        ber.message_number(data)
    try:
        response = ber.decode(data)
    except BerError:
        return
    if sum(len(oid) + len(value) for oid, _, value in response.varbinds) > len(data):
        raise AssertionError("more has been read than there is")
    if ber.Shape(data, response).read(data) != response:
        raise AssertionError("by its own shape it reads otherwise")
    for oid, tag, value in response.varbinds:
        _try(ber.decode_oid, oid)
        _try(ber.is_after, oid, value)
        _try(decode.number, tag, value)
        _try(decode.whole, tag, value)
        for kind in _KINDS:
            _try(decode.text, tag, value, kind)


def _try(function: Callable[..., object], *arguments: object) -> None:
    with suppress(BerError):
        function(*arguments)
