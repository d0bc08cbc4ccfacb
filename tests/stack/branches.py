"""A bank's branches as an inventory and as a simulated network: 875 devices at 100 sites, 93 of them ISP links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.simnet import Jitter, Simnet

SITES = 100
DEVICES = 875
ISP_LINKS = 93
#: Sites 0 to 5 have two links, the next 81 one, the last 13 none: those hang on the head office's own network.
TWO_LINKS, WITH_LINKS = 6, 87
#: What stands at a site behind its links: last byte of the address, name, role. A site has the first 7 or 8.
_BEHIND = (
    *((1, "rt1", "router"), (2, "fw1", "firewall"), (11, "sw1", "switch"), (12, "sw2", "switch")),
    *((21, "atm1", "atm"), (22, "atm2", "atm"), (31, "srv1", "server"), (32, "srv2", "server")),
)
#: The first so many sites have all of them.
_FULL_SITES = DEVICES - ISP_LINKS - 7 * SITES


@dataclass(frozen=True, slots=True)
class Branch:
    """One device of the inventory; `latency` (seconds) and `loss` (0..1) are what the network does to it."""

    name: str
    address: str
    site: str
    role: str
    parent: str
    latency: float | Jitter
    loss: float

    @property
    def slowest(self) -> float:
        """The longest delay that the network means to give a reply, in seconds."""
        return self.latency.mean + self.latency.spread if isinstance(self.latency, Jitter) else self.latency

    @property
    def flap_changes(self) -> int:
        """How many changes of verdict make it flap, on the shipped settings."""
        return 2 if self.role == "isp" else 3


def _latency(number: int) -> float | Jitter:
    """2 to 150 ms, of which two in three jitter by up to a fifth."""
    mean = 0.002 + 0.148 * (number * 37 % DEVICES) / DEVICES
    return mean if number % 3 == 0 else Jitter(mean * 5 / 6, mean / 6, "uniform")


def branches() -> list[Branch]:
    """All devices, site by site."""
    found: list[Branch] = []

    def add(site: int, address: str, name: str, role: str, parent: str = "") -> None:
        number = len(found)
        # 1, 2 or 3 % on every 40th device.
        loss = 0.01 * (1 + number // 40 % 3) if number % 40 == 7 else 0.0
        where = f"branch-{site:02}"
        up = f"{where}-{parent}" if parent else ""
        found.append(Branch(f"{where}-{name}", address, where, role, up, _latency(number), loss))

    for site in range(SITES):
        if site < WITH_LINKS:
            add(site, f"10.1.{site}.5", "isp-a", "isp")
        if site < TWO_LINKS:
            add(site, f"10.2.{site}.5", "isp-b", "isp")
        for last, name, role in _BEHIND[: 8 if site < _FULL_SITES else 7]:
            add(site, f"10.1.{site}.{last}", name, role, "rt1" if role == "switch" else "")
    return found


def by_name(devices: Sequence[Branch]) -> dict[str, Branch]:
    return {device.name: device for device in devices}


def write_inventory(folder: Path, devices: Sequence[Branch]) -> str:
    """Write devices.yml into `folder`, and return the text of a ward.yml that reads it; all else is default.

    An ISP link has no role there: the shipped classes see it by its address.
    """
    lines = ["sites:"]
    lines += [f"  {site}: {{region: Tbilisi}}" for site in sorted({device.site for device in devices})]
    lines.append("devices:")
    for device in devices:
        keys = {"name": device.name, "address": device.address, "site": device.site}
        if device.role != "isp":
            keys["role"] = device.role
        if device.parent:
            keys["parent"] = device.parent
        lines.append("  - {" + ", ".join(f"{key}: {value}" for key, value in keys.items()) + "}")
    path = folder / "devices.yml"
    path.write_text("\n".join(lines) + "\n")
    return f"inventory: [{{file: {path}}}]\n"


def build(net: Simnet, devices: Sequence[Branch]) -> None:
    """Have the network answer for the devices."""
    for device in devices:
        net.set(device.address, latency=device.latency, loss=device.loss)
