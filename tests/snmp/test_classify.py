"""What devices are, by what they say of themselves: words of real products, and devices that nobody knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.snmp import ber
from exporter.snmp.ber import parse_oid
from exporter.snmp.classify import QUESTIONS, Class, Facts, classify, facts
from exporter.snmp.modules import shipped
from exporter.snmp.products import PRODUCTS
from tests.snmp.recorded import integer, octets, varbinds

KNOWN = [
    line.split(" | ") if line.count(" | ") == 4 else [*line.removesuffix(" |").split(" | "), ""]
    for line in (Path(__file__).parent / "products.txt").read_text().splitlines()
    if not line.startswith("#")
]


def of(enterprise: str, description: str = "", **more: Any) -> Class:
    return classify(Facts(parse_oid(f"1.3.6.1.4.1.{enterprise}"), description, **more))


@pytest.mark.parametrize(("enterprise", "vendor", "kind", "model", "description"), KNOWN)
def test_products_are_known_by_their_own_words(
    enterprise: str, vendor: str, kind: str, model: str, description: str
) -> None:
    """Vendor, type and model of the products that networks are made of, from what they say over SNMP."""
    found = of(enterprise, description.replace(r"\r", "\r").replace(r"\n", "\n"))
    assert (found.vendor, found.type, found.model) == (vendor, kind, model)


def test_every_product_of_the_table_is_among_them() -> None:
    """No entry of the table, and no pattern of an entry, stands there without a device that it is for."""
    seen = set()
    for enterprise, *_, description in KNOWN:
        oid = parse_oid(f"1.3.6.1.4.1.{enterprise}")
        product = max((one for one in PRODUCTS if oid.startswith(one.oid)), key=lambda one: len(one.oid))
        sign = next((one for one in product.signs if one.pattern.search(description)), None)
        seen |= {product.oid, sign}
    assert [product for product in PRODUCTS if product.oid not in seen] == []
    assert {sign for product in PRODUCTS for sign in product.signs} - seen == set()


def test_modules_of_every_class_are_shipped() -> None:
    """Whatever a device is, the modules to ask it by are there, `system` first."""
    for enterprise, *_, description in KNOWN:
        modules = of(enterprise, description).modules
        assert modules[0] == "system"
        assert shipped().keys() >= set(modules)


@pytest.mark.parametrize(
    ("enterprise", "description", "modules", "role"),
    [
        ("9.1.1208", "Cisco IOS Software, C2960S Software", ("system", "if_mib", "cisco"), "switch"),
        ("9.6.1.83", "SG300-28", ("system", "if_mib"), "switch"),
        ("14988.1", "RouterOS", ("system", "if_mib", "host_resources", "mikrotik"), "router"),
        ("8072.3.2.10", "Linux", ("system", "if_mib", "host_resources", "ucd"), "server"),
        ("2620.1.6.123", "Linux", ("system", "if_mib", "host_resources", "checkpoint"), "firewall"),
        ("318.1.3.27", "APC", ("system", "ups"), "power"),
        ("11.2.3.9.1", "JETDIRECT", ("system", "printer"), "printer"),
        ("41112.1.6", "UAP-AC-Pro", ("system", "if_mib"), "wireless"),
        ("6574.1", "Linux", ("system", "if_mib", "host_resources", "ucd"), "server"),
    ],
)
def test_class_says_the_role_and_the_modules(
    enterprise: str, description: str, modules: tuple[str, ...], role: str
) -> None:
    """A device has an inventory's role, and is asked for what devices of its kind and vendor have, only."""
    found = of(enterprise, description)
    assert (found.modules, found.role) == (modules, role)


@pytest.mark.parametrize(
    ("known", "kind", "modules"),
    [
        ({"ups": "Riello"}, "ups", ("system", "ups")),
        ({"printer": "Copier 3"}, "printer", ("system", "printer")),
        ({"bridge_ports": 24, "forwards": True}, "switch", ("system", "if_mib")),
        ({"bridge_ports": 2, "forwards": True}, "router", ("system", "if_mib")),
        ({"host": True, "bridge_ports": 2}, "server", ("system", "if_mib", "host_resources")),
        ({}, "", ("system", "if_mib")),
    ],
)
def test_a_device_of_no_known_vendor_is_what_it_can_do(
    known: dict[str, Any], kind: str, modules: tuple[str, ...]
) -> None:
    """Batteries, paper, bridge ports, forwarding and a host's values tell the type where no name does."""
    found = of("32473.1", "A thing", **known)
    assert (found.vendor, found.type, found.modules) == ("", kind, modules)
    assert of("9.1.9999", "Cisco Internetwork Operating System", **known).type == kind


def test_a_printer_tells_its_name() -> None:
    """The model of a printer that does not stand in its sysDescr is the printer's own name."""
    assert of("1347.41", "KYOCERA Printing System", printer="ECOSYS M2040dn").model == "ECOSYS M2040dn"
    assert of("1602.4.7", "Canon iR-ADV C3525 /P", printer="Canon").model == "iR-ADV C3525"


def test_facts_are_read_off_the_answers() -> None:
    """The answers to the questions become facts; what is absent or malformed says nothing."""
    answers = [
        ("1.3.6.1.2.1.1.2.0", ber.OBJECT_ID, parse_oid("1.3.6.1.4.1.9.1.1")),
        octets("1.3.6.1.2.1.1.1.0", "Cisco IOS " + "x" * 60_000),
        octets("1.3.6.1.2.1.43.5.1.1.16.1", "P\xf6stfach"),
        integer("1.3.6.1.2.1.17.1.2.0", 48),
        integer("1.3.6.1.2.1.4.1.0", 1),
        integer("1.3.6.1.2.1.25.1.1.0", 7, 0x43),
    ]
    assert {oid for oid, _, _ in varbinds(answers)} < set(QUESTIONS)
    found = facts(varbinds(answers))
    assert found == Facts(
        parse_oid("1.3.6.1.4.1.9.1.1"), found.description, None, "P\xf6stfach", 48, forwards=True, host=True
    )
    assert len(found.description) == 1000
    assert facts([]) == Facts()
    wrong = [(oid, ber.INTEGER, b"") for oid in QUESTIONS if oid != QUESTIONS[-1]]
    assert facts(wrong) == Facts()
    assert classify(Facts()) == Class(modules=("system", "if_mib"))


@given(st.binary(max_size=40), st.text(max_size=200), st.integers(0, 99), st.booleans())
def test_anything_is_classified(object_id: bytes, description: str, ports: int, forwards: bool) -> None:
    """Whatever a device says, it gets a class with modules."""
    found = classify(Facts(object_id, description, bridge_ports=ports, forwards=forwards))
    assert found.modules[:1] == ("system",)
