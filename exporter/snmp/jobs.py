"""What the exporter and its poller processes say to each other; pickled, over a socket pair that only they hold.

Secrets cross it in the clear: it never leaves the machine's memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.config_auths import Auth, CommunityAuth
from exporter.credentials import Secret
from exporter.snmp.modules import Module
from exporter.snmp.render import Page


@dataclass(frozen=True, slots=True)
class Access:
    """How to ask: version 2 has a community; version 3 has what RFC 3414 calls a user."""

    version: int
    community: bytes = field(default=b"", repr=False)
    username: str = ""
    security_level: str = "noAuthNoPriv"
    auth_protocol: str = ""
    password: bytes = field(default=b"", repr=False)
    priv_protocol: str = ""
    priv_password: bytes = field(default=b"", repr=False)
    context_name: str = ""


def access(auth: Auth) -> Access:
    """Secrets in the clear, for who asks with them."""
    if isinstance(auth, CommunityAuth):
        return Access(2, auth.community.reveal())
    return Access(
        3,
        username=auth.username,
        security_level=auth.security_level,
        auth_protocol=auth.auth_protocol,
        password=_revealed(auth.password),
        priv_protocol=auth.priv_protocol,
        priv_password=_revealed(auth.priv_password),
        context_name=auth.context_name,
    )


def _revealed(secret: Secret | None) -> bytes:
    return b"" if secret is None else secret.reveal()


@dataclass(frozen=True, slots=True)
class Job:
    """A device to poll. `labels` are rendered, without braces; no `modules` leaves the choice to its system."""

    device: str
    host: str
    port: int
    access: Access
    labels: str
    modules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Assignment:
    """All that a process has to do, in place of what it did before. Seconds; `limit` counts samples of a device."""

    jobs: tuple[Job, ...]
    modules: Mapping[str, Module]
    interval: float
    slow_interval: float
    timeout: float
    retries: int
    max_repetitions: int
    limit: int


@dataclass(slots=True)
class Polled:
    """What became of one poll, begun `at` (Unix time) and `began` (CLOCK_MONOTONIC, which no step of the wall clock
    moves); counters run since the process knows the device.

    `failure` is "" or the kind of the error that kept something back: with blocks, the poll is a partial one.
    `problem` says more of it, for the log.
    """

    device: str
    at: float
    began: float
    duration: float
    page: Page
    modules: tuple[str, ...] = ()
    failure: str = ""
    problem: str = ""
    sent: int = 0
    received: int = 0
    retries: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    over_limit: int = 0
    malformed: int = 0
    #: Of every vendor alike: shares from 0 to 1, and seconds; None where the device does not tell.
    cpu: float | None = None
    memory: float | None = None
    uptime: float | None = None
