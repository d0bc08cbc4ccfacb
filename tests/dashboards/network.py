"""A small bank in the simulated network where everything that a dashboard can show goes wrong."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.exporter import SIMNET_PORT, Exporter
from tests.dashboards import lossy_ports
from tests.servers import Snmpd, free_port
from tests.servers.snmpd import COMMUNITY
from tests.simnet import Jitter, Simnet, kernel
from tests.stack.inside import place

#: Sites with their regions and coordinates; the last one has none, and is not on the map.
SITES = {
    "tbilisi-01": ("Tbilisi", 41.72, 44.78),
    "batumi-01": ("Adjara", 41.64, 41.64),
    "kutaisi-01": ("Imereti", 42.27, 42.70),
    "rustavi-01": ("Kvemo Kartli", 41.55, 45.00),
    "gori-01": ("Shida Kartli", 41.98, 44.11),
    "zugdidi-01": ("Samegrelo", 42.51, 41.87),
    "poti-01": ("Samegrelo", 42.15, 41.67),
    "telavi-01": ("Kakheti", 41.92, 45.47),
    "mobile-01": ("Tbilisi", None, None),
}
PROVIDERS = ("magti", "silknet", "caucasus")
_BEHIND = ((1, "rt1", "router"), (11, "sw1", "switch"), (21, "atm1", "atm"), (31, "srv1", "server"))
#: The first site's router and switch are this machine itself, with an SNMP agent each.
AGENTS = {"tbilisi-01-rt1": "127.0.1.1", "tbilisi-01-sw1": "127.0.1.11"}
#: What each kind of trouble was made for.
DOWN, ISOLATED, HALVED, FLAPPING = "telavi-01-sw1", "batumi-01", "telavi-01-isp-b", "rustavi-01-isp-a"
SLOW, LOSSY, MAINTAINED = "gori-01-isp-a", "zugdidi-01-isp-a", "poti-01-srv1"
UNROUTED, NAMELESS, REROUTED = "mobile-01-lost", "mobile-01-name", "kutaisi-01-isp-a"
#: Devices that leave the inventory, a tenth of it and more.
_RETIRED = tuple(f"retired-{number}" for number in range(10))
#: Probes, polls and windows are quicker than the shipped ones, so that a test need not wait.
_SETTINGS = """
probe: {interval: 500ms, timeout: 500ms, window: 10s}
snmp:
  interval: 2s
  timeout: 300ms
  retries: 1
  auths: {branch: {version: 2, community: public}}
classes:
  - {name: isp, match: {address: "*.*.*.5"}, role: isp, priority: 0, histogram: true,
     limits: {rtt: 100ms, loss: 5%, flap_changes: 2}}
  - {name: default, priority: 3, limits: {rtt: 200ms, loss: 10%, flap_changes: 3}}
"""


def _devices() -> Iterator[dict[str, object]]:
    for number, site in enumerate(SITES):
        for link, letter in enumerate("ab" if number % 3 < 2 else "a"):
            provider = PROVIDERS[(number + link) % len(PROVIDERS)]
            address = f"10.{link + 1}.{number}.5"
            device = {"name": f"{site}-isp-{letter}", "address": address, "site": site, "provider": provider}
            # Three of its probes in a row are lost now and then.
            yield device | ({"limits": "{flap_changes: 1000}"} if device["name"] == LOSSY else {})
        for last, name, role in _BEHIND:
            device = {"name": f"{site}-{name}", "address": f"10.1.{number}.{last}", "site": site, "role": role}
            if role == "router":
                device |= {"hostname": f"{name}.{site}.example", "vendor": "net-snmp", "model": "snmpd"}
            else:
                device["parent"] = f"{site}-rt1"
            yield device
    yield {"name": UNROUTED, "address": "192.0.2.9", "site": "mobile-01", "role": "server"}
    yield {"name": NAMELESS, "address": "nowhere.invalid", "site": "mobile-01", "role": "server"}


def _written(keys: dict[str, object]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in keys.items()) + "}"


def _inventory(ports: Mapping[str, int], more: Sequence[str] = ()) -> str:
    now = time.time()
    start, end = (datetime.fromtimestamp(now + hours * 3600, UTC).isoformat() for hours in (-1, 1))
    lines = ["sites:"]
    for site, (region, latitude, longitude) in SITES.items():
        keys: dict[str, object] = {"region": region}
        if latitude is not None:
            keys |= {"latitude": latitude, "longitude": longitude}
        if MAINTAINED.startswith(site):
            keys["maintenance"] = f"[{{start: {start}, end: {end}}}]"
        lines.append(f"  {site}: {_written(keys)}")
    lines.append("devices:")
    for device in _devices():
        name = str(device["name"])
        if name in ports:
            device |= {"address": AGENTS[name], "snmp": f"{{auth: branch, port: {ports[name]}}}"}
        elif name == "gori-01-rt1":
            # Nobody answers SNMP there.
            device["snmp"] = "{auth: branch}"
        lines.append(f"  - {_written(device)}")
    for number, name in enumerate(more):
        lines.append(f"  - {{name: {name}, address: 10.9.0.{number + 10}, role: server}}")
    return "\n".join([*lines, ""])


def _address(name: str) -> str:
    return next(str(device["address"]) for device in _devices() if device["name"] == name)


_ALIAS = ".1.3.6.1.2.1.31.1.1.1.18"
#: ifInDiscards, ifInErrors, ifOutDiscards, ifOutErrors.
_LOST = (13, 14, 19, 20)


class _Agent(Snmpd):
    """snmpd inside the network, at an address of loopback. Its interfaces have descriptions, and lose packets."""

    def __init__(self, net: Simnet, name: str) -> None:
        ports = dict(net.inside(socket.if_nameindex))
        numbers = " ".join(map(str, ports))
        counting = f"{sys.executable} -I {lossy_ports.__file__}"
        settings = [
            f"rocommunity {COMMUNITY} 127.0.0.0/8",
            f"sysName {name}",
            *(f'override {_ALIAS}.{number} octet_str "port {port}"' for number, port in ports.items()),
            *(f"pass_persist {lossy_ports.column(lost)} {counting} {lost} {numbers}" for lost in _LOST),
        ]
        super().__init__("\n".join(settings), port=free_port())
        self.ARGUMENTS = (*Snmpd.ARGUMENTS[:-1], f"udp:{AGENTS[name]}:{{port}}", "udp:127.0.0.1:{port}")  # type: ignore[misc]  # one for each agent
        self._prefix = ("nsenter", f"--net={net.namespace}", "--", *self._prefix)
        asked = self.get
        self.get = lambda path: net.inside(asked, path)


@dataclass(frozen=True)
class Bank:
    """The network with the exporter in it."""

    net: Simnet
    inventory: Path
    ports: Mapping[str, int]

    def trouble(self, flaps: int = 100) -> None:
        """All of it at once."""
        number = list(SITES).index(ISOLATED)
        self.net.cut([f"10.1.{number}.0/24", f"10.2.{number}.0/24"])
        for name in (DOWN, HALVED, MAINTAINED):
            self.net.cut(_address(name))
        self.net.set(_address(SLOW), latency=Jitter(0.18, 0.02))
        self.net.set(_address(LOSSY), latency=Jitter(0.03, 0.005), loss=0.2)
        self.net.set(_address(REROUTED), latency=Jitter(0.04, 0.005), ttl=57)
        self.net.flap(_address(FLAPPING), up_seconds=4, down_seconds=4, times=flaps)
        self.inventory.write_text(_inventory(self.ports))
        assert self.net.get(SIMNET_PORT, "/-/reload", method="POST").status == 200


@contextmanager
def bank(net: Simnet) -> Iterator[Bank]:
    """Still without trouble."""
    net.set("10.0.0.0/8", latency=Jitter(0.02, 0.004))
    for number in range(len(SITES)):
        net.set(f"10.2.{number}.5", latency=Jitter(0.035 + 0.004 * number, 0.006))
    # A port that is switched on, with nothing plugged in.
    kernel.ip(["tuntap add dev port2 mode tap", "link set port2 up"], net.namespace)
    with ExitStack() as cleanup:
        ports = {name: cleanup.enter_context(_Agent(net, name)).port for name in AGENTS}
        path = Path(cleanup.enter_context(TemporaryDirectory())) / "devices.yml"
        path.write_text(_inventory(ports, _RETIRED))
        cleanup.enter_context(Exporter(f"{_SETTINGS}inventory: [{{file: {path}}}]\n", **place(net, SIMNET_PORT)))
        yield Bank(net, path, ports)
