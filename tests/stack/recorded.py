"""Two minutes of the branches' network with scripted outages, and all that is known of them afterwards."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from tests.simnet import Simnet, Truth
from tests.stack import views
from tests.stack.branches import Branch, branches, build, by_name
from tests.stack.inside import exporter, until
from tests.stack.script import Expected, Outage, Step, as_played, play, steps
from tests.stack.views import View

#: Long enough for the script below and for what follows from it.
SECONDS = 110.0
#: A reply that the network itself sends later than this may miss the exporter's timeout of 1 s.
_SLOW = 0.8

_BEHIND_LINKS = ("rt1", "fw1", "sw1", "sw2", "atm1", "atm2", "srv1", "srv2")
OUTAGES = (
    # Single devices, and one of two links of a site.
    Outage("branch-03-isp-b", 6.0, 20.0),
    Outage("branch-20-sw1", 9.3, 21.0),
    Outage("branch-31-atm1", 11.7, 31.5),
    # The only link of a site whose devices are reached in some other way as well.
    Outage("branch-50-isp-a", 14.2, 30.0),
    # A site that loses its second link, then its first, and with that everything behind.
    Outage("branch-02-isp-b", 30.1, 52.0),
    *(Outage(f"branch-02-{name}", 34.4, 52.0) for name in ("isp-a", *_BEHIND_LINKS)),
    # A router with the switches behind it; the site's link stays.
    *(Outage(f"branch-60-{name}", 56.2, 70.0) for name in ("rt1", "sw1", "sw2")),
    # A switch that changes its state four times, and a link that does so three times and stays down.
    Outage("branch-25-sw2", 40.2, 47.0),
    Outage("branch-25-sw2", 54.0, 61.0),
    Outage("branch-01-isp-a", 60.3, 67.0),
    Outage("branch-01-isp-a", 74.0),
    # A router on the way says that it cannot reach the device.
    Outage("branch-75-srv1", 62.4, 77.0, "host_unreachable"),
)
#: Too short for a verdict.
GLITCH = Outage("branch-33-sw1", 45.0, 46.5)
#: Its replies come by another way, and go on doing so.
REROUTED = Step(50.6, "branch-70-srv1", ttl=57)


@dataclass
class Run:
    """What the two minutes left behind; the servers still answer."""

    devices: Sequence[Branch]
    expected: Expected
    views: Mapping[str, View]
    #: The exporter's page and log at the end, when a link is still down and some devices flap.
    page: bytes
    log: str
    #: Taken after the last scrape that counts, by device.
    truths: Mapping[str, Truth]
    #: Unix time minus the monotonic clock, seconds.
    offset: float

    @cached_property
    def arrivals(self) -> dict[str, list[float]]:
        """When the network saw each device's requests, in Unix seconds."""
        return {name: [arrived + self.offset for arrived in truth.arrivals] for name, truth in self.truths.items()}

    def excused(self, device: str) -> int:
        """Replies that the network itself sent so late that the exporter may have given up on them."""
        return sum(delay > _SLOW for delay in self.truths[device].delays)

    def story(self, device: str, at: float) -> str:
        """The outages of a device as seconds before a moment, for a failure's message."""
        told = [
            f"from {at - o.start:.2f} to {at - o.end:.2f} s before"
            for o in self.expected.outages
            if o.device == device
        ]
        return f"{device}, outages: {', '.join(told) or 'none'}"


class Recording(threading.Thread):
    """A run that is played while other tests run; all of it stays up until `end`."""

    def __init__(self) -> None:
        super().__init__()
        self._over, self._recorded = threading.Event(), threading.Event()
        self._run: Run | None = None
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            with Simnet() as net, record(net) as self._run:
                self._recorded.set()
                self._over.wait()
        except BaseException as error:
            self._error = error
            self._recorded.set()

    def result(self) -> Run:
        """Waits for it. Raises what has stopped it."""
        self._recorded.wait()
        if self._error is not None:
            raise self._error
        assert self._run is not None
        return self._run

    def end(self) -> None:
        self._over.set()
        self.join()


@contextmanager
def record(net: Simnet) -> Iterator[Run]:
    """Play the script on an empty network, under an exporter on its shipped settings and every scraping server."""
    devices = branches()
    build(net, devices)
    script = sorted([*steps([*OUTAGES, GLITCH]), REROUTED], key=lambda step: step.at)
    with exporter(net, devices) as server, views.scraping(net) as scraping:
        until(lambda: all(view.raw("up") for view in scraping.values()), "every server has scraped")
        end = time.time() + SECONDS
        events = play(net, by_name(devices), script)
        until(lambda: time.time() >= end, "the end of the run", SECONDS)
        until(
            lambda: all(max(view.one("up")) >= end for view in scraping.values()),
            "every server has scraped after the end",
        )
        truths = net.truths([device.address for device in devices])
        assert net.overruns() == 0, "the network lost packets of its own: it knows no truth"
        for view in scraping.values():
            view.end = end
        yield Run(
            devices,
            Expected(devices, as_played(script, events)),
            scraping,
            server.get("/metrics")[2],
            server.log_text(),
            {device.name: truths[device.address] for device in devices},
            events[0].time - events[0].monotonic,
        )
