"""What the inventory knows of a device and a site, after classes and defaults have been applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Window:
    """A maintenance window; `start` and `end` are aware datetimes, `end` is not part of it."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class ProbeOptions:
    """How the packets to a device look. `source` is an IP address, or "" for the kernel's choice."""

    payload_bytes: int = 56
    dscp: int = 0
    dont_fragment: bool = False
    source: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """What counts as too slow (seconds), too lossy (0..1) and flapping (changes within the window)."""

    rtt: float = 0.2
    loss: float = 0.1
    flap_changes: int = 3


@dataclass(frozen=True, slots=True)
class SnmpOptions:
    """How a device is polled: `auth` is a name in the settings; without `modules` its sysObjectID chooses them."""

    auth: str
    port: int = 161
    modules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One probed target. `name` is unique; `address` is an IP address in canonical form, or a host name."""

    name: str
    address: str
    hostname: str = ""
    site: str = ""
    role: str = "device"
    priority: int = 3
    region: str = ""
    provider: str = ""
    vendor: str = ""
    model: str = ""
    parent: str = ""
    latitude: float | None = None
    longitude: float | None = None
    labels: tuple[tuple[str, str], ...] = ()
    limits: Limits = Limits()
    probe: ProbeOptions = ProbeOptions()
    histogram: bool = False
    #: None where nothing is polled.
    snmp: SnmpOptions | None = None
    #: Its own windows, and its site's behind them.
    maintenance: tuple[Window, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A branch. With `local_uplinks` its devices are reachable without its ISP links, never shadowed."""

    name: str
    region: str = ""
    latitude: float | None = None
    longitude: float | None = None
    local_uplinks: bool = False
    maintenance: tuple[Window, ...] = ()


@dataclass(frozen=True, slots=True)
class Inventory:
    """All devices in reading order, and the sites by name; `warnings` are for the log and `check`.

    `beyond` are parents of these devices that another exporter shows: probed here only to know what is behind them.
    """

    devices: tuple[Device, ...]
    sites: Mapping[str, Site] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    beyond: tuple[Device, ...] = ()

    @property
    def probed(self) -> tuple[Device, ...]:
        """A row each, in this order."""
        return self.devices + self.beyond
