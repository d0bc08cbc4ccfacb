"""ward.yml -> `Settings`: frozen, checked, every key with its default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from exporter import addresses, values
from exporter.config_snmp import OPTIONS, SNMP, SnmpSettings, read_snmp, wrong_auth
from exporter.document import Document, load_file
from exporter.errors import ConfigError, Problem
from exporter.fields import ABSENT, ListOf, MapOf, Reader, Table

#: What `serve` uses without a configuration: loopback devices that show something true.
DEFAULT_FILE = Path(__file__).parent / "default" / "ward.yml"

#: A window of fewer probes than this makes a loss ratio of steps too coarse to compare with a limit,
#: one of more takes memory that no graph shows.
MIN_WINDOW_PROBES = 10
MAX_WINDOW_PROBES = 3600

DEFAULT_REFRESH = 300.0
DEFAULT_INVENTORY = "devices/*.yml"


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """The loop's clock (seconds), the verdict's thresholds (probes), and how packets look by default."""

    interval: float = 1.0
    timeout: float = 1.0
    window: float = 60.0
    down_after: int = 3
    up_after: int = 2
    resolve_every: float = 300.0
    payload_bytes: int = 56
    dscp: int = 0
    dont_fragment: bool = False
    source: str = ""


@dataclass(frozen=True, slots=True)
class FlappingSettings:
    """Verdict changes are counted over `window` seconds."""

    window: float = 300.0


@dataclass(frozen=True, slots=True)
class Match:
    """Which devices a class takes: globs ("" takes all), and own labels that must be equal."""

    address: str = ""
    name: str = ""
    site: str = ""
    role: str = ""
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class DeviceClass:
    """Defaults for the devices that match; None, "" and absent keys leave the general default.

    `limits` has keys of `Limits` (seconds, 0..1, changes), `probe` of `ProbeOptions`, `snmp` of `SnmpOptions`.
    """

    name: str
    match: Match = Match()
    role: str = ""
    priority: int | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)
    probe: Mapping[str, Any] = field(default_factory=dict)
    histogram: bool | None = None
    snmp: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FileSource:
    """Files by a glob, relative to the configuration file; `line` is where the configuration says so."""

    pattern: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class UrlSource:
    """An inventory over HTTP, asked every `refresh` seconds; secrets stay in their files until sent."""

    url: str
    refresh: float = DEFAULT_REFRESH
    username: str = ""
    password_file: Path | None = None
    bearer_token_file: Path | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """All of ward.yml. `path` is the file it came from."""

    path: Path
    probe: ProbeSettings = ProbeSettings()
    flapping: FlappingSettings = FlappingSettings()
    classes: tuple[DeviceClass, ...] = ()
    inventory: tuple[FileSource | UrlSource, ...] = ()
    snmp: SnmpSettings = field(default_factory=SnmpSettings)


PROBE_OPTIONS = {
    "payload_bytes": values.whole(values.MIN_PAYLOAD, values.MAX_PAYLOAD),
    "dscp": values.dscp,
    "dont_fragment": values.flag,
    "source": addresses.ip_only,
}
LIMITS = Table(
    {
        "rtt": values.duration("0.1ms", "1m"),
        "loss": values.ratio,
        "flap_changes": values.whole(1, 1000),
    }
)
PRIORITY = values.whole(0, 5)

_CLASS = Table(
    {
        "name": values.name,
        "match": Table(
            {
                "address": values.name,
                "name": values.name,
                "site": values.name,
                "role": values.name,
                "labels": MapOf(values.label_name, values.text),
            }
        ),
        "role": values.name,
        "priority": PRIORITY,
        "limits": LIMITS,
        "probe": Table(PROBE_OPTIONS),
        "histogram": values.flag,
        "snmp": OPTIONS,
    },
    required=("name",),
)
_SOURCE = Table(
    {
        "file": values.name,
        "url": values.url,
        "refresh": values.duration("1s", "1d"),
        "username": values.name,
        "password_file": values.name,
        "bearer_token_file": values.name,
    }
)
#: Every key of ward.yml.
SETTINGS = Table(
    {
        "probe": Table(
            {
                "interval": values.duration("100ms", "1h"),
                "timeout": values.duration("10ms", "5m"),
                "window": values.duration("1s", "1d"),
                "down_after": values.whole(1, 100),
                "up_after": values.whole(1, 100),
                "resolve_every": values.duration("10s", "1d"),
                **PROBE_OPTIONS,
            }
        ),
        "flapping": Table({"window": values.duration("10s", "1d")}),
        "classes": ListOf(_CLASS),
        "inventory": ListOf(_SOURCE),
        "snmp": SNMP,
    }
)


def load_settings(path: Path | None) -> Settings:
    """The settings in `path` (None: the embedded default); raises ConfigError with every problem."""
    settings, problems = examine_settings(path)
    if problems:
        raise ConfigError(problems)
    return settings


def examine_settings(path: Path | None) -> tuple[Settings, list[Problem]]:
    """The settings as far as they can be read, and all that is wrong; raises ConfigError where nothing can be."""
    document = load_file(path or DEFAULT_FILE)
    problems: list[Problem] = []
    settings = _settings(path or DEFAULT_FILE, document, problems)
    return settings, sorted(problems, key=lambda problem: problem.line or 0)


def _settings(path: Path, document: Document, problems: list[Problem]) -> Settings:
    reader = Reader(document, problems)
    problems.extend(document.faults)
    if document.kind == "csv":
        message = "found a CSV file; expected the settings as YAML or JSON"
        problems.append(Problem(document.name, None, "", message))
        return Settings(path)
    keys = reader.table(SETTINGS, {} if document.value is None else document.value, ())
    if keys is ABSENT:
        return Settings(path)
    written = document.value or {}
    probe = _probe(reader, keys.get("probe", {}))
    flapping = FlappingSettings(**keys.get("flapping", {}))
    shortest = (probe.down_after + probe.up_after) * probe.interval
    if flapping.window < shortest:
        way = ("flapping", "window")
        least = values.show_seconds(shortest)
        reader.problem(way, f"going down and up again takes {least} of probes; expected at least that")
    snmp = read_snmp(reader, path.parent, keys.get("snmp", {}), written.get("snmp"))
    classes: tuple[DeviceClass, ...] = ()
    if "classes" in keys:
        classes = _classes(reader, keys["classes"], written["classes"], snmp)
    elif path != DEFAULT_FILE:
        classes = load_settings(None).classes
    inventory: tuple[FileSource | UrlSource, ...] = (FileSource(DEFAULT_INVENTORY),)
    if "inventory" in keys:
        inventory = _inventory(reader, path.parent, keys["inventory"], written["inventory"])
    return Settings(path, probe, flapping, classes, inventory, snmp)


def _probe(reader: Reader, keys: dict[str, Any]) -> ProbeSettings:
    probe = ProbeSettings(**keys)
    if "window" not in keys:
        probe = replace(probe, window=max(probe.window, MIN_WINDOW_PROBES * probe.interval))
    window = values.show_seconds(probe.window)
    interval = values.show_seconds(probe.interval)
    if probe.timeout > probe.window:
        reader.problem(("probe", "timeout"), f"is longer than probe.window, which is {window}")
    if probe.window < MIN_WINDOW_PROBES * probe.interval:
        least = values.show_seconds(MIN_WINDOW_PROBES * probe.interval)
        message = f"a window of {window} holds too few probes {interval} apart; expected at least {least}"
        reader.problem(("probe", "window"), message)
    if probe.window > MAX_WINDOW_PROBES * probe.interval:
        most = values.show_seconds(MAX_WINDOW_PROBES * probe.interval)
        message = f"a window of {window} holds too many probes {interval} apart; expected at most {most}"
        reader.problem(("probe", "window"), message)
    return probe


def _classes(reader: Reader, tables: list[Any], written: list[Any], snmp: SnmpSettings) -> tuple[DeviceClass, ...]:
    classes = []
    first: dict[str, int] = {}
    takes_all = ""
    for position, keys in enumerate(tables):
        if keys is ABSENT or "name" not in keys:
            continue
        name = keys["name"]
        if name in first:
            already = f"{name!r} is the name of classes[{first[name]}] already"
            reader.problem(("classes", position, "name"), already)
        first.setdefault(name, position)
        if takes_all:
            message = f"is never reached: {takes_all!r} before it takes every device"
            reader.problem(("classes", position), message)
        if wrong := wrong_auth(keys.get("snmp", {}), snmp):
            reader.problem(("classes", position, "snmp", "auth"), wrong)
        if not written[position].get("match"):
            takes_all = name
        match = dict(keys.get("match", {}))
        labels = tuple(sorted(match.pop("labels", {}).items()))
        classes.append(DeviceClass(**{**keys, "match": Match(**match, labels=labels)}))
    return tuple(classes)


def _inventory(
    reader: Reader, folder: Path, tables: list[Any], written: list[Any]
) -> tuple[FileSource | UrlSource, ...]:
    sources: list[FileSource | UrlSource] = []
    first: dict[str, int] = {}
    if not written:
        reader.problem(("inventory",), "is empty; expected at least one file or url")
    for position, keys in enumerate(tables):
        if keys is ABSENT:
            continue
        way = ("inventory", position)
        kind = "file" if "file" in written[position] else "url"
        if ("file" in written[position]) == ("url" in written[position]):
            reader.problem(way, "expected either 'file' or 'url'")
            continue
        if kind == "file":
            for key in sorted(keys.keys() - {"file"}):
                reader.problem((*way, key), f"{key!r} goes with 'url' only")
        if kind not in keys:
            continue
        where = keys[kind]
        if where in first:
            reader.problem((*way, kind), f"{where!r} is the source inventory[{first[where]}] already")
        first.setdefault(where, position)
        line = reader.document.places.line((*way, kind))
        if kind == "file":
            sources.append(FileSource(where, line))
        else:
            sources.append(_url_source(reader, folder, keys, way, line))
    return tuple(sources)


def _url_source(
    reader: Reader, folder: Path, keys: dict[str, Any], way: tuple[str, int], line: int | None
) -> UrlSource:
    if ("username" in keys) != ("password_file" in keys):
        reader.problem(way, "expected 'username' and 'password_file' together")
    if "password_file" in keys and "bearer_token_file" in keys:
        reader.problem(way, "expected either 'password_file' or 'bearer_token_file'")
    secrets = {key: folder / keys[key] for key in ("password_file", "bearer_token_file") if key in keys}
    return UrlSource(
        keys["url"], keys.get("refresh", DEFAULT_REFRESH), keys.get("username", ""), **secrets, line=line
    )
