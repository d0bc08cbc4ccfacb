"""Rows that are not asked for: filters of a module file, and `snmp.interfaces` of the configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from tests.servers import TRIXIE, SnmpExporter
from tests.serving import Page, Serving
from tests.snmp.agents import GET_BULK, Agent, Oid, Row, signed
from tests.snmp.peers import in_format_of, theirs
from tests.snmp.test_polling import Agents, until_polled

IF: Oid = (1, 3, 6, 1, 2, 1, 2, 2, 1)
IFX: Oid = (1, 3, 6, 1, 2, 1, 31, 1, 1, 1)
OPER_STATUS: Oid = (*IF, 8)
#: By ifIndex: ifType, ifAdminStatus, ifName, ifAlias.
INTERFACES = {
    1: (6, 1, "Gi0/1", "uplink to HQ"),
    2: (6, 2, "Gi0/2", "uplink, dark"),
    3: (6, 1, "Gi0/3", "printer"),
    10: (161, 1, "Po1", "uplink bundle"),
    24: (24, 1, "Lo0", ""),
    300: (6, 1, "Te1/1", "uplink to DC"),
}


def rows() -> list[Row]:
    found: list[Row] = []
    for index, (kind, admin, name, alias) in INTERFACES.items():
        numbers = {(*IF, 3): kind, (*IF, 7): admin, OPER_STATUS: 1}
        found += [((*column, index), 2, signed(number)) for column, number in numbers.items()]
        found += [((*IFX, 1, index), 4, name.encode()), ((*IFX, 18, index), 4, alias.encode())]
        found.append(((*IFX, 6, index), 0x46, signed(1000 + index)))
    return found


def page_of(agent: Agent, folder: Path, snmp: str, module: str = "if_mib") -> Page:
    """What the exporter shows of the agent at its first poll, with these lines in its configuration."""
    with Agents([agent]), Serving(folder) as serving:
        snmp_keys = f"{{auth: branch, port: {agent.address[1]}, modules: [{module}]}}"
        (folder / "devices.yml").write_text(f"devices: [{{name: sw, address: 127.0.0.1, snmp: {snmp_keys}}}]\n")
        auths = "  auths: {branch: {version: 2, community: public}}\n"
        serving.configure(inventory=f"inventory: [{{file: devices.yml}}]\nsnmp:\n{auths}{snmp}")
        serving.start_ready()
        page = until_polled(serving, {"sw"})
        assert serving.end() == 0
    return page


def indexes(page: Page, metric: str) -> set[int]:
    return {int(dict(sample.labels)["ifIndex"]) for sample in page.blocks[metric].samples}


@pytest.mark.parametrize(
    ("interfaces", "expected"),
    [
        ("{admin_status: [up]}", {1, 3, 10, 24, 300}),
        ("{admin_status: [down, testing]}", {2}),
        ("{types: [ethernetCsmacd, ieee8023adLag]}", {1, 2, 3, 10, 300}),
        ("{names: ['^Gi', '^Te']}", {1, 2, 3, 300}),
        ("{aliases: [uplink]}", {1, 2, 10, 300}),
        ("{admin_status: [up], types: [ethernetCsmacd], names: ['/'], aliases: ['^uplink']}", {1, 300}),
        ("{types: [], names: null}", set(INTERFACES)),
    ],
)
def test_interfaces_nobody_wants_are_not_asked_for(interfaces: str, expected: set[int], tmp_path: Path) -> None:
    """An interface is on the page if it has one of each that is given; no other's state is even asked for."""
    agent = Agent(rows())
    page = page_of(agent, tmp_path, f"  interfaces: {interfaces}\n")
    assert indexes(page, "ifHCInOctets") == indexes(page, "ifOperStatus") == expected
    assert page.value("ward_snmp_partial") == 0
    if expected != set(INTERFACES):
        assert _asked_by_row(agent, OPER_STATUS) == expected


def _asked_by_row(agent: Agent, column: Oid) -> set[int]:
    """The rows of a column that were asked for one by one; the column is not to be walked."""
    asked = [(one.kind, oid) for one in agent.asked for oid in one.oids if oid[: len(column)] == column]
    assert GET_BULK not in {kind for kind, _ in asked}
    return {oid[-1] for _, oid in asked}


def test_a_name_of_any_length_is_filtered(tmp_path: Path) -> None:
    """Of a name of 60,000 letters a filter sees what a label may hold: some take the square of a text's length."""
    named = [row for row in rows() if row[0] != (*IFX, 1, 1)]
    page = page_of(
        Agent([*named, ((*IFX, 1, 1), 4, b"G" * 30_000)]), tmp_path, "  interfaces: {names: ['^G{1024}$']}\n"
    )
    assert indexes(page, "ifHCInOctets") == {1}


def test_no_interface_is_wanted(tmp_path: Path) -> None:
    """Where none passes the device is up, and has no interface on the page."""
    page = page_of(Agent(rows()), tmp_path, "  interfaces: {names: [Tunnel]}\n")
    assert page.value("ward_snmp_up") == 1
    assert "ifHCInOctets" not in page.blocks


def test_an_unknown_type_is_named(tmp_path: Path) -> None:
    """A type that there is not is told at the start, with the nearest that there is."""
    with Serving(tmp_path) as serving:
        serving.devices({"sw": "127.0.0.1"})
        wanted = "snmp: {interfaces: {types: [ethernetcsmacd, lag]}}\n"
        serving.configure(inventory=f"inventory: [{{file: devices.yml}}]\n{wanted}")
        message = serving.failed_start()
    near, far = (line.partition("snmp.interfaces.types: ")[2] for line in message.splitlines())
    assert near == "there is no interface type 'ethernetcsmacd'; did you mean 'ethernetCsmacd'?"
    assert far == "there is no interface type 'lag'; see ifType in IANAifType-MIB"


FILTERS: Sequence[tuple[str, list[dict[str, object]]]] = [
    ("one", [{"oid": "1.3.6.1.2.1.2.2.1.7", "targets": ["1.3.6.1.2.1.2.2.1.8"], "values": ["1"]}]),
    (
        "text",
        [{"oid": "1.3.6.1.2.1.31.1.1.1.18", "targets": ["1.3.6.1.2.1.31.1.1.1.6"], "values": ["^uplink", "^pr"]}],
    ),
    (
        "twice",
        [
            {"oid": "1.3.6.1.2.1.2.2.1.7", "targets": ["1.3.6.1.2.1.2.2.1.8"], "values": ["1"]},
            {"oid": "1.3.6.1.2.1.2.2.1.3", "targets": ["1.3.6.1.2.1.2.2.1.8"], "values": ["^6$"]},
        ],
    ),
]


@pytest.mark.parametrize("filters", [filters for _, filters in FILTERS], ids=[name for name, _ in FILTERS])
def test_filters_of_a_module_are_those_of_snmp_exporter(filters: list[dict[str, object]], tmp_path: Path) -> None:
    """A module's filters leave the same rows as in snmp_exporter: by numbers, by text, and two for one column."""
    index = [{"labelname": "ifIndex", "type": "gauge"}]
    module = {
        "walk": ["1.3.6.1.2.1.2.2.1.8", "1.3.6.1.2.1.31.1.1.1.6"],
        "metrics": [
            {"name": "ifOperStatus", "oid": "1.3.6.1.2.1.2.2.1.8", "type": "gauge", "help": "s", "indexes": index},
            {
                "name": "ifHCInOctets",
                "oid": "1.3.6.1.2.1.31.1.1.1.6",
                "type": "counter",
                "help": "o",
                "indexes": index,
            },
        ],
        "filters": filters,
    }
    (tmp_path / "own.yml").write_text(yaml.safe_dump({"modules": {"own": module}}))
    page = page_of(Agent(rows()), tmp_path, "  modules: [own.yml]\n", "own")
    # 0.21 does not know filters yet.
    config = in_format_of(TRIXIE, {"own": module})
    agent = Agent(rows())
    with Agents([agent]), SnmpExporter(config, generation=TRIXIE) as peer:
        expected = Page(theirs(peer, TRIXIE, "own", agent.address[1]))
    for metric in ("ifOperStatus", "ifHCInOctets"):
        assert indexes(page, metric) == indexes(expected, metric), metric
