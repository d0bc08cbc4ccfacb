"""The inventory as the prober uses it: an address, a packet profile and a place in the schedule for each row."""

from __future__ import annotations

import ipaddress
import socket
import sys
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from exporter.icmp.arrivals import words
from exporter.icmp.transport import Profile
from exporter.inventory.device import Device, ProbeOptions

#: A row's address: not there yet (a name whose first answer is pending), there, or not to be had.
PENDING, RESOLVED, UNRESOLVED = range(3)

_NAME_BYTES = 28
REFERENCE_ADDRESS = "127.0.0.1"


class Plan:
    """Row i is device i of the inventory; the last row is the loop's own reference, the loopback address.

    A device's phase, its place within the interval, comes from its name alone: it stays where it is when the
    inventory around it changes.
    """

    def __init__(self, devices: Sequence[Device], resolved: Mapping[str, str]) -> None:
        """`resolved` holds the addresses already known of host names."""
        self.devices = len(devices)
        count = self.devices + 1
        self.state = np.full(count, PENDING, np.uint8)
        self.high = np.zeros(count, np.uint64)
        self.low = np.zeros(count, np.uint64)
        self._names = np.zeros((count, _NAME_BYTES), np.uint8)
        self.names: npt.NDArray[np.uint64] = self._names.ctypes.data + np.arange(
            count, dtype=np.uint64
        ) * np.uint64(_NAME_BYTES)
        self.profile = np.zeros(count, np.int16)
        self.profiles: list[Profile] = []
        self._profile_numbers: dict[Profile, int] = {}
        self._options = [device.probe for device in devices] + [ProbeOptions()]
        #: Host names and the rows that they stand for.
        self.hosts: dict[str, list[int]] = {}
        for row, device in enumerate(devices):
            if not self._set_literal(row, device.address):
                self.hosts.setdefault(device.address, []).append(row)
                if device.address in resolved:
                    self.resolve(device.address, resolved[device.address])
        self._set_literal(self.devices, REFERENCE_ADDRESS)
        hashes = [zlib.crc32(device.name.encode()) for device in devices] + [0]
        phases = np.array(hashes) / 2**32
        self.order: npt.NDArray[np.int32] = np.argsort(phases, kind="stable").astype(np.int32)
        self.phases: npt.NDArray[np.float64] = phases[self.order]

    @property
    def max_payload(self) -> int:
        return max(profile.payload_bytes for profile in self.profiles)

    def resolve(self, host: str, address: str | None) -> None:
        """A host name's address, None where it has none. A name that has had an address keeps it."""
        for row in self.hosts.get(host, ()):
            found = address is not None and self._set_literal(row, address)
            if not found and self.state[row] == PENDING:
                self.state[row] = UNRESOLVED

    def address(self, row: int) -> str:
        """The address that is probed, "" where there is none."""
        if self.state[row] != RESOLVED:
            return ""
        packed = int(self.high[row]).to_bytes(8, "big") + int(self.low[row]).to_bytes(8, "big")
        address = ipaddress.IPv6Address(packed)
        return str(address.ipv4_mapped or address)

    def _set_literal(self, row: int, address: str) -> bool:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            packed = socket.inet_pton(family, address)
        except OSError:
            return False
        if family == socket.AF_INET:
            name = int(family).to_bytes(2, sys.byteorder) + bytes(2) + packed
        else:
            name = int(family).to_bytes(2, sys.byteorder) + bytes(6) + packed
        self._names[row, : len(name)] = np.frombuffer(name, np.uint8)
        self.high[row], self.low[row] = words(packed)
        options = self._options[row]
        source = options.source if (":" in options.source) == (family == socket.AF_INET6) else ""
        profile = Profile(int(family), options.payload_bytes, options.dscp, options.dont_fragment, source)
        number = self._profile_numbers.setdefault(profile, len(self.profiles))
        if number == len(self.profiles):
            self.profiles.append(profile)
        self.profile[row] = number
        self.state[row] = RESOLVED
        return True
