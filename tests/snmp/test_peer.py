"""The same module file and the same device, asked by snmp_exporter and by this exporter: the pages say the same."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import yaml

from exporter.snmp.ber import parse_oid
from exporter.snmp.modules import load_modules
from tests.servers import Generation, SnmpExporter, generations
from tests.snmp.pages import heads, series, without
from tests.snmp.peers import in_format_of, known_to, ours, theirs
from tests.snmp.recorded import Recorded, integer, octets, serving, varbinds

TYPES = Path(__file__).parent / "modules" / "types.good.yml"
COUNTER, GAUGE, TICKS, OPAQUE, COUNTER64 = 0x41, 0x42, 0x43, 0x44, 0x46
FLOAT, DOUBLE = b"\x9f\x78\x04", b"\x9f\x79\x08"
MAC = bytes.fromhex("001a2b3c4d5e")
IPV6 = bytes.fromhex("20010db8000000000000000000000001")


def value(column: int, tag: int, content: bytes) -> Recorded:
    return (f"1.3.6.1.4.1.32473.1.{column}.0", tag, content)


def number(column: int, found: int, tag: int = 2) -> Recorded:
    return integer(f"1.3.6.1.4.1.32473.1.{column}.0", found, tag)


VALUES = [
    number(1, 42, GAUGE),
    number(2, 2**32 - 1, COUNTER),
    number(3, 2**64 - 1, COUNTER64),
    number(4, -(2**31)),
    number(5, 123456789, TICKS),
    number(6, 655),
    number(7, 2**53 - 1, COUNTER64),
    value(8, 4, b"12"),
    value(9, 0x40, bytes([192, 0, 2, 1])),
    value(10, OPAQUE, FLOAT + struct.pack(">f", 1.1)),
    value(11, OPAQUE, DOUBLE + struct.pack(">d", -2.5e-7)),
    value(12, OPAQUE, FLOAT + struct.pack(">f", 0.1)),
    value(13, OPAQUE, DOUBLE + struct.pack(">d", 1e21)),
    value(14, OPAQUE, b"\x04\x01a"),
    value(15, 4, bytes([7, 232, 2, 29, 23, 59, 59, 9])),
    value(16, 4, bytes([7, 232, 12, 31, 20, 0, 0, 0, ord("-"), 4, 30])),
    value(17, 4, bytes([7, 229, 13, 0, 25, 61, 61, 25])),
    value(18, 4, bytes(8)),
    value(19, 4, bytes(7)),
    value(20, 4, bytes([7, 232, 1, 1, 0, 0, 0, 0, ord("*"), 1, 0])),
    value(21, 4, b"Mon Jan  5 10:11:12 2026"),
    value(22, 4, b"2026-01-05T10:11:12+0400"),
    value(23, 4, b"2026-01-05"),
    value(24, 4, bytes.fromhex("ee00000080000000")),
    value(25, 4, b'a "text" \\ of\ntwo lines\t\xc3\xa9'),
    value(26, 4, b"x"),
    value(27, 4, bytes([0, 1, 0xAB])),
    value(28, 4, b""),
    value(29, 4, MAC),
    value(30, 4, MAC[:4]),
    value(31, 4, MAC + b"\x01\x02"),
    value(32, 4, bytes([192, 0, 2, 1])),
    value(33, 4, IPV6),
    value(34, 0x40, bytes([192, 0, 2, 2])),
    value(35, 6, parse_oid("1.3.6.1.4.1.9.1.516")),
    number(36, -7),
    number(37, 2**63, COUNTER64),
    number(38, 2),
    value(39, 4, IPV6),
    value(41, 4, bytes([192, 0, 2, 3])),
    number(42, 16),
    value(43, 4, b"host.example"),
    number(44, 1),
    number(45, 7),
    number(46, 2),
    number(47, 3),
    value(48, 4, b"\xc1"),
    value(49, 4, b"-7.5 C, 18 F"),
    value(50, 4, b"On"),
    number(51, 51),
    ("1.3.6.1.4.1.32473.1.52.1.7", 2, b"\x07"),
]


def row(column: int, *index: int) -> Recorded:
    return integer(".".join(map(str, ("1.3.6.1.4.1.32473.2", column, *index))), column)


INDEXES = [
    row(1, 1, 2),
    row(1, 2**32 - 1),
    row(1, 3, 4, 5),
    row(2, 2, 10, 255, 1, 2, 3),
    row(2, 0, 9),
    row(2, 4, 1, 2),
    row(3, 1, 2, 3, *b"ab"),
    row(3, 1, 2, 300, *b"c"),
    row(4, 3, *b"abc", *b"rest"),
    row(4, 1, *b"x"),
    row(5, *MAC, 9),
    row(5, *MAC[:3]),
    row(6, 192, 0, 2, 1, *IPV6),
    row(6, 10),
    row(7, 1, 4, 192, 0, 2, 1, 5),
    row(7, 2, 16, *IPV6, 6),
    row(7, 16, 3, *b"dns", 7),
    row(8, 1, 192, 0, 2, 1, 5),
    row(8, 2, *IPV6, 6),
    row(8, 3, 1, 2, 3),
    row(9, 5, 4, *b"ge-0"),
    row(9, 3, 6, *MAC),
    row(9, 4, 2, 1, 2),
    row(10, 1),
    row(10, 9),
    octets("1.3.6.1.4.1.32473.2.11.97.98", "ab"),
    integer("1.3.6.1.4.1.32473.2.12.1.2", 1),
    integer("1.3.6.1.4.1.32473.2.12.1.3", 9),
]


def cell(column: str, found: int | bytes | str) -> Recorded:
    oid = f"1.3.6.1.4.1.32473.3.{column}"
    return integer(oid, found) if isinstance(found, int) else octets(oid, found)


LOOKUPS = [
    *(cell(f"1.{port}", port) for port in (1, 2, 3)),
    cell("2.1", "ge-0/0/1"),
    cell("2.2", 'named "x"'),
    cell("3.1", MAC),
    cell("3.3", b""),
    cell("4.10.20", 1),
    cell("4.10.21", 2),
    cell("5.10.20", 2),
    cell("5.10.21", 2**31 - 1),
    cell("6.1.4.192.0.2.1.3.98.111.98", 1),
    cell("7.1.4.192.0.2.1.3.98.111.98", 2),
    cell("8.1.4.192.0.2.1.3.98.111.98", IPV6),
    cell("9.1.4.192.0.2.1.3.98.111.98", b"\x01\x02"),
    cell("6.1.4.192.0.2.2.3.98.111.98", 1),
    cell("8.1.4.192.0.2.2.3.98.111.98", bytes([1, 4, 192, 0, 2, 9])),
    cell("10.1", 1),
    cell("10.2", 1),
    cell("11.1", 300),
    ("1.3.6.1.4.1.32473.3.12.1", 6, parse_oid("1.3.6.1.2.1")),
    ("1.3.6.1.4.1.32473.3.13.1", 0x40, bytes([192, 0, 2, 1])),
    cell("14.1", bytes([200, 100])),
    cell("15.1", 4),
]
RECORDED = {"values": VALUES, "indexes": INDEXES, "lookups": LOOKUPS}


@pytest.mark.parametrize("generation", generations(), ids=lambda one: one.name)
@pytest.mark.parametrize("module", RECORDED)
def test_every_type_is_shown_as_snmp_exporter_shows_it(module: str, generation: Generation, tmp_path: Path) -> None:
    """Names, labels, values, types and help of all samples are those of snmp_exporter, for recorded values."""
    modules = known_to(generation, [TYPES])
    (tmp_path / "snmp.yml").write_text(yaml.safe_dump({"modules": modules}))
    config = in_format_of(generation, modules)
    with serving(RECORDED[module]) as port, SnmpExporter(config, generation=generation) as peer:
        expected = theirs(peer, generation, module, port)
    found = ours(load_modules(tmp_path / "snmp.yml").modules[module], varbinds(RECORDED[module]))
    assert series(found) == without(series(expected), "snmp_")
    assert heads(found) == {head: text for head, text in heads(expected).items() if " snmp_" not in head}
