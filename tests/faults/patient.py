"""An exporter inside the simulated network with all that a fault may be done to."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tests.faults.causes import Mounts, own_disk
from tests.faults.names import NameServer, resolver
from tests.faults.wall import WallClock
from tests.serving import Page, Serving
from tests.simnet import Simnet

#: Five probes a second. The timeout leaves room for a busy machine: three lost ones are known after 1.4 s.
CONFIG = "probe: {interval: 200ms, timeout: 1s, window: 6s}\n"
LATENCY = 0.005
PREFIX = "10.1.0.0/16"
DEVICES = {f"d{number}": f"10.1.1.{number + 10}" for number in range(40)}
HOST = "named.faults.test"
NAMED = "10.1.2.1"

PROBES, REPLIES = "ward_device_probes_sent_total", "ward_device_replies_total"
CHANGES = "ward_device_status_changes_total"


class Patient:
    """A context manager; 40 devices by address, and one by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = WallClock(folder / "clock")
        self.names: NameServer | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.net = stack.enter_context(Simnet())
            self.net.set(PREFIX, latency=LATENCY)
            self.serve_names(NAMED)
            stack.callback(self.end_names)
            self.serving = stack.enter_context(Serving(self.folder, self.net))
            self.mounts = stack.enter_context(Mounts(own_disk(self.serving.storage, 1024), resolver(self.folder)))
            self.serving.configure(CONFIG)
            self.serving.devices({**DEVICES, "named": HOST})
            self.serving.start_ready(prefix=self.mounts.prefix, environment=self.clock.environment)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def end_names(self) -> None:
        """The DNS server dies; a second time changes nothing."""
        if self.names is not None:
            self.names.__exit__(None, None, None)
            self.names = None

    def serve_names(self, address: str) -> None:
        self.names = NameServer(self.net, {HOST: address})
        self.names.__enter__()

    @property
    def pid(self) -> int:
        assert self.serving.process is not None
        return self.serving.process.pid

    def page(self) -> Page:
        return self.serving.page()

    def until_well(self) -> Page:
        """All devices are up, and none of their alerts is held back."""

        def well(page: Page) -> bool:
            up = page.devices("ward_device_up")
            return len(up) == len(DEVICES) + 1 and set(up.values()) == {1} and not suppressed(page)

        return self.serving.until_page(well, 30)

    def later(self, before: Page, replies: int) -> Page:
        """The first page on which each device has so many more replies."""
        least = {name: value + replies for name, value in before.devices(REPLIES).items()}
        return self.serving.until_page(
            lambda page: all(value >= least[name] for name, value in page.devices(REPLIES).items()), 30
        )

    def assert_alive(self) -> None:
        """It is the process that it was, and has complained of nothing unforeseen."""
        assert self.serving.process is not None
        assert self.serving.process.poll() is None
        log = self.serving.log.read_text()
        assert "Traceback" not in log
        assert "level=error" not in log


def suppressed(page: Page) -> dict[str, str]:
    """Devices whose alerts are held back, and the last reason of each."""
    found = [dict(sample.labels) for sample in page.blocks["ward_device_suppressed"].samples]
    return {labels["device"]: labels["reason"] for labels in found}


def losses(page: Page) -> dict[str, float]:
    """Lost probes of each device, ever."""
    replies = page.devices(REPLIES)
    return {name: probes - replies[name] for name, probes in page.devices(PROBES).items()}


def errors(page: Page, name: str) -> float:
    """Refused requests by the error's name."""
    return sum(page.samples("ward_probe_send_errors_total", errno=name))
