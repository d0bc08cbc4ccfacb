"""Files in snmp_exporter's own format -> `Module`: what to ask a device for, and what its answers are called.

Every key of the format is known, those of its newest releases too; what this exporter sets elsewhere (`auths`) is
read over. A scalar is what its key means, as there: `1: yes` in `enum_values` is the text "yes".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exporter.document import Document, load_file
from exporter.errors import ConfigError, Problem
from exporter.fields import ABSENT, Reader
from exporter.snmp import indexes
from exporter.snmp.ber import decode_oid, encode_oid
from exporter.snmp.module_keys import AUTH, FILE, STATES, TEXTS

#: The project's own modules, a file each.
FOLDER = Path(__file__).parent / "mibs"


@dataclass(frozen=True, slots=True)
class Index:
    """A label that is read off the identifier of a row."""

    labelname: str
    type: str
    fixed_size: int = 0
    implied: bool = False
    enum_values: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lookup:
    """A label that is found in another column, at the row that `labels` name; without them, a label to drop."""

    labels: tuple[str, ...]
    labelname: str
    oid: bytes = b""
    type: str = ""
    display_hint: str = ""
    #: The column before it, which says what an InetAddress is; empty for other types.
    kind_oid: bytes = b""


@dataclass(frozen=True, slots=True)
class Extract:
    """A number out of a text: `value` with $1 for the first group; the whole text has to match."""

    regex: re.Pattern[str]
    value: str = "$1"


@dataclass(frozen=True, slots=True)
class Metric:
    """A column of a table, or a scalar, and what it is called."""

    name: str
    oid: bytes
    type: str
    help: str = ""
    indexes: tuple[Index, ...] = ()
    lookups: tuple[Lookup, ...] = ()
    enum_values: Mapping[int, str] = field(default_factory=dict)
    #: By what is appended to the name.
    regex_extracts: Mapping[str, tuple[Extract, ...]] = field(default_factory=dict)
    scale: float = 0.0
    offset: float = 0.0
    #: In the notation of Python's strptime.
    datetime_pattern: str = ""
    display_hint: str = ""
    #: As that of a lookup.
    kind_oid: bytes = b""


@dataclass(frozen=True, slots=True)
class Condition:
    """That the column `oid` has a value, written as text, in which one of `values` is found."""

    oid: bytes
    values: tuple[re.Pattern[str], ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """Ask `targets` only for the rows that meet all of `conditions`; a file gives a filter one of them."""

    targets: tuple[bytes, ...]
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Module:
    """What is asked of a device, and how its answers are called. `timeout` is in seconds.

    None in `max_repetitions`, `retries` and `timeout` stands for what the configuration says.
    """

    name: str
    walk: tuple[bytes, ...] = ()
    get: tuple[bytes, ...] = ()
    metrics: tuple[Metric, ...] = ()
    max_repetitions: int | None = None
    retries: int | None = None
    timeout: float | None = None
    #: Of several for the same column the last one counts.
    filters: tuple[Filter, ...] = ()
    allow_nonincreasing_oids: bool = False
    #: What metrics are made of: subtrees to walk and instances to get, each interval.
    columns: tuple[bytes, ...] = ()
    instances: tuple[bytes, ...] = ()
    #: What only names rows, and may be asked for less often.
    lookup_columns: tuple[bytes, ...] = ()
    lookup_instances: tuple[bytes, ...] = ()

    @property
    def asked(self) -> tuple[bytes, ...]:
        """All subtrees and instances that a device is asked for."""
        return (*self.columns, *self.instances, *self.lookup_columns, *self.lookup_instances)


@dataclass(frozen=True, slots=True)
class ModuleFile:
    """What a file holds; `auths` names those that it defines, which nothing here uses."""

    modules: Mapping[str, Module]
    auths: tuple[str, ...] = ()


def shipped() -> dict[str, Module]:
    """The project's own modules by name."""
    modules: dict[str, Module] = {}
    for path in sorted(FOLDER.glob("*.yml")):
        modules |= load_modules(path).modules
    return modules


def load_modules(path: Path) -> ModuleFile:
    """The modules in a file; raises ConfigError with every problem."""
    document = load_file(path, as_written=True)
    problems = list(document.faults)
    loaded = _file(document, problems)
    if problems:
        raise ConfigError(sorted(problems, key=lambda problem: problem.line or 0))
    return loaded


def _file(document: Document, problems: list[Problem]) -> ModuleFile:
    reader = Reader(document, problems)
    written = document.value
    if document.kind != "yaml":
        problems.append(Problem(document.name, None, "", f"is {document.kind.upper()}; expected YAML"))
        return ModuleFile({})
    if isinstance(written, dict) and "modules" not in written and any(map(_is_module, written.values())):
        message = (
            "is in the format of snmp_exporter before 0.23: put the modules under 'modules:', "
            "and their 'version' and 'auth' under 'auths:'"
        )
        problems.append(Problem(document.name, None, "", message))
        return ModuleFile({})
    keys = reader.table(FILE, {} if written is None else written, ())
    if keys is ABSENT:
        return ModuleFile({})
    auths = _auths(reader, keys.get("auths", {}))
    if not keys.get("modules") and not problems:
        reader.problem(("modules",), "no module is defined")
    modules = {name: _module(reader, name, module) for name, module in keys.get("modules", {}).items()}
    return ModuleFile(modules, auths)


def _is_module(value: Any) -> bool:
    return isinstance(value, dict) and not value.keys().isdisjoint({"walk", "get", "metrics"})


def _auths(reader: Reader, written: Any) -> tuple[str, ...]:
    """The names of auths; their values, which may be secrets, are neither read nor shown."""
    if not isinstance(written, dict):
        reader.problem(("auths",), "expected a mapping")
        return ()
    for name, auth in written.items():
        if auth is not None and not isinstance(auth, dict):
            reader.problem(("auths", name), "expected a mapping")
            continue
        for key in auth or ():
            if key not in AUTH.keys:
                reader.unknown(AUTH, key, ("auths", name, key))
    return tuple(written)


def _module(reader: Reader, name: str, keys: dict[str, Any]) -> Module:
    way = ("modules", name)
    metrics = []
    for position, metric in enumerate(keys.pop("metrics", ())):
        if metric is not ABSENT and {"name", "oid", "type"} <= metric.keys():
            written = reader.document.value["modules"][name]["metrics"][position]
            metrics.append(_metric(reader, metric, written, (*way, "metrics", position)))
    walk, get = (tuple(oid for oid in keys.pop(key, ()) if oid is not ABSENT) for key in ("walk", "get"))
    filters = tuple(
        Filter(tuple(one["targets"]), (Condition(one["oid"], tuple(one["values"])),))
        for one in keys.pop("filters", ())
        if one is not ABSENT and len(one) == 3 and ABSENT not in [*one["targets"], *one["values"]]
    )
    keys.pop("use_unconnected_udp_socket", None)
    lookups = [lookup for metric in metrics for lookup in metric.lookups if lookup.labels]
    names = {oid for lookup in lookups for oid in (lookup.oid, lookup.kind_oid) if oid}
    made_of = {oid for metric in metrics for oid in (metric.oid, metric.kind_oid) if oid}
    columns = covering(walk, made_of)
    # What a walk brings too is not asked for twice.
    instances = tuple(oid for oid in get if _below(oid, made_of) and not _below(oid, columns))
    return Module(
        name,
        walk,
        get,
        tuple(metrics),
        filters=filters,
        columns=columns,
        instances=instances,
        lookup_columns=tuple(oid for oid in covering(walk, names) if not _below(oid, columns)),
        lookup_instances=tuple(
            oid for oid in get if _below(oid, names) and not _below(oid, (*columns, *instances))
        ),
        **keys,
    )


def _below(oid: bytes, ancestors: Iterable[bytes]) -> bool:
    """Whether an identifier is one of `ancestors`, or stands below one: encoded, it then starts with it."""
    return oid.startswith(tuple(ancestors))


def covering(walk: Iterable[bytes], wanted: Iterable[bytes]) -> tuple[bytes, ...]:
    """The least to walk for all that is wanted and that `walk` would have brought."""
    found: set[bytes] = set()
    for subtree in walk:
        found.update(oid for oid in wanted if _below(oid, [subtree]))
        if any(_below(subtree, [oid]) for oid in wanted):
            found.add(subtree)
    return tuple(sorted(oid for oid in found if not any(oid != other and _below(oid, [other]) for other in found)))


def _metric(reader: Reader, keys: dict[str, Any], written: Mapping[str, Any], way: tuple[str | int, ...]) -> Metric:
    own = {key: keys.pop(key, ()) for key in ("indexes", "lookups")}
    extracts = {
        suffix: tuple(Extract(**one) for one in several if one is not ABSENT and "regex" in one)
        for suffix, several in keys.pop("regex_extracts", {}).items()
    }
    if keys["type"] == "ParseDateAndTime" and "datetime_pattern" not in written:
        reader.problem(way, "the key 'datetime_pattern' is missing; ParseDateAndTime reads a text by it")
    if keys["type"] in (*TEXTS, *STATES) and ":" in keys["name"]:
        reader.problem((*way, "name"), f"{keys['name']!r} is also a label here, which may not contain ':'")
    return Metric(
        **keys,
        indexes=tuple(
            Index(**index)
            for index in own["indexes"]
            if index is not ABSENT and {"labelname", "type"} <= index.keys()
        ),
        lookups=tuple(
            _lookup(reader, lookup, (*way, "lookups", position))
            for position, lookup in enumerate(own["lookups"])
            if lookup is not ABSENT and "labelname" in lookup
        ),
        regex_extracts=extracts,
        kind_oid=_before(keys["oid"]) if keys["type"] in indexes.COMBINED else b"",
    )


def _lookup(reader: Reader, keys: dict[str, Any], way: tuple[str | int, ...]) -> Lookup:
    labels = tuple(label for label in keys.pop("labels", ()) if label is not ABSENT)
    if labels and "oid" not in keys:
        reader.problem(way, "the key 'oid' is missing")
    combined = keys.get("type") in indexes.COMBINED and "oid" in keys
    return Lookup(labels, **keys, kind_oid=_before(keys["oid"]) if combined else b"")


def _before(oid: bytes) -> bytes:
    """The column before one: its last number less one; nothing before number 0."""
    numbers = decode_oid(oid)
    return encode_oid([*numbers[:-1], numbers[-1] - 1]) if numbers[-1] > 0 else b""
