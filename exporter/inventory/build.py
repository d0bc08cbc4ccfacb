"""Entries of all sources -> one `Inventory`: what holds between devices is checked here."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from exporter import addresses
from exporter.config import Settings
from exporter.config_snmp import wrong_auth
from exporter.errors import Problem
from exporter.inventory.classes import Classes, same_family
from exporter.inventory.device import Device, Inventory, Site
from exporter.inventory.parse import Entries, Entry

#: Searching 100,000 names for the nearest takes a while; the first few suggestions help, the rest would not.
_SUGGESTIONS = 20


def build(
    entries: Entries, settings: Settings, problems: list[Problem], *, parents_may_be_missing: bool = False
) -> Inventory:
    """The inventory that `entries` make; adds to `problems` what contradicts.

    With `parents_may_be_missing` (a source could not be read) an unknown parent is a warning and left out.
    """
    warnings: list[str] = []
    sites = _sites(entries, problems)
    by_name = _unique(entries.devices, problems)
    _check_sources(by_name, problems)
    _check_auths(by_name, settings, problems)
    # A device that is refused for another reason is no reason to refuse its children too.
    known = {entry.keys["name"] for entry in entries.devices if "name" in entry.keys}
    missing = _check_parents(by_name, known, problems, None if not parents_may_be_missing else warnings)
    _check_cycles(by_name, problems)
    classes = Classes(settings)
    devices: list[Device] = []
    for name, entry in by_name.items():
        keys: Mapping[str, Any] = entry.keys
        if name in missing:
            keys = {key: value for key, value in keys.items() if key != "parent"}
        site = keys.get("site")
        if site and site not in sites:
            sites[site] = Site(name=site)
        devices.append(classes.device(keys, sites[site] if site else None))
        if "snmp" in keys and devices[-1].snmp is None:
            no_auth = f"{name!r} has SNMP keys and no auth, of its own or of its class: it is not polled"
            warnings.append(f"{entry.where('snmp')}: {no_auth}")
    warnings.extend(_shared_addresses(by_name, devices))
    warnings.extend(_no_links(devices, settings))
    return Inventory(tuple(devices), sites, tuple(warnings))


def _no_links(devices: list[Device], settings: Settings) -> list[str]:
    """Classes of one's own take the place of the shipped ones: who does not know that has no ISP link any more."""
    if any(one.role == "isp" for one in settings.classes) or any(device.role == "isp" for device in devices):
        return []
    ipv4 = (device for device in devices if addresses.family(device.address) == 4)
    ending = [device for device in ipv4 if device.address.endswith(".5")]
    if not ending:
        return []
    return [
        f"no device is an ISP link, though the addresses of {len(ending)} end in .5, such as that of "
        f"{ending[0].name!r}: your classes have taken the place of the shipped ones, and none has the role 'isp'"
    ]


def _sites(entries: Entries, problems: list[Problem]) -> dict[str, Site]:
    first: dict[str, Entry] = {}
    for name, entry in entries.sites:
        if name in first:
            problems.append(entry.problem("", f"the site {name!r} stands already at {first[name].where()}"))
        else:
            first[name] = entry
    return {name: Site(name=name, **entry.keys) for name, entry in first.items()}


def _unique(devices: list[Entry], problems: list[Problem]) -> dict[str, Entry]:
    """The entries that have a name and an address, by name."""
    by_name: dict[str, Entry] = {}
    # Also of those that are refused for something else: all that is wrong is told at once.
    first: dict[str, Entry] = {}
    for entry in devices:
        name = entry.keys.get("name")
        if name is None:
            continue
        if name in first:
            taken = f"{name!r} is already the name of the device at {first[name].where()}"
            problems.append(entry.problem("name", taken))
            continue
        first[name] = entry
        if "address" in entry.keys:
            by_name[name] = entry
    return by_name


def _check_sources(by_name: Mapping[str, Entry], problems: list[Problem]) -> None:
    for entry in by_name.values():
        source = entry.keys.get("probe", {}).get("source")
        if source and not same_family(source, entry.keys["address"]):
            message = f"{source} and the device's address are not of one address family"
            problems.append(entry.document.problem((*entry.way, "probe", "source"), message))


def _check_auths(by_name: Mapping[str, Entry], settings: Settings, problems: list[Problem]) -> None:
    for entry in by_name.values():
        if "snmp" in entry.keys and (wrong := wrong_auth(entry.keys["snmp"], settings.snmp)):
            problems.append(entry.document.problem((*entry.way, "snmp", "auth"), wrong))


def _check_parents(
    by_name: Mapping[str, Entry], known: set[str], problems: list[Problem], warnings: list[str] | None
) -> set[str]:
    """The names of the devices whose parent does not exist; each is a warning if there is a list for it."""
    orphans = set()
    for name, entry in by_name.items():
        parent = entry.keys.get("parent")
        if parent is None or parent in known:
            continue
        orphans.add(name)
        if warnings is not None:
            unknown = f"the parent {parent!r} of {name!r} is not known for now"
            warnings.append(f"{entry.where('parent')}: {unknown}")
            continue
        hint = _nearest(parent, known) if len(orphans) <= _SUGGESTIONS else ""
        problems.append(entry.problem("parent", f"no device has the name {parent!r}{hint}"))
    return orphans


def _nearest(word: str, names: set[str]) -> str:
    likely = [name for name in names if abs(len(name) - len(word)) <= 2 and name[:1] == word[:1]][:5000]
    close = get_close_matches(word, likely, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _check_cycles(by_name: Mapping[str, Entry], problems: list[Problem]) -> None:
    done: set[str] = set()
    for start in by_name:
        chain: dict[str, None] = {}
        name: str | None = start
        while name is not None and name in by_name and name not in done and name not in chain:
            chain[name] = None
            name = by_name[name].keys.get("parent")
        if name in chain:
            names = list(chain)
            circle = [*names[names.index(name) :], name]
            shown = " -> ".join(circle if len(circle) <= 12 else [*circle[:6], "...", *circle[-5:]])
            problems.append(by_name[name].problem("parent", f"the parents go in a circle: {shown}"))
        done.update(chain)


def _shared_addresses(by_name: Mapping[str, Entry], devices: list[Device]) -> list[str]:
    """A sentence for each device that shares address and DSCP mark with another: probed twice to no end."""
    warnings = []
    first: dict[tuple[str, int], str] = {}
    for device in devices:
        other = first.setdefault((device.address.lower(), device.probe.dscp), device.name)
        if other != device.name:
            here, there = by_name[device.name].where("address"), by_name[other].where("address")
            message = f"{device.name!r} has the address {device.address} of {other!r} ({there})"
            warnings.append(f"{here}: {message}")
    return warnings
