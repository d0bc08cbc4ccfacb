"""One inventory for several exporters: which part of it is whose, by names alone.

A site stays whole: its ISP links decide for what is behind them. A device without a site is on its own. A parent in
another part is probed in both, and shown in its own.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple, Self

from exporter.errors import Problem
from exporter.inventory.device import Inventory

#: As many as /metrics/snmp is divided into.
MOST = 64
_TEXT = re.compile(r"(\d{1,3})/(\d{1,3})", re.ASCII)


class Shard(NamedTuple):
    """Of so many parts, the one of this number, from 0."""

    number: int
    parts: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """`0/4` is the first of four; ValueError for anything else."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise ValueError(f"found {text!r}, expected such as 0/4, the first of four")
        number, parts = int(found[1]), int(found[2])
        if not 1 <= parts <= MOST:
            raise ValueError(f"found {text!r}, expected 1 to {MOST} parts")
        if number >= parts:
            raise ValueError(f"found {text!r}, expected 0/{parts} to {parts - 1}/{parts}: the first part is 0")
        return cls(number, parts)

    def __str__(self) -> str:
        return f"{self.number}/{self.parts}"


WHOLE = Shard(0, 1)


def part_of(key: str, parts: int) -> int:
    """Jump consistent hash (Lamping and Veach): one more part takes its share of each, and nothing else moves."""
    state = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big")
    part, following = 0, 0
    while following < parts:
        part = following
        state = (state * 2862933555777941757 + 1) % 2**64
        following = (part + 1) * 2**31 // ((state >> 33) + 1)
    return part


def divide(inventory: Inventory, shard: Shard) -> Inventory:
    """What of the inventory is of this shard, and, `beyond` it, the parents that it needs to know of."""
    if shard == WHOLE:
        return inventory
    known: dict[str, bool] = {}

    def is_ours(site: str, device: str = "") -> bool:
        key = f"site {site}" if site else f"device {device}"
        if key not in known:
            known[key] = part_of(key, shard.parts) == shard.number
        return known[key]

    devices = tuple(device for device in inventory.devices if is_ours(device.site, device.name))
    missing = {device.parent for device in devices} - {device.name for device in devices}
    return Inventory(
        devices,
        {name: site for name, site in inventory.sites.items() if is_ours(name)},
        inventory.warnings,
        tuple(device for device in inventory.devices if device.name in missing),
    )


def no_devices(shard: Shard, file: str) -> Problem:
    """What is wrong with a part that is empty: who watches nothing would look healthy."""
    message = f"the part {shard} of it holds no devices; expected fewer parts than there are sites"
    return Problem(file, None, "inventory", message)
