"""What is polled in the benches: simulated switches, and the work W that a poll is compared by."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from bench.inventory import DEVICES_PER_SITE
from tests.snmp.fleet import COMMUNITY

#: Ten scalars and ten columns of IF-MIB: with 50 ports, 510 values.
SCALARS = (
    *(f"1.3.6.1.2.1.1.{number}.0" for number in range(1, 8)),
    "1.3.6.1.2.1.2.1.0",
    "1.3.6.1.2.1.4.1.0",
    "1.3.6.1.2.1.4.2.0",
)
COLUMNS = (
    *(f"1.3.6.1.2.1.31.1.1.1.{number}" for number in range(6, 14)),
    "1.3.6.1.2.1.2.2.1.14",
    "1.3.6.1.2.1.2.2.1.20",
)
PORTS = 50
VALUES = len(SCALARS) + len(COLUMNS) * PORTS
#: The module's name, here and in snmp_exporter.
WORK = "work"
#: SnmpExporter reads the same file; that of before 0.23 has the modules at the top.
_TEXTS = frozenset({1, 4, 5, 6})


def work() -> dict[str, Any]:
    """The module of W, as snmp_exporter's generator would write it."""
    metrics: list[dict[str, Any]] = [
        {
            "name": f"scalar{number}",
            "oid": oid.removesuffix(".0"),
            "type": _type(number),
            "help": f"Scalar {number}.",
        }
        for number, oid in enumerate(SCALARS, 1)
    ]
    metrics += [
        {
            "name": f"column{number}",
            "oid": oid,
            "type": "counter",
            "help": f"Column {number}.",
            "indexes": [{"labelname": "ifIndex", "type": "gauge"}],
        }
        for number, oid in enumerate(COLUMNS, 1)
    ]
    return {WORK: {"get": list(SCALARS), "walk": list(COLUMNS), "metrics": metrics, "max_repetitions": 25}}


def _type(number: int) -> str:
    if number in _TEXTS:
        return "DisplayString"
    return "OctetString" if number == 2 else "gauge"


def write(
    folder: Path,
    addresses: Sequence[str],
    *,
    interval: str = "60s",
    modules: Sequence[str] = (),
    polled: bool = True,
) -> str:
    """Write the inventory and W into `folder`; the text of a ward.yml that pings `addresses`, and polls them.

    Without modules each device is asked for those of what it is.
    """
    with (folder / "devices.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("name", "address", "site", "role"))
        for number, address in enumerate(addresses):
            writer.writerow((f"dev-{number:06}", address, f"site-{number // DEVICES_PER_SITE:05}", "switch"))
    (folder / "work.yml").write_text(yaml.safe_dump({"modules": work()}))
    snmp: dict[str, Any] = {"auth": "branch"}
    if modules:
        snmp["modules"] = list(modules)
    settings = {
        "inventory": [{"file": str(folder / "devices.csv")}],
        "classes": [{"name": "all", "priority": 3, **({"snmp": snmp} if polled else {})}],
        "snmp": {
            "interval": interval,
            # Patience is bounded by the interval; a poll that is given up would be a cheap one.
            **({"timeout": "900ms", "retries": 0} if interval == "1s" else {}),
            "auths": {"branch": {"version": 2, "community": COMMUNITY}},
            "modules": [str(folder / "work.yml")],
        },
    }
    return yaml.safe_dump(settings)
