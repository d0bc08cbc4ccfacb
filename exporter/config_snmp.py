"""The `snmp` keys of ward.yml, of classes and of devices: who is asked for what, how often, with which auth."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exporter import values
from exporter.config_auths import AUTHS, KEY_SOURCES, Auth, AuthReader
from exporter.fields import ABSENT, ListOf, Reader, Table, WrongError, did_you_mean, listed, shown


@dataclass(frozen=True, slots=True)
class Interfaces:
    """Which interfaces a device is asked for: those that have one of each that is given."""

    admin_status: tuple[str, ...] = ()
    #: Names of the IANAifType, such as ethernetCsmacd.
    types: tuple[str, ...] = ()
    #: Searched in ifName and ifAlias.
    names: tuple[re.Pattern[str], ...] = ()
    aliases: tuple[re.Pattern[str], ...] = ()


@dataclass(frozen=True, slots=True)
class SnmpSettings:
    """`snmp` of ward.yml: times in seconds, auths by name, and the user's own module files."""

    interval: float = 60.0
    slow_interval: float = 3600.0
    timeout: float = 2.0
    retries: int = 2
    max_repetitions: int = 25
    workers: int = 1
    auths: Mapping[str, Auth] = field(default_factory=dict)
    modules: tuple[Path, ...] = ()
    interfaces: Interfaces = Interfaces()
    #: What devices may name: also the auths that are refused for their own mistakes. None where nobody can tell.
    auth_names: frozenset[str] | None = frozenset()
    #: What secrets were read from.
    secret_files: tuple[Path, ...] = ()


def _module_names(value: Any) -> tuple[str, ...]:
    """A list of names; in the one cell of a CSV, `if_mib; ucd`."""
    names = [part.strip() for part in value.split(";")] if isinstance(value, str) else value
    if not isinstance(names, list):
        raise WrongError("a list of module names")
    for position, name in enumerate(names):
        try:
            values.name(name)
        except WrongError as wrong:
            raise WrongError("a list of module names", instead=f"{shown(name)} among them") from wrong
        if name in names[:position]:
            raise WrongError("each module once", instead=f"{name!r} twice")
    return tuple(names)


#: Of ifAdminStatus (RFC 2863).
ADMIN_STATUS = {"up": 1, "down": 2, "testing": 3}


def _admin_status(value: Any) -> str:
    if value not in ADMIN_STATUS:
        raise WrongError(f"one of {listed(ADMIN_STATUS)}")
    return str(value)


def _regex(value: Any) -> re.Pattern[str]:
    try:
        return re.compile(values.text(value))
    except (re.error, OverflowError, RecursionError) as error:
        raise WrongError(f"a regular expression ({error})") from error


_COMMUNITY_HINT = "it belongs to an auth under snmp.auths in ward.yml, which the key 'auth' names"
#: The keys of a class or device.
OPTIONS = Table(
    {"auth": values.name, "port": values.whole(1, 65_535, "a port"), "modules": _module_names},
    hints={"community": _COMMUNITY_HINT},
)
SNMP = Table(
    {
        "interval": values.duration("1s", "1d"),
        "slow_interval": values.duration("1s", "7d"),
        "timeout": values.duration("10ms", "1m"),
        "retries": values.whole(0, 10),
        "max_repetitions": values.whole(1, 1000),
        "workers": values.whole(1, 64),
        "auths": AUTHS,
        **KEY_SOURCES,
        "modules": ListOf(values.name),
        "interfaces": Table(
            {
                "admin_status": ListOf(_admin_status),
                "types": ListOf(values.name),
                "names": ListOf(_regex),
                "aliases": ListOf(_regex),
            }
        ),
    },
    hints={"community": _COMMUNITY_HINT},
)


def read_snmp(reader: Reader, folder: Path, keys: Mapping[str, Any], written: Any) -> SnmpSettings:
    """The settings that `keys` (checked, of `written`) mean, with every secret; relative files are in `folder`."""
    if not isinstance(written, dict):
        # Devices that name an auth are not to blame for that.
        return SnmpSettings(auth_names=None if written is not None else frozenset())
    auths = written.get("auths")
    names = frozenset(auths or ()) if isinstance(auths, dict | None) else None
    given = {
        key: value for key, value in keys.items() if key not in {"auths", "modules", "interfaces", *KEY_SOURCES}
    }
    given.setdefault("slow_interval", max(SnmpSettings().slow_interval, keys.get("interval", 0.0)))
    secrets = AuthReader(reader, folder, keys, written)
    settings = SnmpSettings(
        **given,
        auths=secrets.read(),
        modules=_modules(reader, folder, keys.get("modules", [])),
        interfaces=_interfaces(keys.get("interfaces", {})),
        auth_names=names,
        secret_files=tuple(dict.fromkeys(secrets.files)),
    )
    _check_clocks(reader, settings)
    return settings


def _check_clocks(reader: Reader, settings: SnmpSettings) -> None:
    tries = settings.retries + 1
    patience = settings.timeout * tries
    if settings.interval < patience:
        each, least = values.show_seconds(settings.timeout), values.show_seconds(patience)
        message = f"a device that does not answer takes {tries} x {each}; expected at least {least}"
        reader.problem(("snmp", "interval"), message)
    if settings.slow_interval < settings.interval:
        interval = values.show_seconds(settings.interval)
        reader.problem(("snmp", "slow_interval"), f"is shorter than snmp.interval, which is {interval}")


def _modules(reader: Reader, folder: Path, files: list[Any]) -> tuple[Path, ...]:
    first: dict[str, int] = {}
    for position, file in enumerate(files):
        if file is not ABSENT and first.setdefault(file, position) != position:
            already = f"{file!r} is the file snmp.modules[{first[file]}] already"
            reader.problem(("snmp", "modules", position), already)
    return tuple(folder / file for file in first)


def _interfaces(keys: Mapping[str, list[Any]]) -> Interfaces:
    return Interfaces(**{key: tuple(item for item in items if item is not ABSENT) for key, items in keys.items()})


def wrong_auth(options: Mapping[str, Any], settings: SnmpSettings) -> str:
    """What is wrong with the auth that a class or device names; "" if nothing is."""
    name, known = options.get("auth"), settings.auth_names
    if name is None or known is None or name in known:
        return ""
    hint = did_you_mean(name, known) or f"snmp.auths in ward.yml has {listed(sorted(known)) or 'none'}"
    return f"no auth has the name {name!r}; {hint}"
