"""Classes and defaults: what a device does not say itself, its class, its site or the settings say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from fnmatch import translate
from typing import Any

from exporter import addresses
from exporter.config import PROBE_OPTIONS, DeviceClass, Settings
from exporter.inventory.device import Device, Limits, ProbeOptions, Site, SnmpOptions

DEFAULT_ROLE = "device"
DEFAULT_PRIORITY = 3
#: A glob that can only mean IPv4 addresses.
_IPV4_GLOB = re.compile(r"[0-9*?.!\[\]-]*\.[0-9*?.!\[\]-]*")


class AddressGlob:
    """A glob over addresses.

    One of digits, wildcards and dots takes IPv4 addresses only, and with three dots it stands for the four
    numbers one by one: `*.*.*.5` takes 10.1.1.5, but neither 10.1.1.15 nor 10.1.5 nor a host name.
    """

    __slots__ = ("ipv4_only", "numbers", "whole")

    def __init__(self, glob: str) -> None:
        self.ipv4_only = _IPV4_GLOB.fullmatch(glob) is not None
        parts = glob.split(".") if self.ipv4_only else []
        self.numbers = [
            (position, re.compile(translate(part)))
            for position, part in enumerate(parts if len(parts) == 4 else [])
            if part != "*"
        ]
        self.whole = None if len(parts) == 4 else re.compile(translate(glob.lower()))

    def takes(self, address: str) -> bool:
        """Whether the canonical address or host name matches."""
        if self.ipv4_only and addresses.family(address) != 4:
            return False
        if self.whole is not None:
            return self.whole.fullmatch(address.lower()) is not None
        numbers = address.split(".")
        return all(pattern.fullmatch(numbers[position]) for position, pattern in self.numbers)


class _Class:
    """A class ready for use: its match compiled, its defaults merged over the general ones."""

    __slots__ = ("address", "globs", "histogram", "labels", "limits", "priority", "probe", "role", "snmp")

    def __init__(self, chosen: DeviceClass, limits: Limits, probe: ProbeOptions) -> None:
        match = chosen.match
        self.address = AddressGlob(match.address) if match.address else None
        globs = (("name", match.name), ("site", match.site), ("role", match.role))
        self.globs = [(key, re.compile(translate(glob))) for key, glob in globs if glob]
        self.labels = match.labels
        self.role = chosen.role or DEFAULT_ROLE
        self.priority = DEFAULT_PRIORITY if chosen.priority is None else chosen.priority
        self.limits = replace(limits, **chosen.limits)
        self.probe = replace(probe, **chosen.probe)
        self.histogram = bool(chosen.histogram)
        self.snmp = chosen.snmp

    def takes(self, keys: Mapping[str, Any]) -> bool:
        if self.address is not None and not self.address.takes(keys["address"]):
            return False
        for key, pattern in self.globs:
            if not pattern.fullmatch(keys.get(key) or (DEFAULT_ROLE if key == "role" else "")):
                return False
        own = keys.get("labels", {})
        return all(own.get(label) == value for label, value in self.labels)


class Classes:
    """The classes of some settings; the first whose match takes a device gives what the device leaves out."""

    def __init__(self, settings: Settings) -> None:
        limits = Limits()
        probe = ProbeOptions(**{key: getattr(settings.probe, key) for key in PROBE_OPTIONS})
        self._classes = [_Class(chosen, limits, probe) for chosen in settings.classes]
        # For a device that no class takes.
        self._classes.append(_Class(DeviceClass(""), limits, probe))

    def device(self, keys: Mapping[str, Any], site: Site | None) -> Device:
        """The device that `keys` (checked, with name and address) mean, as a member of `site`."""
        chosen = next(one for one in self._classes if one.takes(keys))
        given = dict(keys)
        given.setdefault("role", chosen.role)
        given.setdefault("priority", chosen.priority)
        given.setdefault("histogram", chosen.histogram)
        given["limits"] = replace(chosen.limits, **keys["limits"]) if "limits" in keys else chosen.limits
        given["probe"] = self._probe(chosen.probe, keys)
        if chosen.snmp or "snmp" in keys:
            given["snmp"] = _snmp(chosen.snmp, keys.get("snmp", {}))
        if "labels" in keys:
            given["labels"] = tuple(sorted(keys["labels"].items()))
        if site is not None:
            given.setdefault("region", site.region)
            given.setdefault("latitude", site.latitude)
            given.setdefault("longitude", site.longitude)
            if site.maintenance:
                given["maintenance"] = (*keys.get("maintenance", ()), *site.maintenance)
        return Device(**given)

    @staticmethod
    def _probe(inherited: ProbeOptions, keys: Mapping[str, Any]) -> ProbeOptions:
        own = keys.get("probe", {})
        if inherited.source and "source" not in own and not same_family(inherited.source, keys["address"]):
            # A class's IPv4 source says nothing about the IPv6 devices in it: those leave it to the kernel.
            own = {**own, "source": ""}
        return replace(inherited, **own) if own else inherited


def _snmp(inherited: Mapping[str, Any], own: Mapping[str, Any]) -> SnmpOptions | None:
    options = {**inherited, **own}
    return SnmpOptions(**options) if "auth" in options else None


def same_family(source: str, address: str) -> bool:
    """Whether packets from `source` can go to `address`; a host name may turn out to be either."""
    return addresses.family(address) in {0, addresses.family(source)}
