"""Reading an inventory in a test: files in a folder, under the shipped settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from exporter.config import FileSource, load_settings
from exporter.inventory.device import Device, Inventory
from exporter.inventory.sources import Sources


def read(folder: Path, *patterns: str, config: str = "") -> Inventory:
    """The inventory of the files in `folder` that match, with ward.yml as `config` has it."""
    if config:
        (folder / "ward.yml").write_text(config)
    shipped = load_settings(folder / "ward.yml" if config else None)
    sources = tuple(FileSource(pattern) for pattern in patterns)
    settings = replace(shipped, path=folder / "ward.yml", inventory=sources)
    return Sources(settings).read()


def read_text(folder: Path, text: str, name: str = "devices.yml", config: str = "") -> dict[str, Device]:
    """The devices by name of one file that holds `text`."""
    (folder / name).write_text(text)
    return {device.name: device for device in read(folder, name, config=config).devices}
