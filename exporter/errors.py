"""Every exception that the exporter raises on purpose.

WardError
├── ConfigError          one or more problems in a configuration or inventory, each with its place
├── SourceError          an inventory source could not be read (URL down, too slow, too large)
├── SocketError          no ICMP socket can be opened
│   └── SocketPermissionError  the kernel refuses it to this user
├── ListenError          the web address cannot be listened on
└── SnapshotError        a snapshot file that cannot be read back
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class WardError(Exception):
    """Base of all of them: `except WardError` catches what can be told to a user in a line or two."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where.

    `file` is a path or URL; `line` counts from 1 and is None where the format has no lines;
    `path` is the way to the value, such as `devices[3].address`; `message` says what was found and
    what was expected.
    """

    file: str
    line: int | None
    path: str
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


class ConfigError(WardError):
    """A configuration or inventory was refused; `problems` holds every reason, in reading order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class SourceError(WardError):
    """An inventory source could not be read; the message names it."""


class SocketError(WardError):
    """No ICMP socket can be opened; the message says why."""


class SocketPermissionError(SocketError):
    """No ICMP socket may be opened; the message says what to grant, and how."""


class ListenError(WardError):
    """The web address cannot be listened on; the message names it and the reason."""


class SnapshotError(WardError):
    """A snapshot cannot be restored; the message names the file and the reason."""
