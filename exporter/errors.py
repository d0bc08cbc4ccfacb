"""Every exception that the exporter raises on purpose.

WardError
├── ConfigError          one or more problems in a configuration or inventory, each with its place
├── SecretError          a password, community or key cannot be read; the message never shows it
├── SourceError          an inventory source could not be read (URL down, too slow, too large)
├── SocketError          no ICMP socket can be opened
│   └── SocketPermissionError  the kernel refuses it to this user
├── PrivilegeError       capabilities cannot be dropped, or nothing can be read without them
├── ListenError          the web address cannot be listened on
├── DiscoverError        ranges that no discovery goes through, or no file to write what it finds into
├── SnapshotError        a snapshot file that cannot be read back
├── BerError             a datagram that is no SNMP message
└── SnmpError            a device does not answer SNMP, or not as it should
    └── PartialWalk      ... after it has answered a part of what was asked
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


class SecretError(WardError):
    """A secret cannot be had; the message, without the place it should come from, says why and never shows it."""


class SourceError(WardError):
    """An inventory source could not be read; the message names it."""


class SocketError(WardError):
    """No ICMP socket can be opened; the message says why."""


class SocketPermissionError(SocketError):
    """No ICMP socket may be opened; the message says what to grant, and how."""


class PrivilegeError(WardError):
    """The process cannot go on without its capabilities, or not get rid of them; the message says why."""


class ListenError(WardError):
    """The web address cannot be listened on; the message names it and the reason."""


class DiscoverError(WardError):
    """A discovery cannot be done as asked; the message says what was found in the flags, and what is expected."""


class SnapshotError(WardError):
    """A snapshot cannot be restored; the message names the file and the reason."""


class BerError(WardError):
    """A datagram, or a part of it, is no SNMP message; the message says what is wrong with it."""


class SnmpError(WardError):
    """A device could not be polled. `kind` says why:

    timeout      it answered no try
    unreachable  ICMP says so, or this machine has no way there
    malformed    its answers are no answers to what was asked
    refused      it answers that it will not
    endless      a walk does not get on, or finds no end
    credentials  it does not know the user of SNMPv3, or by another password or protocol
    clock        its SNMPv3 engine does not accept the time that it has told itself
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(kind, message)
        self.kind = kind

    def __str__(self) -> str:
        message: str = self.args[1]
        return message


class PartialWalk(SnmpError):  # noqa: N818 - what it carries matters more than that it is an error
    """A walk ended before its end; `varbinds` (identifier, tag, value) are what came until then."""

    def __init__(self, kind: str, message: str, varbinds: list[tuple[bytes, int, bytes]]) -> None:
        super().__init__(kind, message)
        self.varbinds = varbinds

    def __reduce__(self) -> tuple[type[PartialWalk], tuple[object, ...]]:
        return type(self), (*self.args, self.varbinds)
