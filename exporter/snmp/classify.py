"""What a device is, by what every device says of itself: sysObjectID, sysDescr, and values that any vendor has.

The table is in products.py. Of its entries the one with the longest identifier wins; in that the first pattern that
is found in sysDescr. What they leave open is settled by what the device can do: tell of batteries or paper, bridge
between ports, forward packets, be a host.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from exporter.errors import BerError
from exporter.snmp import ber, decode
from exporter.snmp.ber import VarBind, parse_oid
from exporter.snmp.products import PRODUCTS, Product

_DESCRIPTION = parse_oid("1.3.6.1.2.1.1.1.0")
_OBJECT_ID = parse_oid("1.3.6.1.2.1.1.2.0")
_UPS = parse_oid("1.3.6.1.2.1.33.1.1.1.0")
_PRINTER = parse_oid("1.3.6.1.2.1.43.5.1.1.16.1")
_BRIDGE_PORTS = parse_oid("1.3.6.1.2.1.17.1.2.0")
_FORWARDING = parse_oid("1.3.6.1.2.1.4.1.0")
_HOST = parse_oid("1.3.6.1.2.1.25.1.1.0")
#: What to ask a device for.
QUESTIONS = (_OBJECT_ID, _DESCRIPTION, _UPS, _PRINTER, _BRIDGE_PORTS, _FORWARDING, _HOST)

#: As much of a sysDescr is looked at; no standard allows more than 255.
_LONGEST = 1000
#: The roles of an inventory, for types that are none themselves.
_ROLES = {
    **{"access-point": "wireless", "wireless-controller": "wireless", "ups": "power", "pdu": "power"},
    "storage": "server",
}
#: What is asked of devices of a type, whoever made them; of others there is traffic to count.
_MODULES = {"ups": ("ups",), "pdu": (), "printer": ("printer",)}


@dataclass(frozen=True, slots=True)
class Facts:
    """What a device says of itself. `object_id` is encoded; None and "" stand for what it does not say."""

    object_id: bytes = b""
    description: str = ""
    ups: str | None = None
    printer: str | None = None
    bridge_ports: int = 0
    forwards: bool = False
    host: bool = False


@dataclass(frozen=True, slots=True)
class Class:
    """What a device is; "" stands for what is not known. `modules` are those to ask it by."""

    vendor: str = ""
    type: str = ""
    model: str = ""
    role: str = ""
    modules: tuple[str, ...] = ()


def facts(answers: Iterable[VarBind]) -> Facts:
    """What the answers to QUESTIONS say; a malformed one says nothing."""
    found = {oid: (tag, value) for oid, tag, value in answers}
    tag, object_id = found.get(_OBJECT_ID, (0, b""))
    return Facts(
        object_id if tag == ber.OBJECT_ID else b"",
        (_text(found.get(_DESCRIPTION)) or "")[:_LONGEST],
        _text(found.get(_UPS)),
        _text(found.get(_PRINTER)),
        _number(found.get(_BRIDGE_PORTS)),
        _number(found.get(_FORWARDING)) == 1,
        _HOST in found,
    )


def classify(known: Facts) -> Class:
    """The class of a device; of one that nothing is known of, one without a vendor and type."""
    product = _product_of(known.object_id)
    kind, model = (product.type, "") if product else ("", "")
    for sign in product.signs if product else ():
        match = sign.pattern.search(known.description)
        if match:
            kind, model = sign.type or kind, match.groupdict().get("model") or ""
            break
    kind = kind or _ability(known)
    return Class(
        product.vendor if product else "",
        kind,
        model or (known.printer if kind == "printer" else "") or "",
        _ROLES.get(kind, kind),
        _modules(product, kind, known),
    )


def _product_of(object_id: bytes) -> Product | None:
    fitting = [product for product in PRODUCTS if object_id.startswith(product.oid)]
    return max(fitting, key=lambda product: len(product.oid), default=None)


def _ability(known: Facts) -> str:
    if known.ups is not None:
        return "ups"
    if known.printer is not None:
        return "printer"
    # A bridge of two ports may be a telephone, or a host with a guest.
    if known.bridge_ports > 2:
        return "switch"
    if known.forwards:
        return "router"
    return "server" if known.host else ""


def _modules(product: Product | None, kind: str, known: Facts) -> tuple[str, ...]:
    modules = ["system", *_MODULES.get(kind, ("if_mib",))]
    if product:
        modules += product.modules
    elif known.host and kind not in _MODULES:
        modules.append("host_resources")
    return tuple(dict.fromkeys(modules))


def _text(found: tuple[int, bytes] | None) -> str | None:
    return decode.text(*found, "DisplayString") if found and found[0] == ber.OCTET_STRING else None


def _number(found: tuple[int, bytes] | None) -> int:
    try:
        return decode.whole(*found) if found else 0
    except BerError:
        return 0
