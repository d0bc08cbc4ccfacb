"""A recorded device, replayed by net-snmp's agent: what snmpbulkwalk reads of it, and what the exporter reads."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.snmp import ber, session
from exporter.snmp.ber import VarBind
from exporter.snmp.keys import User
from exporter.snmp.session import Session
from exporter.snmp.v3 import V3Client
from exporter.snmp.walk import Client, V2Client
from tests.servers import Snmpd
from tests.servers.snmpd import COMMUNITY
from tests.snmp.netsnmp import V2C, Text, as_text, bulkwalk
from tests.snmp.replay import arcs

ROOT = "1.3.6.1.4.1.32473"
PASSWORD, PRIV_PASSWORD = "one secret of many", "another secret"
V3 = (
    *("-v3", "-u", "ward", "-l", "authPriv", "-a", "SHA-256", "-A", PASSWORD),
    *("-x", "AES", "-X", PRIV_PASSWORD),
)
#: What is at the ends of each type, and around the places where their encodings grow.
NUMBERS = {
    "2": (0, 1, 127, 128, 255, 256, 32767, 32768, 2**31 - 1, -1, -128, -129, -(2**31)),
    "65": (0, 127, 128, 255, 2**16, 2**31, 2**32 - 1),
    "66": (0, 2**31 - 1, 2**31, 2**32 - 1),
    "67": (0, 8_640_000, 2**32 - 1),
    "70": (0, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1),
}
TEXTS = (b"ge-0/0/1", b"a b", b"\0\xff\x80", bytes(range(256)), b"x" * 127, b"x" * 128, b"x" * 300, b"\r\n")


def recording() -> list[str]:
    """A table of 300 ports with holes in their numbers, one whose rows are addresses, and values of all kinds."""
    rows: list[str] = []
    ports = [*range(1, 200), *range(10_001, 10_100), 2**31 - 1, 2**32 - 1]
    for column in range(1, 12):
        rows += [f"{ROOT}.1.1.{column}.{port}|65|{column * 1000 + port % 1000}" for port in ports]
    rows += [f"{ROOT}.2.1.4.{first}.{last}.1|64|{first}.{last}.0.1" for first in (10, 192) for last in range(200)]
    rows += [
        f"{ROOT}.3.{tag}.{place}|{tag}|{one}" for tag, many in NUMBERS.items() for place, one in enumerate(many)
    ]
    rows += [f"{ROOT}.4.{place}|4x|{text.hex()}" for place, text in enumerate(TEXTS)]
    rows += [f"{ROOT}.5.1|6|1.3.6.1.4.1.9.1.{2**32 - 1}", f"{ROOT}.5.2|6|1.3.6.1.2.1"]
    rows += [f"{ROOT}.6.{'.'.join(map(str, range(length)))}|2|{length}" for length in range(1, 100, 7)]
    return sorted(rows, key=lambda row: arcs(row.partition("|")[0]))


@pytest.fixture(scope="module")
def snmpd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snmpd]:
    recorded = tmp_path_factory.mktemp("recorded") / "device.snmprec"
    recorded.write_text("\n".join(recording()) + "\n")
    replay = Path(__file__).with_name("replay.py")
    lines = [
        f"pass_persist .{ROOT} {sys.executable} {replay} {recorded}",
        f'createUser ward SHA-256 "{PASSWORD}" AES "{PRIV_PASSWORD}"',
        "rouser ward priv",
    ]
    with Snmpd("\n".join(lines)) as running:
        yield running


@pytest.fixture(scope="module")
def expected(snmpd: Snmpd) -> Text:
    """What net-snmp's own program reads: each value of the recording."""
    found = bulkwalk(snmpd, [f".{ROOT}"])
    assert list(found) == [f".{row.partition('|')[0]}" for row in recording()]
    return found


def walked(port: int, secure: bool, roots: list[str]) -> list[VarBind]:
    async def asking() -> list[VarBind]:
        with Session(10) as snmp:
            agent = session.Agent.at("127.0.0.1", port, 5.0, 3)
            client: Client = V2Client(snmp, agent, COMMUNITY.encode())
            if secure:
                user = User("ward", "authPriv", "SHA256", PASSWORD.encode(), "AES", PRIV_PASSWORD.encode())
                client = V3Client(snmp, agent, user)
            found = await client.walk([ber.parse_oid(root) for root in roots], 25)
            # The second time by the shapes of the first.
            assert await client.walk([ber.parse_oid(root) for root in roots], 25) == found
            return await client.walk([ber.parse_oid(root) for root in roots], 25)

    return asyncio.run(asking())


@pytest.mark.parametrize(("secure", "access"), [(False, V2C), (True, V3)], ids=["v2c", "v3"])
def test_a_whole_subtree_is_as_snmpbulkwalk_reads_it(
    snmpd: Snmpd, expected: Text, secure: bool, access: tuple[str, ...]
) -> None:
    """The same rows in the same order with the same values, by either version, and again when asked again."""
    assert bulkwalk(snmpd, [f".{ROOT}"], access) == expected
    assert list(as_text(walked(snmpd.port, secure, [ROOT])).items()) == list(expected.items())


@pytest.mark.parametrize("secure", [False, True], ids=["v2c", "v3"])
def test_columns_together_are_the_columns_apart(snmpd: Snmpd, expected: Text, secure: bool) -> None:
    """Columns of unlike tables, asked for at once, bring all of their rows and no others."""
    columns = [*(f"{ROOT}.1.1.{column}" for column in (1, 5, 11)), f"{ROOT}.2.1.4", f"{ROOT}.3.70", f"{ROOT}.9"]
    wanted = [name for column in columns for name in expected if name.startswith(f".{column}.")]
    found = as_text(walked(snmpd.port, secure, columns))
    assert list(found.items()) == [(name, expected[name]) for name in wanted]
