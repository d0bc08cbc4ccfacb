"""From answers to rows: what is one device, what it is called, what is known of it, what it is."""

from __future__ import annotations

from typing import Any, cast

import pytest

from exporter.config import DeviceClass, Match, Settings, load_settings
from exporter.inventory.classes import Classes
from exporter.inventory.device import Device
from exporter.snmp.ber import parse_oid
from exporter.snmp.classify import Class
from exporter.tools.discover_agents import Answer
from exporter.tools.discover_devices import Catalogue, Cataloguer, Findings, alike

SWITCH = Class("Cisco", "switch", "C2960X", "switch")
OBJECT_ID = parse_oid("1.3.6.1.4.1.9.1.1208")
MAC = b"\x00\x1b\x2c\x00\x00\x01"


def answer(name: str | bytes, what: Class = SWITCH, object_id: bytes = OBJECT_ID, engine: bytes = b"") -> Answer:
    octets = name.encode() if isinstance(name, str) else name
    return Answer("branch", octets, object_id, engine, what, cast(Any, None))


def found(answers: dict[str, Answer | None], **more: Any) -> Findings:
    """Findings of addresses that all answer pings."""
    spoken = {address: one for address, one in answers.items() if one is not None}
    return Findings(pings=set(answers), answers=spoken, **more)


def catalogue(
    findings: Findings, *devices: Device, site: str = "", resolved: dict[str, str] | None = None
) -> Catalogue:
    return Cataloguer(Classes(load_settings(None)), devices, resolved or {}, site).catalogue(findings)


def names(done: Catalogue) -> dict[str, str]:
    return {row.keys["address"]: row.keys["name"] for row in done.rows}


def remarks(done: Catalogue) -> dict[str, list[str]]:
    return {row.keys["address"]: row.remarks for row in done.rows}


def test_a_row() -> None:
    """Name, address, site, role, vendor, model and auth; of what only pings, the address."""
    done = catalogue(found({"10.1.0.11": answer("sw1"), "10.1.0.2": None}), site="tbilisi-01")
    assert [row.keys for row in done.rows] == [
        {"name": "10.1.0.2", "address": "10.1.0.2", "site": "tbilisi-01"},
        {
            "name": "sw1",
            "address": "10.1.0.11",
            "site": "tbilisi-01",
            "role": "switch",
            "vendor": "Cisco",
            "model": "C2960X",
            "snmp": {"auth": "branch"},
        },
    ]


def test_the_role_of_a_class_is_left_to_it() -> None:
    """A row with a role of its own would no longer be an ISP link; what the device is stands in a label."""
    (row,) = catalogue(found({"10.1.0.5": answer("ce", Class("MikroTik", "router", "", "router"))})).rows
    assert row.isp
    assert "role" not in row.keys
    assert row.keys["labels"] == {"type": "router"}


def test_a_type_that_is_no_role() -> None:
    """The role is one that inventories have, and the type goes into a label."""
    (row,) = catalogue(found({"10.1.0.9": answer("ups1", Class("APC", "ups", "", "power"))})).rows
    assert (row.keys["role"], row.keys["labels"]) == ("power", {"type": "ups"})


def test_rows_are_in_the_order_of_addresses() -> None:
    """By number and not by letter, IPv4 first."""
    every = ["10.1.0.2", "10.1.0.10", "10.2.0.1", "fd00::2", "fd00::10"]
    assert list(names(catalogue(found(dict.fromkeys(reversed(every)))))) == every


# Names.


def test_names() -> None:
    """sysName, else DNS, else the address; a sysName of nothing but blanks is none."""
    given = {"10.1.0.1": answer("rt1"), "10.1.0.2": answer(" \n"), "10.1.0.3": None, "10.1.0.4": None}
    done = catalogue(found(given, names={"10.1.0.3": "atm.example"}))
    assert list(names(done).values()) == ["rt1", "10.1.0.2", "atm.example", "10.1.0.4"]


def test_names_are_unique() -> None:
    """Those that share a name have the address behind it, each of them; where that is taken, too, a number."""
    given = ["switch", "switch", "switch-10.1.0.1", "core"]
    findings = found({f"10.1.0.{last}": answer(name) for last, name in enumerate(given, 1)})
    done = catalogue(findings, Device(name="core", address="10.9.0.1"))
    assert list(names(done).values()) == [
        "switch-10.1.0.1",
        "switch-10.1.0.2",
        "switch-10.1.0.1-2",
        "core-10.1.0.4",
    ]
    assert remarks(done)["10.1.0.4"] == ["core is in the inventory at 10.9.0.1: perhaps the same device"]


def test_hostile_names() -> None:
    """Octets that are no UTF-8, line ends and controls come out as one printable line."""
    (row,) = catalogue(found({"10.1.0.1": answer(b'sw\xff\xfe"1\r\n- {name: \x00evil}\x1b[2J')})).rows
    assert row.keys["name"] == 'sw\ufffd"1 - {name: evil} [2J'


# Several addresses.


def test_one_device_of_several_addresses() -> None:
    """Same name, product, engine and hardware addresses: one row, under the lowest address."""
    router = answer("rt1", engine=b"engine")
    findings = found(dict.fromkeys(["10.1.0.10", "10.1.0.9", "fd00::1"], router))
    findings.physical = dict.fromkeys(findings.answers, frozenset({MAC}))
    done = catalogue(findings)
    assert names(done) == {"10.1.0.9": "rt1"}
    assert remarks(done) == {"10.1.0.9": ["also answers at 10.1.0.10, fd00::1"]}
    assert done.merged == 2


@pytest.mark.parametrize(
    ("engines", "physical", "merged"),
    [
        ((b"e", b"e"), (frozenset(), frozenset()), True),
        ((b"", b""), (frozenset({MAC}), frozenset({MAC})), True),
        ((b"e", b"e"), (frozenset({MAC}), frozenset({MAC[::-1]})), False),
        ((b"e", b"f"), (frozenset({MAC}), frozenset({MAC})), False),
        ((b"e", b"e"), (frozenset({MAC}), None), False),
        ((b"", b""), (frozenset(), frozenset()), False),
    ],
)
def test_what_must_agree(
    engines: tuple[bytes, bytes], physical: tuple[frozenset[bytes] | None, ...], merged: bool
) -> None:
    """Engine and hardware addresses, as far as there are any; a name and a product alone are not enough."""
    places = ["10.1.0.1", "10.1.0.2"]
    findings = found({place: answer("sw", engine=engine) for place, engine in zip(places, engines, strict=True)})
    findings.physical = dict(zip(places, physical, strict=True))
    assert len(catalogue(findings).rows) == (1 if merged else 2)


def test_other_names_or_products_are_other_devices() -> None:
    """Hardware addresses are not even asked of devices whose name or product differs, or that have none."""
    other = parse_oid("1.3.6.1.4.1.2636.1.1")
    given = [
        answer("a"),
        answer("b"),
        answer("a", object_id=other),
        answer(""),
        answer(""),
        answer("c", object_id=b""),
    ]
    findings = found({f"10.1.0.{last}": one for last, one in enumerate(given, 1)})
    assert alike(findings) == []
    assert len(catalogue(findings).rows) == len(given)


def test_an_isp_link_is_a_row_of_its_own() -> None:
    """Of a router with two ISP links both are watched, and it is polled once, under the first of them."""
    places = ["10.1.0.1", "10.1.2.5", "10.1.1.5"]
    findings = found(dict.fromkeys(places, answer("rt1", engine=b"e")))
    findings.physical = dict.fromkeys(places, frozenset({MAC}))
    done = catalogue(findings)
    assert names(done) == {"10.1.1.5": "rt1", "10.1.2.5": "rt1-10.1.2.5"}
    assert remarks(done) == {"10.1.1.5": ["also answers at 10.1.0.1"], "10.1.2.5": ["an address of rt1"]}
    assert [row.isp for row in done.rows] == [True, True]
    assert ["snmp" in row.keys for row in done.rows] == [True, False]


# What is known.


def test_known_addresses_are_left_out() -> None:
    """They are listed with the name that they have there, and with their own where that is another."""
    findings = found({"10.1.0.1": answer("rt1"), "10.1.0.2": answer("new-name"), "10.1.0.3": None})
    done = catalogue(
        findings,
        Device(name="rt1", address="10.1.0.1"),
        Device(name="old-name", address="10.1.0.2"),
        Device(name="atm", address="10.1.0.3"),
    )
    assert done.rows == []
    told = [(one.address, one.device, one.own_name) for one in done.known]
    assert told == [("10.1.0.1", "rt1", ""), ("10.1.0.2", "old-name", "new-name"), ("10.1.0.3", "atm", "")]


def test_host_names_of_the_inventory() -> None:
    """A device that the inventory has by its host name is known where DNS was asked, and only there."""
    findings, device = found({"10.1.0.3": None}), Device(name="atm", address="atm.example")
    assert catalogue(findings, device, resolved={"atm.example": "10.1.0.3"}).rows == []
    assert len(catalogue(findings, device).rows) == 1


def test_further_addresses_of_known_devices() -> None:
    """They are no new devices, but for ISP links, which are watched on their own."""
    places = ["10.1.0.1", "10.1.0.2", "10.1.0.5"]
    findings = found(dict.fromkeys(places, answer("rt1", engine=b"e")))
    findings.physical = dict.fromkeys(places, frozenset({MAC}))
    done = catalogue(findings, Device(name="router", address="10.1.0.1"))
    assert [(one.device, one.own_name) for one in done.known] == [("router", "rt1")]
    assert done.further == [("10.1.0.2", "router")]
    assert names(done) == {"10.1.0.5": "router-10.1.0.5"}
    assert remarks(done) == {"10.1.0.5": ["an address of router"]}


def test_remarks() -> None:
    """What is odd about a device is said in its row."""
    findings = Findings(pings={"10.1.0.2"}, answers={"10.1.0.1": answer("sw1")}, strangers={"10.1.0.2"})
    assert remarks(catalogue(findings)) == {
        "10.1.0.1": ["answers SNMP, but no ping"],
        "10.1.0.2": ["has SNMPv3, but knows none of the users"],
    }


def test_classes_of_the_configuration() -> None:
    """Their roles decide what is an ISP link, and their ports where SNMP is asked."""
    classes = (
        DeviceClass("uplinks", Match(address="10.9.*.1"), role="isp"),
        DeviceClass("odd", Match(address="10.1.*.*"), snmp={"port": 1161}),
    )
    settings = Settings(load_settings(None).path, classes=classes)
    cataloguer = Cataloguer(Classes(settings), (), {}, "")
    assert [cataloguer.is_isp(address) for address in ("10.9.7.1", "10.1.0.5")] == [True, False]
    ports = [cataloguer.as_class(address, "branch").snmp for address in ("10.1.0.7", "10.9.7.1")]
    assert [options and options.port for options in ports] == [1161, 161]
