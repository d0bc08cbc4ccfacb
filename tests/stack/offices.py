"""Forty branches for the tests of pages: each has two ISP links of two providers, and what stands behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from tests.simnet import Simnet

SITES = 40
#: A site has two neighbours of this list; every fourth site has the same two.
PROVIDERS = ("alba", "borea", "corvus", "draco", "equus", "fornax", "grus", "hydra")
#: Behind the switch, of which a site has the first two to four.
_BEHIND = ((21, "atm1", "atm"), (22, "atm2", "atm"), (31, "srv1", "server"), (32, "srv2", "server"))
LATENCY = 0.02


class Device(NamedTuple):
    name: str
    address: str
    site: str
    #: Empty for an ISP link: the shipped classes see it by its address.
    role: str = ""
    parent: str = ""
    provider: str = ""


def site(number: int) -> str:
    return f"site-{number:02}"


def networks(number: int) -> list[str]:
    """All that a site's devices have as addresses."""
    return [f"10.1.{number}.0/24", f"10.2.{number}.0/24"]


def devices() -> list[Device]:
    """Site by site."""
    return [device for number in range(1, SITES + 1) for device in _devices(number)]


def _devices(number: int) -> Iterator[Device]:
    where = site(number)
    first = 2 * number % len(PROVIDERS)
    yield Device(f"{where}-isp-a", f"10.1.{number}.5", where, provider=PROVIDERS[first])
    yield Device(f"{where}-isp-b", f"10.2.{number}.5", where, provider=PROVIDERS[first + 1])
    yield Device(f"{where}-rt1", f"10.1.{number}.1", where, "router")
    yield Device(f"{where}-sw1", f"10.1.{number}.11", where, "switch", f"{where}-rt1")
    for last, name, role in _BEHIND[: 2 + number % 3]:
        yield Device(f"{where}-{name}", f"10.1.{number}.{last}", where, role, f"{where}-sw1")


def write_inventory(path: Path, maintenance: Mapping[str, tuple[float, float]]) -> None:
    """Write it as YAML; `maintenance` are windows of sites, from and until a Unix time."""
    lines = ["sites:"]
    for number in range(1, SITES + 1):
        window = maintenance.get(site(number))
        planned = f", maintenance: [{{start: {_instant(window[0])}, end: {_instant(window[1])}}}]" if window else ""
        lines.append(f"  {site(number)}: {{region: Tbilisi{planned}}}")
    lines.append("devices:")
    for device in devices():
        keys = (f"{key}: {value}" for key, value in device._asdict().items() if value)
        lines.append(f"  - {{{', '.join(keys)}}}")
    path.write_text("\n".join([*lines, ""]))


def _instant(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def build(net: Simnet) -> None:
    """Have the network answer for all of them."""
    for device in devices():
        net.set(device.address, latency=LATENCY)
