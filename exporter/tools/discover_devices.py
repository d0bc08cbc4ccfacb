"""From answers to devices: which addresses are one device, what is known already, what each is called."""

from __future__ import annotations

import ipaddress
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from exporter.inventory.classes import DEFAULT_ROLE, Classes
from exporter.inventory.device import Device
from exporter.snmp.indexes import utf8
from exporter.tools.discover_agents import Answer

#: No standard lets a sysName or a DNS name be longer.
_LONGEST = 255


@dataclass(slots=True)
class Findings:
    """What a search has found, by address."""

    pings: set[str] = field(default_factory=set)
    answers: dict[str, Answer] = field(default_factory=dict)
    #: Those that know SNMPv3, and no user that was tried.
    strangers: set[str] = field(default_factory=set)
    #: Hardware addresses of those that may be one device, None where they are not to be had.
    physical: dict[str, frozenset[bytes] | None] = field(default_factory=dict)
    #: Names by DNS, of those without a sysName.
    names: dict[str, str] = field(default_factory=dict)

    @property
    def addresses(self) -> set[str]:
        return self.pings | self.answers.keys()

    def own_name(self, address: str) -> str:
        """What the device calls itself, "" if nothing."""
        answer = self.answers.get(address)
        return plain(utf8(answer.name)) if answer is not None else ""


@dataclass(slots=True)
class Row:
    """A device for the inventory file; `keys` are those of the file, `isp` is what the classes make of it."""

    keys: dict[str, Any]
    remarks: list[str]
    isp: bool


@dataclass(slots=True)
class Known:
    """An address that the inventory has; `own_name` is what it calls itself, where that is another name."""

    address: str
    device: str
    own_name: str


@dataclass(slots=True)
class Catalogue:
    """What there is to write: new devices, and what was left out."""

    rows: list[Row] = field(default_factory=list)
    known: list[Known] = field(default_factory=list)
    #: Further addresses of devices that the inventory has, with the device's name there.
    further: list[tuple[str, str]] = field(default_factory=list)
    #: How many further addresses the new devices have.
    merged: int = 0


def plain(text: str) -> str:
    """Text in one line of printable characters, with single blanks: a device may call itself anything."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(printable.split())[:_LONGEST].rstrip()


def ascending(addresses: Iterable[str]) -> list[str]:
    """IPv4 first."""
    return sorted(addresses, key=_number)


def _number(address: str) -> tuple[int, int]:
    parsed = ipaddress.ip_address(address)
    return parsed.version, int(parsed)


def _free(name: str, taken: set[str]) -> str:
    """The name, or with a number behind it the first that nobody has; it is taken from then on."""
    free, number = name, 2
    while free in taken:
        free, number = f"{name}-{number}", number + 1
    taken.add(free)
    return free


def alike(findings: Findings) -> list[list[str]]:
    """Addresses of one sysName and sysObjectID, where there are several: only these may be one device."""
    groups: dict[tuple[str, bytes], list[str]] = defaultdict(list)
    for address, answer in findings.answers.items():
        name = findings.own_name(address)
        if name and answer.object_id:
            groups[name, answer.object_id].append(address)
    return [group for group in groups.values() if len(group) > 1]


def _devices(findings: Findings) -> list[list[str]]:
    """The addresses of each device.

    Two are one device where sysName, sysObjectID, SNMP engine and the hardware addresses of the ports agree, as far
    as it tells them: names and engines alone are the same in copies of one virtual machine.
    """
    device_of: dict[tuple[object, ...], list[str]] = {}
    grouped: set[str] = set()
    for group in alike(findings):
        for address in group:
            answer, physical = findings.answers[address], findings.physical.get(address)
            if physical is None or not (physical or answer.engine):
                continue
            key = (findings.own_name(address), answer.object_id, answer.engine, physical)
            device_of.setdefault(key, []).append(address)
            grouped.add(address)
    return [*device_of.values(), *([address] for address in findings.addresses - grouped)]


class Cataloguer:
    """Makes rows of findings, as the configuration's classes and the inventory have it."""

    def __init__(self, classes: Classes, devices: Iterable[Device], resolved: Mapping[str, str], site: str) -> None:
        """`resolved` has addresses of the inventory's host names."""
        self._classes = classes
        self._site = site
        self._inventory: dict[str, str] = {}
        self._taken: dict[str, str] = {}
        for device in devices:
            self._inventory.setdefault(resolved.get(device.address, device.address), device.name)
            self._taken[device.name] = device.address

    def as_class(self, address: str, auth: str = "") -> Device:
        """What the classes make of an address that nothing else is known of."""
        keys: dict[str, Any] = {"name": address, "address": address}
        return self._classes.device(keys | ({"snmp": {"auth": auth}} if auth else {}), None)

    def knows(self, address: str) -> bool:
        """Whether the inventory has it."""
        return address in self._inventory

    def is_isp(self, address: str) -> bool:
        return self.as_class(address).role == "isp"

    def catalogue(self, findings: Findings) -> Catalogue:
        """Every address that was found, in a row, as known, or as a further one of a device."""
        catalogue = Catalogue()
        heads: list[tuple[str, list[str]]] = []
        #: ISP links that are addresses of a device which has a row or is known, with its address or its name.
        links: list[tuple[str, str]] = []
        for addresses in _devices(findings):
            known = [address for address in ascending(addresses) if self.knows(address)]
            for address in known:
                device, own = self._inventory[address], findings.own_name(address)
                catalogue.known.append(Known(address, device, own if own != device else ""))
            fresh = [address for address in ascending(addresses) if not self.knows(address)]
            # A stable sort: of ISP links, and of all others, the lowest.
            fresh.sort(key=lambda address: not self.is_isp(address))
            if known:
                name = self._inventory[known[0]]
            elif fresh:
                name = fresh.pop(0)
                heads.append((name, [address for address in fresh if not self.is_isp(address)]))
            for address in fresh:
                if self.is_isp(address):
                    # A link is watched on its own, whatever it ends at.
                    links.append((address, name))
                elif known:
                    catalogue.further.append((address, name))
        taken = set(self._taken)
        names = self._names(heads, findings, taken)
        rows = {}
        for address, further in heads:
            remarks = [f"also answers at {', '.join(further)}"] if further else []
            rows[address] = self._row(address, names[address], findings, remarks)
            catalogue.merged += len(further)
        for address, head in links:
            device = names.get(head, head)
            name = _free(f"{device}-{address}", taken)
            rows[address] = self._row(address, name, findings, [f"an address of {device}"], polled=False)
        catalogue.rows = [rows[address] for address in ascending(rows)]
        catalogue.known.sort(key=lambda known: _number(known.address))
        return catalogue

    def _names(self, heads: Iterable[tuple[str, list[str]]], findings: Findings, taken: set[str]) -> dict[str, str]:
        """A name for each device: its own, or that of DNS, with the address behind it where others have it too."""
        bases = {}
        for address, _ in heads:
            bases[address] = findings.own_name(address) or findings.names.get(address, "") or address
        counts = Counter(bases.values())
        names: dict[str, str] = {}
        for address in ascending(bases):
            base = bases[address]
            shared = counts[base] > 1 or base in self._taken
            names[address] = _free(f"{base}-{address}" if shared else base, taken)
        return names

    def _row(self, address: str, name: str, findings: Findings, remarks: list[str], *, polled: bool = True) -> Row:
        keys: dict[str, Any] = {"name": name, "address": address}
        if self._site:
            keys["site"] = self._site
        role = self.as_class(address).role
        answer = findings.answers.get(address)
        if answer is not None:
            what = answer.what
            # The role that a class gives is left to it: a device's own would win over it.
            told = {"role": what.role if role == DEFAULT_ROLE else "", "vendor": what.vendor, "model": what.model}
            keys |= {key: text for key, value in told.items() if (text := plain(value))}
            if what.type and what.type != keys.get("role", role):
                keys["labels"] = {"type": what.type}
            if polled:
                keys["snmp"] = {"auth": answer.auth}
        own = findings.own_name(address)
        if own in self._taken:
            remarks.append(f"{own} is in the inventory at {self._taken[own]}: perhaps the same device")
        if address not in findings.pings:
            remarks.append("answers SNMP, but no ping")
        if address in findings.strangers:
            remarks.append("has SNMPv3, but knows none of the users")
        return Row(keys, remarks, self.as_class(address).role == "isp")
