"""Modules that a test writes itself, and what they make of a device."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from exporter.snmp.layout import Layout
from exporter.snmp.modules import Module, load_modules
from exporter.snmp.render import Page, Renderer
from tests.snmp.recorded import Recorded, varbinds


def modules(text: str) -> Mapping[str, Module]:
    """The modules of a file with this text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "snmp.yml"
        path.write_text(text)
        return load_modules(path).modules


def metrics(*lines: str) -> Module:
    """A module `m` that walks 1.3.6.1.4.1.32473, each of whose metrics is a line."""
    text = "modules: {m: {walk: [1.3.6.1.4.1.32473], metrics: [\n" + "".join(f"{{{line}}},\n" for line in lines)
    return modules(text + "]}}")["m"]


def renderer(module: Module, labels: str = "", limit: int = 1000) -> Renderer:
    return Renderer([Layout(module)], labels, limit)


def polled(module: Module, recorded: Iterable[Recorded], labels: str = "") -> Page:
    """What a first poll of a device shows, its names having been learnt."""
    everything = varbinds(recorded)
    fresh = renderer(module, labels)
    fresh.learn(module.name, [one for one in everything if one[0].startswith(module.lookup_columns)])
    return fresh.render({module.name: everything})


def lines(page: Page) -> list[str]:
    """The samples of a page, in its order."""
    return [line for block in page.blocks.values() for line in block.lines.decode().split("\n")[:-1]]
