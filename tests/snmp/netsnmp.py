"""What net-snmp's own programs read of an agent, to hold against what the exporter reads."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterable, Sequence

from exporter.snmp.ber import VarBind
from tests.servers import FLOOR, Snmpd, program
from tests.servers.snmpd import COMMUNITY
from tests.snmp import agents

V2C = ("-v2c", "-c", COMMUNITY)
#: No names, no hints of a MIB, numbers for times, hexadecimal for all strings.
_PLAIN = ("-m", "", "-On", "-Ox", "-Ot", "-t", "5", "-r", "3")
#: Instead of a value, behind the last row of the agent or where there is no row at all.
_ENDS = ("past the end of the MIB tree)", "at this OID")

Text = dict[str, str]
"""Type and value as net-snmp writes them, by identifier, in the order in which they came."""


def bulkwalk(snmpd: Snmpd, roots: Sequence[str], access: Sequence[str] = V2C) -> Text:
    """What snmpbulkwalk prints for some subtrees."""
    found: Text = {}
    for root in roots:
        command = [program("snmpbulkwalk", FLOOR), *access, *_PLAIN, "-Cc", f"127.0.0.1:{snmpd.port}", root]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        name = ""
        for line in done.stdout.splitlines():
            if line.endswith(_ENDS):
                break
            # A long value goes on in lines of its own.
            if line.startswith(".") and " = " in line:
                name, _, text = line.partition(" = ")
                found[name] = text.strip()
            else:
                found[name] += " " + line.strip()
    return found


def as_text(varbinds: Iterable[VarBind]) -> Text:
    """The exporter's rows as snmpbulkwalk would print them."""
    return {dotted(oid): _value(tag, value) for oid, tag, value in varbinds}


def dotted(oid: bytes) -> str:
    return "." + ".".join(map(str, agents.oid_of(oid)))


_UNSIGNED = {0x41: "Counter32: ", 0x42: "Gauge32: ", 0x43: "", 0x46: "Counter64: "}
_FLOAT = b"\x9f\x78\x04"


def _value(tag: int, value: bytes) -> str:
    if tag in _UNSIGNED:
        return f"{_UNSIGNED[tag]}{int.from_bytes(value, 'big')}"
    if tag == 0x02:
        return f"INTEGER: {int.from_bytes(value, 'big', signed=True)}"
    if tag == 0x04:
        return f"Hex-STRING: {value.hex(' ').upper()}" if value else '""'
    if tag == 0x06:
        return f"OID: {dotted(value)}"
    if tag == 0x40:
        return f"IpAddress: {'.'.join(map(str, value))}"
    assert tag == 0x44, f"no type of net-snmp's has the tag {tag:#04x}"
    assert value.startswith(_FLOAT)
    (number,) = struct.unpack(">f", value.removeprefix(_FLOAT))
    return f"Opaque: Float: {number:f}"
