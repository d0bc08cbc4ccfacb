"""The exporter's walks beside snmpbulkwalk's, of the same snmpd."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest

from exporter.snmp import ber, session
from exporter.snmp.ber import VarBind
from exporter.snmp.session import Session
from exporter.snmp.walk import V2Client
from tests.servers import Snmpd
from tests.servers.snmpd import COMMUNITY
from tests.snmp.netsnmp import Text, as_text, bulkwalk

#: All but what comes and goes while it is being asked: processes, sockets, the agent's caches and what is in use.
CONFIG = """
view seen included .1
view seen excluded .1.3.6.1.2.1.6
view seen excluded .1.3.6.1.2.1.7
view seen excluded .1.3.6.1.2.1.25.1
view seen excluded .1.3.6.1.2.1.25.2
view seen excluded .1.3.6.1.2.1.25.4
view seen excluded .1.3.6.1.2.1.25.5
view seen excluded .1.3.6.1.4.1.2021
view seen included .1.3.6.1.4.1.2021.10
view seen excluded .1.3.6.1.4.1.8072.1
view seen included .1.3.6.1.4.1.8072.1.3
sysName a-host
extend lines /usr/bin/printf "one\\ntwo\\n\\nfour\\n"
extend bytes /usr/bin/printf "\\303\\050\\042\\134"
extend long-name-of-more-than-a-few-letters /usr/bin/seq 200
"""
#: Subtrees with all kinds of indexes and values: numbers, addresses, names; counters, texts, times, floats.
SUBTREES = [".1.3.6.1.2.1", ".1.3.6.1.4.1.2021", ".1.3.6.1.4.1.8072", ".1.3.6.1.6"]
#: Columns of different tables, of different heights, and one that there is not.
COLUMNS = [
    *(f".1.3.6.1.2.1.2.2.1.{column}" for column in range(1, 23)),
    *(f".1.3.6.1.2.1.31.1.1.1.{column}" for column in (1, 6, 10, 15, 18)),
    ".1.3.6.1.2.1.25.6.3.1.2",
    ".1.3.6.1.2.1.4.34.1.3",
    ".1.3.6.1.4.1.8072.1.3.2.4.1.2",
    ".1.3.6.1.2.1.99.1",
]


@pytest.fixture(scope="module")
def snmpd() -> Iterator[Snmpd]:
    with Snmpd(CONFIG) as running:
        yield running


def walk(snmpd: Snmpd, roots: Sequence[str], max_repetitions: int) -> list[VarBind]:
    async def asking() -> list[VarBind]:
        with Session(10) as snmp:
            device = V2Client(snmp, session.Agent.at("127.0.0.1", snmpd.port, 5.0, 3), COMMUNITY.encode())
            return await device.walk([ber.parse_oid(root) for root in roots], max_repetitions)

    return asyncio.run(asking())


def same(before: Text, ours: Text, after: Text) -> None:
    """Ours are the rows that were there before and after, in that order; where no value has changed, the same."""
    assert len(ours) > 100
    kept = [name for name in before if name in after]
    assert [name for name in ours if name in before and name in after] == kept
    assert ours.keys() <= before.keys() | after.keys()
    steady = [name for name in before if before[name] == after.get(name)]
    assert len(steady) > 0.9 * len(ours)
    assert {name: ours[name] for name in steady} == {name: before[name] for name in steady}


def test_whole_subtrees_are_as_snmpbulkwalk_reads_them(snmpd: Snmpd) -> None:
    """Everything that the agent has: the same rows, in the same order, with the same types and values."""
    before = bulkwalk(snmpd, SUBTREES)
    ours = as_text(walk(snmpd, SUBTREES, 25))
    same(before, ours, bulkwalk(snmpd, SUBTREES))
    kinds = {text.partition(":")[0] for text in ours.values() if ":" in text}
    assert kinds >= {"INTEGER", "Hex-STRING", "OID", "Counter32", "Counter64", "Gauge32", "IpAddress", "Opaque"}


@pytest.mark.parametrize("max_repetitions", [1, 25, 400])
def test_columns_are_as_snmpbulkwalk_reads_them(snmpd: Snmpd, max_repetitions: int) -> None:
    """Columns that are asked for together, though their tables have nothing in common, each come whole."""
    before = bulkwalk(snmpd, COLUMNS)
    ours = as_text(walk(snmpd, COLUMNS, max_repetitions))
    same(before, ours, bulkwalk(snmpd, COLUMNS))


def test_values_are_those_of_the_agent(snmpd: Snmpd) -> None:
    """A GET of real scalars, and of some that the agent does not have."""
    wanted = ["1.3.6.1.2.1.1.5.0", "1.3.6.1.2.1.1.99.0", "1.3.6.1.2.1.1.2.0", "1.3.6.1.2.1.1.5"]

    async def asking() -> list[VarBind]:
        with Session(10) as snmp:
            device = V2Client(snmp, session.Agent.at("127.0.0.1", snmpd.port, 5.0, 3), COMMUNITY.encode())
            return await device.get([ber.parse_oid(oid) for oid in wanted])

    assert asyncio.run(asking()) == [
        (ber.parse_oid(wanted[0]), ber.OCTET_STRING, b"a-host"),
        (ber.parse_oid(wanted[2]), ber.OBJECT_ID, ber.parse_oid("1.3.6.1.4.1.8072.3.2.10")),
    ]
