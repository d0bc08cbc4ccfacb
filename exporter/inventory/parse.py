"""One inventory document -> entries: each key checked by itself, classes and defaults not yet applied.

Three shapes: a mapping of `devices` and `sites` (YAML, JSON), a list of Prometheus http_sd groups (JSON,
YAML), and a table with a header (CSV).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from exporter import addresses, values
from exporter.config import LIMITS, PRIORITY, PROBE_OPTIONS
from exporter.config_snmp import OPTIONS
from exporter.document import Document, Way
from exporter.errors import Problem
from exporter.fields import ABSENT, ListOf, MapOf, Reader, Table, WrongError, listed
from exporter.inventory.device import Window

_LATITUDE = values.number(-90, 90, "degrees")
_LONGITUDE = values.number(-180, 180, "degrees")

_WINDOWS = ListOf(Table({"start": values.instant, "end": values.instant}, required=("start", "end")))

DEVICE = Table(
    {
        "name": values.device_name,
        "address": addresses.address,
        "hostname": values.text,
        "site": values.name,
        "role": values.name,
        "priority": PRIORITY,
        "region": values.text,
        "provider": values.text,
        "vendor": values.text,
        "model": values.text,
        "parent": values.name,
        "latitude": _LATITUDE,
        "longitude": _LONGITUDE,
        "labels": MapOf(values.label_name, values.text),
        "limits": LIMITS,
        "probe": Table(PROBE_OPTIONS),
        "histogram": values.flag,
        "snmp": OPTIONS,
        "maintenance": _WINDOWS,
    },
    required=("name", "address"),
)
SITE = Table(
    {
        "region": values.text,
        "latitude": _LATITUDE,
        "longitude": _LONGITUDE,
        "local_uplinks": values.flag,
        "maintenance": _WINDOWS,
    }
)
INVENTORY = Table({"sites": MapOf(values.name, SITE), "devices": ListOf(DEVICE)})
GROUP = Table(
    {"targets": ListOf(values.name), "labels": MapOf(values.text, values.text)},
    required=("targets",),
)
#: http_sd labels that are device keys; all others are the device's own labels.
SD_LABELS = (
    *("name", "address", "site", "role", "priority", "hostname", "region", "provider", "vendor", "model"),
    *("parent", "latitude", "longitude"),
)


@dataclass(slots=True)
class Entry:
    """A device or site as one document gives it: `keys` are checked, `way` leads to it."""

    document: Document
    way: Way
    keys: dict[str, Any]

    def where(self, key: str = "") -> str:
        """`file:line` of the entry or of one of its keys."""
        line = self.document.places.line((*self.way, key) if key else self.way)
        return self.document.name if line is None else f"{self.document.name}:{line}"

    def problem(self, key: str, message: str) -> Problem:
        """`message` as a problem of the entry or of one of its keys."""
        return self.document.problem((*self.way, key) if key else self.way, message)


@dataclass(slots=True)
class Entries:
    """All that some documents say, in reading order."""

    devices: list[Entry] = field(default_factory=list)
    sites: list[tuple[str, Entry]] = field(default_factory=list)


def parse_inventory(document: Document, entries: Entries, problems: list[Problem]) -> None:
    """Add the document's devices and sites to `entries`, and what is wrong with it to `problems`."""
    reader = Reader(document, problems)
    problems.extend(document.faults)
    if document.kind == "csv":
        _table(reader, entries)
    elif isinstance(document.value, list):
        _groups(reader, entries)
    elif document.value is not None:
        _mapping(reader, entries)


def _mapping(reader: Reader, entries: Entries) -> None:
    outer = Table({key: lambda value: value for key in INVENTORY.keys})
    value = reader.table(outer, reader.document.value, ())
    if value is ABSENT:
        return
    sites = reader.read(INVENTORY.keys["sites"], value.get("sites"), ("sites",))
    for name, keys in ({} if sites is ABSENT else sites).items():
        way = ("sites", name)
        entries.sites.append((name, Entry(reader.document, way, _windows(reader, keys, way))))
    devices = value.get("devices", [])
    if not isinstance(devices, list):
        reader.problem(("devices",), "expected a list of devices, each with '- ' in front")
        return
    for position, device in enumerate(devices):
        _device(reader, entries, device, ("devices", position))


def _device(reader: Reader, entries: Entries, value: Any, way: Way) -> None:
    if value is None:
        reader.problem(way, "found an empty item")
        return
    keys = reader.table(DEVICE, value, way)
    if keys is not ABSENT:
        entries.devices.append(Entry(reader.document, way, _windows(reader, keys, way)))


def _windows(reader: Reader, keys: dict[str, Any], way: Way) -> dict[str, Any]:
    """`keys` with its maintenance as Windows."""
    if "maintenance" in keys:
        windows = []
        for position, window in enumerate(keys["maintenance"]):
            if window is ABSENT or len(window) < 2:
                continue
            if window["end"] <= window["start"]:
                reader.problem((*way, "maintenance", position), "the end is not after the start")
            windows.append(Window(window["start"], window["end"]))
        keys["maintenance"] = tuple(windows)
    return keys


# -- http_sd -----------------------------------------------------------------------------------------------


def _groups(reader: Reader, entries: Entries) -> None:
    for position, written in enumerate(reader.document.value):
        way: Way = (position,)
        if not isinstance(written, dict):
            reader.problem(way, 'expected an http_sd group: {"targets": [...], "labels": {...}}')
            continue
        group = reader.table(GROUP, written, way)
        common = _sd_keys(reader, group.get("labels", {}), way)
        for number, target in enumerate(group.get("targets", ())):
            if target is ABSENT:
                continue
            host = without_port(target)
            checked = reader.read(addresses.address, host, (position, "targets", number))
            if checked is ABSENT:
                continue
            keys = {"address": checked, **common}
            keys.setdefault("name", keys["address"])
            entries.devices.append(Entry(reader.document, (position, "targets", number), keys))


def _sd_keys(reader: Reader, labels: dict[str, str], way: Way) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    own: dict[str, str] = {}
    for label, value in labels.items():
        # Prometheus takes an empty label for an absent one, and keeps names in __ for relabelling.
        if not value or label.startswith("__"):
            continue
        inner = (*way, "labels", label)
        key = "name" if label == "device" else label
        if key in SD_LABELS:
            checked = reader.read(DEVICE.keys[key], value, inner)
            if checked is not ABSENT:
                keys[key] = checked
        elif _is_right(reader, label, inner):
            own[label] = value
    if own:
        keys["labels"] = own
    return keys


def _is_right(reader: Reader, label: str, way: Way) -> bool:
    return reader.read(values.label_name, label, way) is not ABSENT


def without_port(target: str) -> str:
    """The address in a target: `10.1.1.5:161`, `host:80`, `2001:db8::5`, `[2001:db8::5]:161`."""
    if target.startswith("["):
        inside, bracket, rest = target[1:].partition("]")
        port = rest.removeprefix(":")
        return inside if bracket and (not rest or (port != rest and port.isdecimal())) else target
    host, colon, port = target.partition(":")
    return host if colon and port.isdecimal() else target


# -- CSV ---------------------------------------------------------------------------------------------------


def columns() -> Iterator[str]:
    """The names that a CSV header may hold; `labels.` takes any label name behind it."""
    for key, inner in DEVICE.keys.items():
        if isinstance(inner, Table):
            yield from (f"{key}.{part}" for part in inner.keys)
        elif key == "maintenance" or not isinstance(inner, MapOf):
            yield key


def _table(reader: Reader, entries: Entries) -> None:
    header: list[str] = reader.document.value["header"]
    if not header:
        reader.problem((), "the file is empty; expected a header such as name,address,site,role")
        return
    known = Table(dict.fromkeys(columns(), values.text))
    if not any(column in known.keys for column in header):
        found = listed(header)[:80]
        reader.problem((), f"the first line is no header: found {found!r}; expected name,address,...")
        return
    if not _header_is_right(reader, header, known):
        return
    plan = [(column.partition(".")[0], column.partition(".")[2]) for column in header]
    for position, row in enumerate(reader.document.value["rows"]):
        device: dict[str, Any] = {}
        for (key, inner), cell in zip(plan, row, strict=True):
            value = cell if key == "labels" else cell.strip()
            if not value:
                continue
            if inner:
                device.setdefault(key, {})[inner] = value
            else:
                device[key] = _split_windows(value) if key == "maintenance" else value
        _device(reader, entries, device, ("devices", position))


def _header_is_right(reader: Reader, header: list[str], known: Table) -> bool:
    before = len(reader.problems)
    for column in header:
        if header.count(column) > 1:
            reader.problem((), f"the column {column!r} stands twice in the header")
            break
    for column in header:
        if column.startswith("labels."):
            try:
                values.label_name(column.removeprefix("labels."))
            except WrongError as wrong:
                reader.problem((), f"found the column {column!r}; expected {wrong.expected}")
        elif column not in known.keys:
            reader.unknown(known, column, (), "column")
    for column in DEVICE.required:
        if column not in header:
            reader.problem((), f"the column {column!r} is missing")
    return len(reader.problems) == before


def _split_windows(cell: str) -> list[dict[str, str]]:
    """`START/END; START/END` as the list that YAML would hold."""
    windows = (part.partition("/") for part in cell.split(";"))
    return [{"start": start.strip(), "end": end.strip()} for start, _, end in windows]
