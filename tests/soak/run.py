"""One exporter in a simulated network, on its shipped settings, and all that a fault may be done to."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from bench.exporter import Metrics
from tests.faults.causes import Mounts, descriptors, own_disk, pollers
from tests.faults.names import NameServer, resolver
from tests.faults.wall import WallClock
from tests.serving import Serving, until
from tests.simnet import Jitter, Simnet
from tests.snmp.fleet import COMMUNITY, Fleet
from tests.soak.ledger import Ledger
from tests.soak.weather import Weather

SITES, DEVICES = 50, 8
PREFIX = "10.0.0.0/8"
_SCRAPE_SECONDS = 5.0
_PORTS = 24
CONFIG = f"""
probe: {{resolve_every: 10s}}
inventory: [{{file: devices.yml}}]
snmp:
  interval: 15s
  auths: {{branch: {{version: 2, community: {COMMUNITY}}}}}
"""


def inventory() -> dict[str, str]:
    """Addresses by device: at each site two ISP links, a switch that is polled, and others; ten have names."""
    found = {}
    for site in range(SITES):
        for number in range(1, DEVICES + 1):
            octet = {1: 5, 2: 5}.get(number, 10 + number)
            found[f"s{site:02}-{number}"] = f"10.{2 if number == 2 else 1}.{site}.{octet}"
    return found


def hosts(addresses: dict[str, str]) -> dict[str, str]:
    """Host names of the devices that have one."""
    return {f"{name}.soak.test": addresses[name] for name in [f"s{site:02}-8" for site in range(10)]}


def write_inventory(folder: Path, addresses: dict[str, str], more: int = 0) -> None:
    """Write devices.yml; `more` devices of loopback beside them."""
    named = {address: host for host, address in hosts(addresses).items()}
    lines = ["devices:"]
    for name, address in addresses.items():
        snmp = ", snmp: {auth: branch}" if name.endswith("-3") else ""
        lines.append(f"  - {{name: {name}, address: {named.get(address, address)}, site: {name[:3]}{snmp}}}")
    lines += [f"  - {{name: x{n}, address: 127.9.{n >> 8}.{n & 255}, site: x}}" for n in range(more)]
    (folder / "devices.yml").write_text("\n".join([*lines, ""]))


class Run:
    """The exporter, its network, and the books; a context manager. A thread scrapes it all the time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.addresses = inventory()
        self.clock = WallClock(folder / "clock")
        #: Scrapes that failed although no fault was the reason.
        self.failed_scrapes = 0
        #: While it is set, a scrape may fail.
        self.deaf = threading.Event()
        self._stack = ExitStack()
        self._done = threading.Event()
        self._scraper = threading.Thread(target=self._scrape_on, name="scraper")

    def __enter__(self) -> Self:
        try:
            self._begin()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if self._scraper.ident is not None:
            self._scraper.join()
        self._stack.close()

    def _begin(self) -> None:
        enter = self._stack.enter_context
        self.net = enter(Simnet())
        self.net.set(PREFIX, latency=Jitter(0.02, 0.004))
        enter(Fleet(self.net, _PORTS))
        self.names = NameServer(self.net, hosts(self.addresses))
        self.serve_names()
        self._stack.callback(self.end_names)
        self.serving = enter(Serving(self.folder, self.net))
        self.serving.configure(CONFIG, "")
        self.mounts = enter(Mounts(own_disk(self.serving.storage, 4096), resolver(self.folder)))
        write_inventory(self.folder, self.addresses)
        self.ledger = Ledger(self.addresses)
        self.weather = Weather(self.net, self.addresses, self.ledger)
        self.start()
        self.until_calm()
        asked = time.monotonic()
        self.ledger.read(self.scrape(), asked, time.monotonic())
        self._scraper.start()

    def start(self) -> None:
        """Start the exporter, also again."""
        self.serving.start_ready(prefix=self.mounts.prefix, environment=self.clock.environment)

    @property
    def pid(self) -> int:
        assert self.serving.process is not None
        return self.serving.process.pid

    def serve_names(self) -> None:
        self.names.__enter__()

    def end_names(self) -> None:
        self.names.__exit__(None, None, None)

    # What it says.

    def scrape(self, timeout: float = 20.0) -> Metrics:
        """Raises OSError, HTTPException, ValueError."""
        answer = self.serving.ask("/metrics", timeout=timeout)
        if answer.status != 200:
            raise ValueError(f"/metrics answers {answer.status}")
        return Metrics(answer.body)

    def _scrape_on(self) -> None:
        turn = 0
        while not self._done.wait(_SCRAPE_SECONDS):
            deaf = self.deaf.is_set()
            asked = time.monotonic()
            try:
                page = self.scrape(timeout=5.0 if deaf else 20.0)
                turn += 1
                if turn % 3 == 0:
                    self.serving.ask("/metrics/snmp")
            except (OSError, http.client.HTTPException, ValueError) as error:
                if not (deaf or self.deaf.is_set()):
                    self.failed_scrapes += 1
                    print(f"a scrape has failed: {error!r}", flush=True)
                continue
            self.ledger.read(page, asked, time.monotonic())

    def until_calm(self) -> None:
        """All devices are up, those that are polled are polled, and no fault is on the page any more."""

        def calm() -> bool:
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                page = self.scrape()
                up = page.by_device("ward_device_up")
                return (
                    {name for name, value in up.items() if value == 1} >= set(self.addresses)
                    and page.total("ward_mass_outage") == 0
                    and page.total("ward_probe_unresolved_names") == 0
                    and sum(self.polled().values()) == SITES
                )
            return False

        until(calm, 120)

    def polled(self) -> dict[str, float]:
        """ward_snmp_up of each device that is polled."""
        return Metrics(self.serving.ask("/metrics/snmp").body).by_device("ward_snmp_up")

    # What it takes.

    def memory(self) -> int:
        """Bytes of the exporter's own process."""
        return resident(self.pid)

    def pollers_memory(self) -> int:
        return sum(map(resident, pollers(self.pid)))

    def descriptors(self) -> int:
        """Open ones; the least of some looks, for scrapes and saves come and go."""
        found = []
        for _ in range(20):
            found.append(len(descriptors(self.pid)))
            time.sleep(0.1)
        return min(found)

    # Outages of all devices, which are told beforehand.

    @contextmanager
    def outage(self) -> Iterator[None]:
        self.ledger.begins(self.addresses, time.monotonic())
        try:
            yield
        finally:
            self.ledger.ends(self.addresses, time.monotonic())


def resident(process: int) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024
