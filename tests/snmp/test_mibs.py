"""The shipped modules: they load in snmp_exporter unchanged, and give the same samples there and here."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from exporter.snmp import ber, indexes, session
from exporter.snmp.ber import VarBind
from exporter.snmp.modules import FOLDER, Metric, Module, shipped
from exporter.snmp.session import Session
from exporter.snmp.walk import V2Client
from tests.servers import FLOOR, Generation, Snmpd, SnmpExporter, generations
from tests.snmp.pages import heads, series, without
from tests.snmp.peers import AUTHS, in_format_of, known_to, ours, theirs
from tests.snmp.recorded import serving

FILES = sorted(FOLDER.glob("*.yml"))
SHIPPED = shipped()
by_module = pytest.mark.parametrize("module", SHIPPED.values(), ids=SHIPPED)
by_generation = pytest.mark.parametrize("generation", generations(), ids=lambda one: one.name)


@contextmanager
def snmp_exporter(generation: Generation) -> Iterator[SnmpExporter]:
    """snmp_exporter with all shipped modules: the files as they are, but for the old format of the floor."""
    if generation is FLOOR:
        config, more = in_format_of(generation, known_to(generation, FILES)), list[str]()
    else:
        config, more = AUTHS, [f"--config.file={path}" for path in FILES]
    with SnmpExporter(config, generation=generation, arguments=more) as running:
        yield running


def test_every_module_is_in_the_file_of_its_name() -> None:
    """The modules that documentation and classification name are there, each in a file of its own."""
    assert [path.stem for path in FILES] == sorted(SHIPPED)
    assert {
        *("system", "if_mib", "host_resources", "ucd", "cisco", "juniper", "mikrotik", "fortinet", "huawei"),
        *("h3c", "procurve", "checkpoint", "ups", "printer"),
    } <= SHIPPED.keys()


def test_no_name_has_two_meanings() -> None:
    """A metric is in one shipped module only, so that a device may have any of them together."""
    names = [metric.name for module in SHIPPED.values() for metric in module.metrics]
    oids = [metric.oid for module in SHIPPED.values() for metric in module.metrics]
    assert len(names) == len(set(names))
    assert len(oids) == len(set(oids))


@by_module
def test_everything_that_is_used_is_asked_for_and_nothing_else(module: Module) -> None:
    """Each metric and lookup lies under what is walked or got, and nothing is asked for in vain."""
    asked = (*module.walk, *module.get)
    used = {metric.oid for metric in module.metrics}
    used |= {lookup.oid for metric in module.metrics for lookup in metric.lookups if lookup.labels}
    assert [oid for oid in used if not any(one.startswith(oid) for one in asked)] == []
    assert [one for one in asked if not one.startswith(tuple(used))] == []
    assert len(asked) == len(used)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_help_ends_with_the_identifier(path: Path) -> None:
    """As in snmp_exporter's own files, the help of a metric says at its end where the value comes from."""
    (module,) = yaml.safe_load(path.read_text())["modules"].values()
    for metric in module["metrics"]:
        assert metric["help"].endswith(f". - {metric['oid']}"), metric["name"]


# A device that has all there is.


def number_of(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def sample(metric: Metric, nth: int) -> tuple[int, bytes]:
    """A value that fits a metric."""
    if metric.type == "Float":
        return ber.OPAQUE, b"\x9f\x78\x04" + struct.pack(">f", nth / 4)
    if metric.type == "DisplayString":
        return ber.OCTET_STRING, b"%d" % nth if metric.regex_extracts else b'text "%d"' % nth
    if metric.type == "PhysAddress48":
        return ber.OCTET_STRING, bytes([0, 1, 2, 3, 4, nth % 256])
    if metric.type == "OctetString":
        return ber.OBJECT_ID, ber.parse_oid(f"1.3.6.1.4.1.{nth}")
    if metric.type == "Bits":
        return ber.OCTET_STRING, b"\xa5"
    return {"counter": ber.COUNTER64, "gauge": ber.GAUGE32}.get(metric.type, ber.INTEGER), number_of(nth)


def device(module: Module) -> list[VarBind]:
    """Two rows in every table, values in all columns, and a name for each but the last."""
    found: dict[bytes, tuple[int, bytes]] = {}
    for nth, metric in enumerate(module.metrics, 1):
        for row in (1, 2) if metric.indexes else (0,):
            place = tuple(row + position for position in range(max(1, len(metric.indexes))))
            found[metric.oid + bytes(place)] = sample(metric, nth)
            numbers = dict(zip((index.labelname for index in metric.indexes), place, strict=False))
            for lookup in metric.lookups if row == 1 else ():
                if lookup.labels:
                    arcs = tuple(numbers[label] for label in lookup.labels)
                    numeric = lookup.type == "gauge"
                    value = (ber.INTEGER, b"\7") if numeric else (ber.OCTET_STRING, b"name %d" % row)
                    found[lookup.oid + indexes.encoded(arcs)] = value
                    numbers[lookup.labelname] = 7
    return [(oid, *value) for oid, value in sorted(found.items())]


@by_generation
def test_shipped_modules_show_what_snmp_exporter_shows_by_them(generation: Generation) -> None:
    """Of a device with everything, each module gives the samples that snmp_exporter gives by the same file."""
    devices = {name: device(module) for name, module in SHIPPED.items()}
    whole = {varbind[0]: varbind for varbinds in devices.values() for varbind in varbinds}
    recorded = [(".".join(map(str, ber.decode_oid(oid))), tag, value) for oid, tag, value in whole.values()]
    with serving(recorded) as port, snmp_exporter(generation) as peer:
        pages = {name: theirs(peer, generation, name, port) for name in SHIPPED}
    for name, page in pages.items():
        found = ours(SHIPPED[name], list(whole.values()))
        assert series(found) == without(series(page), "snmp_"), name
        assert heads(found) == {head: text for head, text in heads(page).items() if " snmp_" not in head}, name
        assert {metric.name for metric in SHIPPED[name].metrics} <= {
            one.removesuffix("_info") for one in found.split()
        }


# A device that is real.

#: What the agent is told to say stands still.
STEADY = """
sysName branch-1
sysContact "Network \\"team\\" <noc@bank.example>"
sysLocation Tbilisi
disk /
"""
#: Metrics of a living host whose values need not be those of a moment before.
RESTLESS = (
    *("sysUpTime", "hrSystemUptime", "snmpEngineTime", "hrSystem", "hrStorageUsed", "hrProcessorLoad"),
    *("memAvail", "memTotalFree", "memShared", "memBuffer", "memCached", "la", "ss"),
    *("ifIn", "ifOut", "ifHC", "ifLastChange"),
)
ON_A_HOST = ("system", "if_mib", "if_mib_rest", "host_resources", "ucd")


def answers(port: int, module: Module) -> list[VarBind]:
    """All that a module asks a device for, by the exporter's own client."""

    async def asking() -> list[VarBind]:
        with Session(10) as snmp:
            client = V2Client(snmp, session.Agent.at("127.0.0.1", port, 5.0, 3), b"public")
            columns = await client.walk([*module.columns, *module.lookup_columns], 10)
            return columns + await client.get([*module.instances, *module.lookup_instances])

    return asyncio.run(asking())


@by_generation
def test_a_real_agent_is_shown_as_snmp_exporter_shows_it(generation: Generation) -> None:
    """Of net-snmp's agent on this machine, the same samples, and the same values of all that stands still."""
    with Snmpd(STEADY) as agent, snmp_exporter(generation) as peer:
        for name in ON_A_HOST:
            expected = without(series(theirs(peer, generation, name, agent.port)), "snmp_")
            found = series(ours(SHIPPED[name], answers(agent.port, SHIPPED[name])))
            assert found.keys() == expected.keys(), name
            assert without(found, *RESTLESS) == without(expected, *RESTLESS), name
            assert found, name
