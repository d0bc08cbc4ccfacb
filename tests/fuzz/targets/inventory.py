"""Inventory files: any bytes are an inventory, a list of problems that can be shown, or a ConfigError."""

from __future__ import annotations

from exporter.document import parse
from exporter.errors import ConfigError, Problem
from exporter.inventory.parse import Entries, parse_inventory

_KINDS = ("yaml", "csv", "json")


def fuzz(data: bytes) -> None:
    """The first byte is the kind of file."""
    if not data:
        return
    problems: list[Problem] = []
    try:
        parse_inventory(parse("devices", _KINDS[data[0] % len(_KINDS)], data[1:]), Entries(), problems)
    except ConfigError as error:
        problems += error.problems
    for problem in problems:
        str(problem).encode()
