"""Inventories of loopback devices: every 127.a.b.c answers, from the machine's own kernel."""

from __future__ import annotations

import csv
import ipaddress
from collections.abc import Sequence
from pathlib import Path

FIRST = int(ipaddress.IPv4Address("127.1.0.0"))
DEVICES_PER_SITE = 9


def loopback(count: int) -> list[str]:
    """`count` distinct loopback addresses; up to 16 million."""
    return [str(ipaddress.IPv4Address(FIRST + number)) for number in range(count)]


def write(folder: Path, addresses: Sequence[str]) -> str:
    """Write devices.csv into `folder`, and return the text of a ward.yml that reads it; all else is default."""
    path = folder / "devices.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("name", "address", "site", "role"))
        for number, address in enumerate(addresses):
            writer.writerow((f"dev-{number:06}", address, f"site-{number // DEVICES_PER_SITE:05}", "switch"))
    return f"inventory: [{{file: {path}}}]\n"
