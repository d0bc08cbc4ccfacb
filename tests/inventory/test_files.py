"""Inventory files in every format: what is read, what is refused, and in which words."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.config import load_settings
from exporter.document import MAX_BYTES, parse
from exporter.errors import ConfigError, Problem
from exporter.inventory.build import build
from exporter.inventory.device import Device, Limits, ProbeOptions, Site, Window
from exporter.inventory.parse import DEVICE, SITE, Entries, parse_inventory, without_port
from tests.config.test_settings import expected
from tests.inventory.reading import read, read_text

HERE = Path(__file__).parent
TBILISI = timezone(timedelta(hours=4))


def test_table_and_fixtures_name_the_same_files() -> None:
    """No fixture is forgotten: a refused file is in the table, unless it is merely without devices."""
    files = {path.name for path in HERE.glob("*.bad.*")}
    without_devices = {"header-only.bad.csv", "nothing.bad.json", "nothing.bad.yml"}
    assert set(expected(HERE)) - {"ward.yml"} == files - without_devices


@pytest.mark.parametrize("name", sorted(path.name for path in HERE.glob("*.bad.*")))
def test_bad_files_are_refused_with_every_problem(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused inventory names all its problems, each with file, line, path, found and expected."""
    monkeypatch.chdir(HERE)
    with pytest.raises(ConfigError) as caught:
        read(Path(), name)
    table = expected(HERE)
    assert str(caught.value).splitlines() == table.get(name, table["ward.yml"][:1])


def test_a_branch_file_becomes_devices_and_sites() -> None:
    """Own keys, classes, the site's region and coordinates, and merge keys all end up in the devices."""
    inventory = read(HERE, "branch.good.yml")
    night = Window(datetime(2025, 3, 1, 22, tzinfo=TBILISI), datetime(2025, 3, 2, 2, tzinfo=TBILISI))
    may = Window(datetime(2025, 5, 1, tzinfo=UTC), datetime(2025, 5, 1, 4, tzinfo=UTC))
    site = Site(name="tbilisi-01", region="თბილისი", latitude=41.72, longitude=44.78, maintenance=(night,))
    assert inventory.sites == {
        "tbilisi-01": site,
        "batumi-01": Site(name="batumi-01", local_uplinks=True),
        "kutaisi-01": Site(name="kutaisi-01"),
    }
    at_site: dict[str, Any] = {
        "site": "tbilisi-01",
        "region": "თბილისი",
        "latitude": 41.72,
        "longitude": 44.78,
        "maintenance": (night,),
    }
    labels = (("note", 'a "quoted"\nnote'), ("rack", "a3"), ("room", "ოთახი"))
    switch: dict[str, Any] = {**at_site, "role": "switch", "parent": "tbilisi-01-rt1", "labels": labels}
    assert inventory.devices == (
        Device(
            name="tbilisi-01-isp-a",
            address="10.1.1.5",
            role="isp",
            priority=0,
            provider="magti",
            limits=Limits(0.1, 0.05, 2),
            **at_site,
        ),
        Device(name="tbilisi-01-sw1", address="10.1.1.11", **switch),
        Device(name="tbilisi-01-sw2", address="10.1.1.12", **switch),
        Device(
            name="tbilisi-01-rt1",
            address="2001:db8::1",
            hostname="rt1.tbilisi.example",
            site="tbilisi-01",
            role="router",
            priority=1,
            region="Kakheti",
            provider="silknet",
            vendor="Juniper",
            model="MX204",
            latitude=41.0,
            longitude=45.0,
            limits=Limits(0.05, 0.01, 4),
            probe=ProbeOptions(1400, 34, True, "2001:db8::9"),
            histogram=True,
            maintenance=(may, night),
        ),
        Device(name="batumi-01-srv", address="srv.batumi.example", site="batumi-01"),
        Device(name="kutaisi-01-atm1", address="10.1.3.7", site="kutaisi-01", role="atm"),
    )
    assert inventory.warnings == ()


def test_the_demonstration_inventory_is_right() -> None:
    """What `serve` shows without a configuration: twelve loopback devices, four of them ISP links."""
    settings = load_settings(None)
    inventory = read(settings.path.parent, "demo.yml")
    assert len(inventory.devices) == 12
    assert [device.name for device in inventory.devices if device.role == "isp"] == [
        "tbilisi-01-isp-a",
        "tbilisi-01-isp-b",
        "batumi-01-isp-a",
        "kutaisi-01-isp-a",
    ]
    elsewhere = {device.address for device in inventory.devices if not device.address.startswith("127.")}
    assert elsewhere == {"::1", "localhost"}
    assert inventory.warnings == ()


ROWS = {
    "a": {"name": "a", "address": "10.1.1.5", "site": "s", "labels": {"rack": "a3", "note": "one\ntwo"}},
    "b": {
        "name": "b",
        "address": "10.1.1.6",
        "priority": 2,
        "latitude": 41.5,
        "histogram": True,
        "limits": {"rtt": "50ms", "loss": 0.01},
        "probe": {"dscp": "EF"},
        "maintenance": [
            {"start": "2025-05-01T00:00:00Z", "end": "2025-05-01T04:00:00Z"},
            {"start": "2025-06-01T00:00:00Z", "end": "2025-06-01T04:00:00Z"},
        ],
    },
}
TABLE = (
    "name,address,site,labels.rack,labels.note,priority,latitude,histogram,limits.rtt,limits.loss,probe.dscp,"
    "maintenance\n"
    'a,10.1.1.5,s,a3,"one\ntwo",,,,,,,\n'
    "b , 10.1.1.6,,,,2,41.5,true,50ms,1%,EF,"
    '"2025-05-01T00:00:00Z/2025-05-01T04:00:00Z; 2025-06-01T00:00:00Z/2025-06-01T04:00:00Z"\n'
)


def test_all_formats_say_the_same(tmp_path: Path) -> None:
    """One inventory as YAML, JSON and CSV gives equal devices."""
    as_json = json.dumps({"devices": list(ROWS.values())})
    from_json = read_text(tmp_path, as_json, "a.json")
    assert list(from_json) == ["a", "b"]
    assert len(from_json["b"].maintenance) == 2
    assert read_text(tmp_path, as_json, "b.yml") == from_json
    assert read_text(tmp_path, TABLE, "c.csv") == from_json
    assert read_text(tmp_path, "\ufeff" + TABLE.replace(",", ";"), "d.csv") == from_json


def test_http_sd_groups_become_devices(tmp_path: Path) -> None:
    """Labels with our names are device keys, __meta labels nothing, all others the device's own labels."""
    groups = [
        {
            "targets": ["10.1.1.5:161"],
            "labels": {
                "device": "a",
                "site": "s",
                "priority": "1",
                "latitude": "41.5",
                "rack": "a3",
                "vendor": "",
                "__meta_netbox_id": "7",
            },
        },
        {"targets": ["[2001:db8::1]:80", "2001:db8::2", "host.example:80"], "labels": {"role": "server"}},
        {"targets": []},
    ]
    devices = read_text(tmp_path, json.dumps(groups), "sd.json")
    assert list(devices) == ["a", "2001:db8::1", "2001:db8::2", "host.example"]
    assert devices["a"] == Device(
        name="a",
        address="10.1.1.5",
        site="s",
        role="isp",
        priority=1,
        latitude=41.5,
        labels=(("rack", "a3"),),
        limits=Limits(0.1, 0.05, 2),
    )
    assert devices["2001:db8::1"].role == "server"


@pytest.mark.parametrize(
    ("target", "address"),
    [
        ("10.1.1.5", "10.1.1.5"),
        ("10.1.1.5:161", "10.1.1.5"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("[::1]:80", "::1"),
        ("[::1", "[::1"),
        ("[::1]80", "[::1]80"),
        ("host:http", "host:http"),
    ],
)
def test_ports_of_targets(target: str, address: str) -> None:
    """The port of a target is dropped; what is no target is left for the address check to refuse."""
    assert without_port(target) == address


def test_one_address_twice_is_a_warning_unless_the_marks_differ(tmp_path: Path) -> None:
    """A device may be probed under several DSCP marks; the same probe twice is told, with both places."""
    (tmp_path / "a.yml").write_text(
        "devices:\n"
        "  - {name: a, address: 10.1.1.1}\n"
        "  - {name: b, address: 10.1.1.1, probe: {dscp: EF}}\n"
        "  - {name: c, address: 10.1.1.1}\n"
    )
    file = tmp_path / "a.yml"
    assert read(tmp_path, "a.yml").warnings == (f"{file}:4: 'c' has the address 10.1.1.1 of 'a' ({file}:2)",)


def test_names_are_unique_over_all_files(tmp_path: Path) -> None:
    """A device or site that two files define is refused, naming both places."""
    (tmp_path / "a.yml").write_text("sites: {s: {}}\ndevices:\n  - {name: x, address: 10.1.1.1}\n")
    (tmp_path / "b.csv").write_text("name,address\nx,10.1.1.2\n")
    (tmp_path / "c.json").write_text('{\n"sites": {"s": {}}}')
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, "a.yml", "b.csv", "c.json")
    assert [str(problem) for problem in caught.value.problems] == [
        f"{tmp_path}/c.json:2: sites.s: the site 's' stands already at {tmp_path}/a.yml:1",
        f"{tmp_path}/b.csv:2: devices[0].name: 'x' is already the name of the device at {tmp_path}/a.yml:3",
    ]


def test_problems_of_all_files_come_together(tmp_path: Path) -> None:
    """A broken file does not hide what is wrong with the others."""
    (tmp_path / "a.yml").write_text("devices: [")
    (tmp_path / "b.yml").write_text("devices: [{name: x, address: 10.1}]")
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, "*.yml", "missing.yml", "no/*.csv")
    files = [Path(problem.file).name for problem in caught.value.problems]
    assert files == ["a.yml", "b.yml", "missing.yml", "ward.yml"]
    assert "no file matches 'no/*.csv'" in caught.value.problems[-1].message


def test_globs_take_files_once_and_in_order(tmp_path: Path) -> None:
    """A file that two patterns match is read once; folders and hidden files are not read."""
    (tmp_path / "deep" / "er.yml").mkdir(parents=True)
    (tmp_path / "b.yml").write_text("devices: [{name: b, address: 10.1.1.2}]")
    (tmp_path / "a.yml").write_text("devices: [{name: a, address: 10.1.1.1}]")
    (tmp_path / ".a.yml").write_text("not: [an inventory")
    (tmp_path / "deep" / "c.yml").write_text("devices: [{name: c, address: 10.1.1.3}]")
    inventory = read(tmp_path, "*.yml", f"{tmp_path}/a.*", "**/*.yml")
    assert [device.name for device in inventory.devices] == ["a", "b", "c"]


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    """A 50 MB inventory is refused by its size, before it is read."""
    with (tmp_path / "a.csv").open("wb") as file:
        file.truncate(50_000_000)
    with pytest.raises(ConfigError, match=f"has 50000000 bytes; the limit is {MAX_BYTES}"):
        read(tmp_path, "a.csv")


def test_long_and_georgian_labels(tmp_path: Path) -> None:
    """A label may hold 1,024 characters of any alphabet, and not one more."""
    text = "devices:\n  - {name: a, address: a, labels: {note: " + "ა" * 1024 + "}}\n"
    assert read_text(tmp_path, text)["a"].labels == (("note", "ა" * 1024),)
    with pytest.raises(ConfigError, match="at most 1024 characters, not 1025"):
        read_text(tmp_path, text.replace("ა}", "აა}"))


KEYS = st.sampled_from([*DEVICE.keys, *SITE.keys, "devices", "sites", "targets", "rack", "start", "end"])
NUMBER = st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
SCALAR = NUMBER | st.none() | st.text(max_size=9) | KEYS | st.just("10.1.1.5")


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Lists and mappings of `inner`, with keys that an inventory may have."""
    return st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=4)


VALUE = st.recursive(SCALAR, containers, max_leaves=12)


def outcome(kind: str, data: bytes) -> bytes:
    """What is said of an inventory that holds `data`."""
    problems: list[Problem] = []
    entries = Entries()
    try:
        parse_inventory(parse("x", kind, data), entries, problems)
    except ConfigError as error:
        problems.extend(error.problems)
    inventory = build(entries, load_settings(None), problems)
    return "\n".join([*map(str, problems), *map(repr, inventory.devices), "end"]).encode()


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(VALUE, st.lists(st.dictionaries(KEYS, VALUE, max_size=5), max_size=3))
def test_any_json_is_an_inventory_or_problems(value: Any, devices: list[Any]) -> None:
    """JSON of any shape gives devices or problems, and nothing that cannot be written out."""
    group = {"targets": ["a"], "labels": value}
    for whole in (value, {"devices": devices, "sites": value}, [group], devices):
        assert outcome("json", json.dumps(whole).encode())


@given(
    st.sampled_from(["yaml", "json", "csv"]),
    st.text(max_size=80) | st.text("[]{}:,-\"'\n namedresi10.", max_size=80),
)
def test_any_text_is_an_inventory_or_problems(kind: str, text: str) -> None:
    """Any text in any format gives devices or problems."""
    assert outcome(kind, text.encode(errors="surrogatepass"))


@given(st.lists(st.lists(st.text(max_size=6) | st.sampled_from(list(DEVICE.keys)), max_size=4), max_size=5))
def test_any_table_is_an_inventory_or_problems(rows: list[list[str]]) -> None:
    """Any table below a right header gives devices or problems."""
    text = "\n".join(["name,address,site,parent", *(",".join(row) for row in rows)])
    assert outcome("csv", text.encode(errors="surrogatepass"))
