"""Which class takes a device, and what the device gets from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.config import examine_settings
from exporter.errors import ConfigError
from exporter.inventory.classes import AddressGlob
from exporter.inventory.device import Limits, ProbeOptions, SnmpOptions
from exporter.inventory.sources import Sources
from tests.inventory.reading import read, read_text


@pytest.mark.parametrize(
    ("glob", "taken", "left"),
    [
        (
            "*.*.*.5",
            ["10.1.1.5", "255.0.0.5"],
            ["10.1.1.15", "10.1.5.1", "a.b.c.5x", "host", "2001:db8::5", "::5"],
        ),
        ("10.1.*", ["10.1.2.3"], ["10.11.2.3", "10.1.example"]),
        ("10.1.*.[5-7]", ["10.1.200.6"], ["10.1.2.65", "10.1.2.8"]),
        ("10.1.1.?", ["10.1.1.5"], ["10.1.1.55"]),
        ("10.1.1.1*", ["10.1.1.1", "10.1.1.15"], ["10.1.1.21"]),
        ("*.5", ["10.1.1.5"], ["10.1.1.15", "a.5"]),
        ("2001:DB8:*", ["2001:db8::1"], ["2001:db9::1"]),
        ("*.example", ["a.example", "A.B.Example"], ["10.1.1.5", "example"]),
        ("*", ["10.1.1.5", "host", "::1"], []),
    ],
)
def test_address_globs(glob: str, taken: list[str], left: list[str]) -> None:
    """A glob of numbers takes IPv4 addresses by whole numbers; others take names and IPv6 as text."""
    pattern = AddressGlob(glob)
    assert [address for address in (*taken, *left) if pattern.takes(address)] == taken


CONFIG = """
probe: {payload_bytes: 100, dscp: CS1, source: 10.0.0.1}
classes:
  - {name: named, match: {name: "x-*", site: "tb*"}, role: special, priority: 1, histogram: true}
  - {name: racked, match: {labels: {rack: a3}}, limits: {loss: 50%}, probe: {dont_fragment: true}}
  - {name: switches, match: {role: switch}, limits: {rtt: 1s, flap_changes: 9}, probe: {dscp: EF}}
  - {name: unnamed, match: {role: device}, priority: 5}
"""
DEVICES = """
devices:
  - {name: x-1, address: 10.1.1.1, site: tbilisi, role: switch}
  - {name: x-2, address: 10.1.1.2, site: tbilisi}
  - {name: x-3, address: 10.1.1.3, site: batumi, labels: {rack: a3}}
  - {name: sw, address: "2001:db8::1", role: switch, limits: {rtt: 2s}, probe: {payload_bytes: 8}}
  - {name: own, address: 10.1.1.4, probe: {source: 10.0.0.2}, priority: 2, histogram: false}
  - {name: none, address: 10.1.1.5, role: atm}
"""


def test_the_first_class_that_matches_gives_what_a_device_leaves_out(tmp_path: Path) -> None:
    """Own keys win over the class, the class over the settings, and no later class adds anything."""
    devices = read_text(tmp_path, DEVICES, config=CONFIG)
    shipped = ProbeOptions(100, 8, False, "10.0.0.1")
    found = {
        name: (device.role, device.priority, device.histogram, device.limits, device.probe)
        for name, device in devices.items()
    }
    assert found == {
        "x-1": ("switch", 1, True, Limits(), shipped),
        "x-2": ("special", 1, True, Limits(), shipped),
        "x-3": ("device", 3, False, Limits(loss=0.5), ProbeOptions(100, 8, True, "10.0.0.1")),
        # The settings' IPv4 source cannot serve an IPv6 device, which leaves it to the kernel.
        "sw": ("switch", 3, False, Limits(2.0, 0.1, 9), ProbeOptions(8, 46, False, "")),
        "own": ("device", 2, False, Limits(), ProbeOptions(100, 8, False, "10.0.0.2")),
        "none": ("atm", 3, False, Limits(), shipped),
    }


def test_isp_links_are_known_by_their_address(tmp_path: Path) -> None:
    """With the shipped classes an address that ends in .5 makes an ISP link, unless the device says else."""
    text = """devices:
  - {name: link, address: 10.1.1.5}
  - {name: server, address: 10.1.1.5, role: server, probe: {dscp: EF}}
  - {name: near, address: 10.1.1.15}
"""
    devices = read_text(tmp_path, text)
    assert {name: (one.role, one.priority) for name, one in devices.items()} == {
        "link": ("isp", 0),
        "server": ("server", 0),
        "near": ("device", 3),
    }


def test_sources_of_the_wrong_family_are_refused(tmp_path: Path) -> None:
    """A device's own source address must be able to reach it; a host name may be of either family."""
    text = 'devices:\n  - {{name: a, address: "{}", probe: {{source: 10.0.0.1}}}}\n'
    assert read_text(tmp_path, text.format("host"))["a"].probe.source == "10.0.0.1"
    with pytest.raises(ConfigError, match=r"2: devices\[0\]\.probe\.source: .* not of one address family"):
        read_text(tmp_path, text.format("::1"))


SNMP = """
snmp: {auths: {branch: {version: 2, community: public}, core: {version: 3, username: ward}}}
classes:
  - {name: switches, match: {role: switch}, snmp: {auth: branch, port: 1161, modules: [if_mib]}}
  - {name: printers, match: {role: printer}, snmp: {modules: [printer]}}
"""
POLLED = """
devices:
  - {name: plain, address: 10.1.1.1, role: switch}
  - {name: own, address: 10.1.1.2, role: switch, snmp: {auth: core, modules: [if_mib, ucd]}}
  - {name: by-its-id, address: 10.1.1.3, role: switch, snmp: {port: 161, modules: []}}
  - {name: printer, address: 10.1.1.4, role: printer, snmp: {auth: core}}
  - {name: quiet, address: 10.1.1.5, role: printer}
  - {name: alone, address: 10.1.1.6, role: server, snmp: {auth: branch}}
"""


def test_snmp_keys_of_a_device_win_over_those_of_its_class(tmp_path: Path) -> None:
    """Auth, port and modules come each from the device, else from its class; without an auth nothing is polled."""
    devices = read_text(tmp_path, POLLED, config=SNMP)
    assert {name: device.snmp for name, device in devices.items()} == {
        "plain": SnmpOptions("branch", 1161, ("if_mib",)),
        "own": SnmpOptions("core", 1161, ("if_mib", "ucd")),
        "by-its-id": SnmpOptions("branch", 161, ()),
        "printer": SnmpOptions("core", 161, ("printer",)),
        "quiet": None,
        "alone": SnmpOptions("branch"),
    }


def test_a_table_has_snmp_columns(tmp_path: Path) -> None:
    """The SNMP keys are columns of a CSV; several modules stand in one cell, separated by semicolons."""
    rows = (
        "name,address,snmp.auth,snmp.port,snmp.modules",
        "a,10.1.1.1,core,1161,if_mib; ucd",
        "b,b,core,,",
        "c,c,,,",
    )
    devices = read_text(tmp_path, "\n".join(rows), "devices.csv", SNMP)
    assert [device.snmp for device in devices.values()] == [
        SnmpOptions("core", 1161, ("if_mib", "ucd")),
        SnmpOptions("core"),
        None,
    ]


def test_snmp_keys_without_an_auth_are_told(tmp_path: Path) -> None:
    """A device that has SNMP keys, and no auth from anywhere, is a warning with its place."""
    (tmp_path / "devices.yml").write_text(
        "devices:\n  - {name: a, address: 10.1.1.1}\n  - {name: b, address: 10.1.1.2, snmp: {port: 1161}}\n"
    )
    (warning,) = read(tmp_path, "devices.yml", config=SNMP).warnings
    assert warning == (
        f"{tmp_path}/devices.yml:3: 'b' has SNMP keys and no auth, of its own or of its class: it is not polled"
    )


def test_classes_that_forget_the_links_are_told(tmp_path: Path) -> None:
    """One's own classes replace the shipped ones: if none of theirs makes ISP links, it is said."""
    switches = "classes: [{name: switches, match: {role: switch}}]\n"
    text = "devices: [{name: a, address: 10.1.1.5}, {name: b, address: 10.1.1.15}]\n"
    (tmp_path / "devices.yml").write_text(text)
    assert read(tmp_path, "devices.yml").warnings == ()
    (warning,) = read(tmp_path, "devices.yml", config=switches).warnings
    assert warning.startswith("no device is an ISP link, though the addresses of 1 end in .5, such as that of 'a'")
    (tmp_path / "devices.yml").write_text(text.replace("5}", "5, role: isp}", 1))
    assert read(tmp_path, "devices.yml", config=switches).warnings == ()


def test_an_auth_that_is_refused_is_told_once(tmp_path: Path) -> None:
    """What is wrong with an auth is no second problem at each device that names it; an unknown name is."""
    (tmp_path / "ward.yml").write_text(
        "inventory: [{file: devices.yml}]\n"
        "snmp: {auths: {branch: {version: 2}, core: {version: 3, username: ward}}}\n"
    )
    (tmp_path / "devices.yml").write_text(
        "devices:\n"
        "  - {name: a, address: 10.1.1.1, snmp: {auth: branch}}\n"
        "  - {name: b, address: 10.1.1.2, snmp: {auth: brnach}}\n"
        "  - {name: c, address: 10.1.1.3, snmp: {auth: public}}\n"
    )
    settings, problems = examine_settings(tmp_path / "ward.yml")
    assert [problem.path for problem in problems] == ["snmp.auths.branch"]
    with pytest.raises(ConfigError) as caught:
        Sources(settings).read()
    assert [str(problem) for problem in caught.value.problems] == [
        f"{tmp_path}/devices.yml:3: devices[1].snmp.auth: no auth has the name 'brnach'; did you mean 'branch'?",
        f"{tmp_path}/devices.yml:4: devices[2].snmp.auth: no auth has the name 'public'; "
        "snmp.auths in ward.yml has branch, core",
    ]
