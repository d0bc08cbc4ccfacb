"""`--web.config.file`, in exporter-toolkit's format -> `WebConfig`: TLS, headers, users, rate limit.

Strict like ward.yml, and read with the same tables. One key is the project's own, `ward_read_only_users`:
exporter-toolkit has no roles, and would refuse the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exporter import values
from exporter.credentials import Secret
from exporter.document import load_file
from exporter.errors import Problem
from exporter.fields import ABSENT, Check, MapOf, Reader, Table, WrongError, listed
from exporter.web.tls import TLS, ServerTls, read_tls

READ_ONLY = "ward_read_only_users"
_USERS = ("basic_auth_users", READ_ONLY)

#: bcrypt doubles its work with each step of the cost; one more than this keeps a core busy for 10 s.
_COSTS = range(4, 17)
_HASH = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
_GO_DURATION = re.compile(r"(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+")
_GO_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST_INTERVAL = 3600.0


@dataclass(frozen=True, slots=True)
class User:
    """`may_change` is the right to more than GET and HEAD."""

    hash: Secret
    may_change: bool

    @property
    def cost(self) -> int:
        return int(self.hash.reveal()[4:6])


@dataclass(frozen=True, slots=True)
class Rate:
    """A token every `interval` seconds, `burst` of them at most."""

    interval: float
    burst: int


@dataclass(frozen=True, slots=True)
class WebConfig:
    """All of the file; without one, all is open and plain. `headers` that are "" shall not be sent."""

    tls: ServerTls | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, User] = field(default_factory=dict)
    rate: Rate | None = None

    def __str__(self) -> str:
        """What a log says of it."""
        changing = sum(user.may_change for user in self.users.values())
        users = f"{changing} users, {len(self.users) - changing} that may only read" if self.users else "no users"
        rate = f"a request each {values.show_seconds(self.rate.interval)}" if self.rate else "any rate"
        return f"{'TLS' if self.tls else 'no TLS'}, {users}, {rate}"


def _header(*allowed: str) -> Check:
    """A header's value: one of `allowed`, if there are any; "" leaves the header out."""

    def check(value: Any) -> str:
        found = values.text(value)
        if not found.isascii() or not found.isprintable() or found != found.strip():
            raise WrongError("one line of ASCII")
        if found and allowed and found not in allowed:
            raise WrongError(f"{' or '.join(allowed)}, or '' to leave it out")
        return found

    return check


def _user(value: Any) -> str:
    found = values.name(value)
    if ":" in found:
        raise WrongError("a name without a colon: HTTP ends the name there")
    return found


def _hash(value: Any) -> Secret:
    # Who puts a password where its hash belongs must not find it in the log.
    found = _HASH.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise WrongError("a bcrypt hash, such as $2y$10$ and 53 letters", instead="something else")
    if int(found[1]) not in _COSTS:
        raise WrongError(f"a cost from {_COSTS[0]} to {_COSTS[-1]}", instead=f"a bcrypt hash of cost {found[1]}")
    return Secret(found[0].encode())


def _interval(value: Any) -> float:
    """A duration as Go writes it, in seconds; 0 switches the limit off."""
    if (value == 0 and not isinstance(value, bool)) or value == "0":
        return 0.0
    if not isinstance(value, str) or not _GO_DURATION.fullmatch(value):
        raise WrongError("a time with a unit, such as 100ms or 1s, or 0 for no limit")
    parts = re.findall(r"([0-9.]+)([a-zµμ]+)", value)
    found = sum(float(number) * _GO_UNITS[unit] for number, unit in parts)
    if found > _LONGEST_INTERVAL:
        raise WrongError("at most 1h")
    return found


#: Every key of the file.
WEB = Table(
    {
        "tls_server_config": TLS,
        "http_server_config": Table(
            {
                "http2": values.flag,
                "headers": Table(
                    {
                        "Strict-Transport-Security": _header(),
                        "X-Content-Type-Options": _header("nosniff"),
                        "X-Frame-Options": _header("deny", "sameorigin"),
                        "X-XSS-Protection": _header(),
                        "Content-Security-Policy": _header(),
                    }
                ),
            }
        ),
        "rate_limit": Table({"interval": _interval, "burst": values.whole(1, 1_000_000)}),
        "basic_auth_users": MapOf(_user, _hash),
        READ_ONLY: MapOf(_user, _hash),
    },
    hints={"basic_auth_excluded_paths": "no path is left out of authentication here"},
)


def examine_web_config(path: Path) -> tuple[WebConfig, tuple[Path, ...], list[Problem]]:
    """What can be read, from which files, and all that is wrong; raises ConfigError where nothing can be read."""
    document = load_file(path)
    problems = list(document.faults)
    reader = Reader(document, problems)
    if document.kind == "csv":
        problems.append(Problem(document.name, None, "", "found a CSV file; expected YAML or JSON"))
        return WebConfig(), (path,), problems
    written = document.value
    if isinstance(written, dict):
        written = {key: value for key, value in written.items() if not _misplaced(reader, key, value)}
    keys = reader.table(WEB, {} if written is None else written, ())
    if keys is ABSENT:
        return WebConfig(), (path,), problems
    tls = None
    # Without any key there is no TLS: so exporter-toolkit means it too.
    if keys.get("tls_server_config") is not None and written["tls_server_config"]:
        section = ("tls_server_config",)
        tls = read_tls(reader, section, path.parent, keys["tls_server_config"], written["tls_server_config"])
    config = WebConfig(
        tls,
        keys.get("http_server_config", {}).get("headers", {}),
        _users(reader, keys),
        _rate(reader, keys.get("rate_limit", {}), (written or {}).get("rate_limit") or {}),
    )
    files = (path, *_files(path.parent, keys.get("tls_server_config", {})))
    return config, files, sorted(problems, key=lambda problem: problem.line or 0)


def _misplaced(reader: Reader, key: str, value: Any) -> bool:
    """Whether something else stands in place of users; it may be a hash, so it is not repeated."""
    if key not in _USERS or value is None or isinstance(value, dict):
        return False
    reader.problem((key,), "found something else; expected a mapping of names to bcrypt hashes")
    return True


def _files(folder: Path, keys: Mapping[str, Any]) -> list[Path]:
    return [folder / keys[key] for key in ("cert_file", "key_file", "client_ca_file") if key in keys]


def _users(reader: Reader, keys: Mapping[str, Any]) -> dict[str, User]:
    users: dict[str, User] = {}
    for key in _USERS:
        for name, hashed in keys.get(key, {}).items():
            if name in users:
                reader.problem((key, name), f"is one of {_USERS[0]} already; expected it in one of the two")
            users[name] = User(hashed, key != READ_ONLY)
    return users


def _rate(reader: Reader, keys: Mapping[str, Any], written: Mapping[str, Any]) -> Rate | None:
    if keys.get("interval") == 0:
        return None
    missing = [key for key in ("interval", "burst") if isinstance(written, dict) and written.get(key) is None]
    if len(missing) == 1:
        reader.problem(
            ("rate_limit",), f"the key {missing[0]!r} is missing; expected {listed(('interval', 'burst'))}"
        )
    return Rate(keys["interval"], keys["burst"]) if len(keys) == 2 else None
