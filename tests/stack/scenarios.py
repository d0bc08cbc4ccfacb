"""What happens to the branches, and which notifications follow: all of them, in their order.

Each scenario has branches of its own, so that most can run at once. It does something to the network, says what the
webhooks must be told of it, and goes on when they were. Nothing else may come from its branches.

Flapping is remembered for 20 s here (5 minutes on the shipped settings): an outage that is shorter ends with the
alert of a flapping link, one that is longer ends with its "resolved".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from tests.serving import Serving
from tests.simnet import Simnet
from tests.stack import offices
from tests.stack.notified import Sink, as_expected, told
from tests.stack.offices import networks, site

FLAP_WINDOW = 20.0
#: ward.yml: all else is as shipped.
SETTINGS = f"probe: {{window: 20s}}\nflapping: {{window: {FLAP_WINDOW:g}s}}\n"
#: Longer than it takes to know of an outage's end beyond the flap window.
OUTLASTED = FLAP_WINDOW + 8
#: An alert, its evaluation and the group's waits, on a busy machine.
SOON = 75.0
#: The rules of slowness, loss and redundancy wait for a minute themselves.
A_MINUTE_LATER = SOON + 75

#: What each notification of a group changes.
Steps = list[set[str]]


@dataclass
class Stage:
    """What scenarios share; `maintenance` are the windows in the inventory, in Unix seconds, by site."""

    net: Simnet
    exporter: Serving
    sinks: Mapping[str, Sink]
    maintenance: Mapping[str, tuple[float, float]]
    addresses: Mapping[str, str] = field(
        default_factory=lambda: {device.name: device.address for device in offices.devices()}
    )


class Act:
    """One scenario under way; `expected` are the steps of each group that it has announced so far, in each way in
    which it may go: see `ways`."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.expected: dict[str, list[Steps]] = {}
        self._cut_at = 0.0

    # What is done.

    def cut(self, *devices: str) -> None:
        self.cut_networks([self.stage.addresses[device] for device in devices])

    def cut_networks(self, targets: list[str]) -> None:
        self._cut_at = time.monotonic()
        self.stage.net.cut(targets)

    def restore(self, *devices: str) -> None:
        self.stage.net.restore([self.stage.addresses[device] for device in devices])

    def slow(self, device: str, seconds: float) -> None:
        self.stage.net.set(self.stage.addresses[device], latency=seconds)

    def flap(self, devices: list[str], up: float, down: float, times: int) -> None:
        self.stage.net.flap([self.stage.addresses[device] for device in devices], up, down, times)

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)

    def outlast_flapping(self) -> None:
        """Until the end of an outage that began with the last cut makes nothing flap."""
        time.sleep(max(0.0, self._cut_at + OUTLASTED - time.monotonic()))

    # What must follow.

    def told(self, group: str, *changes: str, seconds: float = SOON) -> None:
        """The group's next notification tells of these changes. Returns when every webhook has been told so."""
        self._wait(group, [[set(changes)]], seconds)

    def told_either(self, group: str, *ways: Steps, seconds: float = SOON) -> None:
        """Likewise, the group's next notifications go the first of these ways, or one of them: see `ways`."""
        self._wait(group, ways, seconds)

    def _wait(self, group: str, ways: Sequence[Steps], seconds: float) -> None:
        former = self.expected.get(group, [[]])
        self.expected[group] = [[*before, *way] for before in former for way in ways]
        for name, sink in self.stage.sinks.items():
            assert sink.wait_for(partial(self._agrees, group, name, sink), seconds), (
                f"{name}, {group}: expected {self.expected[group]}, told {told(sink.groups().get(group, []))}"
            )

    def never_told(self, *groups: str) -> None:
        for group in groups:
            self.expected.setdefault(group, [[]])

    def _agrees(self, group: str, backend: str, sink: Sink) -> bool:
        news = told(sink.groups().get(group, []))
        return any(as_expected(steps, news) for steps in ways(self.expected[group], backend))


def ways(expected: Sequence[Steps], backend: str) -> Sequence[Steps]:
    """Those that are right: with Prometheus the first alone. VictoriaMetrics shows a scrape seconds late, so an
    outage that is over may still be told."""
    return expected if backend == "victoriametrics" else expected[:1]


Scenario = Callable[[Act], None]


def one_link_of_two(act: Act) -> None:
    """The link's own alert, after a minute that the site has lost its redundancy, and both resolved together."""
    link, group = "site-01-isp-a", "isp site-01"
    act.cut(link)
    act.told(group, f"+IspLinkDown {link}")
    act.told(f"{group} high", "+SiteRedundancyLost site-01", seconds=A_MINUTE_LATER)
    act.restore(link)
    act.told(group, f"-IspLinkDown {link}")
    act.told(f"{group} high", "-SiteRedundancyLost site-01")


def both_links(act: Act) -> None:
    """One notification that the site is cut off, with its links; none for what is behind them."""
    act.never_told("team site-02")
    changes = ["SiteIsolated site-02", "IspLinkDown site-02-isp-a", "IspLinkDown site-02-isp-b"]
    act.cut_networks(networks(2))
    act.told("isp site-02", *(f"+{change}" for change in changes))
    act.outlast_flapping()
    act.stage.net.restore(networks(2))
    act.told("isp site-02", *(f"-{change}" for change in changes))


def second_link_later(act: Act) -> None:
    """What is new is told with the second link; the first one's alert goes on."""
    first, second, group = "site-03-isp-a", "site-03-isp-b", "isp site-03"
    act.cut(first)
    act.told(group, f"+IspLinkDown {first}")
    act.cut_networks(networks(3))
    act.told(group, f"+IspLinkDown {second}", "+SiteIsolated site-03")
    act.outlast_flapping()
    act.stage.net.restore(networks(3))
    act.told(group, f"-IspLinkDown {first}", f"-IspLinkDown {second}", "-SiteIsolated site-03")


def flapping_link(act: Act) -> None:
    """One alert for six short outages, and its end when the link has been steady.

    An outage of 5 s may be over at one scrape and be known as an end only by the next: to the rules it has then
    lasted for 10 s. VictoriaMetrics shows a scrape seconds later, so there it may be so with 4 s.
    """
    link, group = "site-04-isp-a", "isp site-04"
    act.flap([link], up=5, down=4, times=6)
    down, flapping = f"IspLinkDown {link}", f"IspLinkFlapping {link}"
    act.told_either(group, [{f"+{flapping}"}], [{f"+{down}"}, {f"-{down}", f"+{flapping}"}])
    act.told(group, f"-IspLinkFlapping {link}", seconds=60 + FLAP_WINDOW + SOON)


def short_outage(act: Act) -> None:
    """A link that is back within the flap window is up, but not steady: that is told with its "resolved"."""
    link, group = "site-05-isp-a", "isp site-05"
    act.flap([link], up=0, down=14, times=1)
    act.told(group, f"+IspLinkDown {link}")
    act.told(group, f"-IspLinkDown {link}", f"+IspLinkFlapping {link}")
    act.told(group, f"-IspLinkFlapping {link}")


def slowly_flapping_link(act: Act) -> None:
    """Outages that would each be a page of their own: the first one is, and from then on it is a flapping link."""
    link, group = "site-06-isp-b", "isp site-06"
    act.flap([link], up=6, down=14, times=4)
    act.told(group, f"+IspLinkDown {link}")
    act.told(group, f"-IspLinkDown {link}", f"+IspLinkFlapping {link}")
    act.told(group, f"-IspLinkFlapping {link}", seconds=80 + FLAP_WINDOW + SOON)


def switch(act: Act) -> None:
    """A switch behind healthy links: its own alert, and none for the devices that are reached through it."""
    devices = [f"site-07-{name}" for name in ("sw1", "atm1", "atm2", "srv1")]
    act.cut(*devices)
    act.told("team site-07", "+DeviceDown site-07-sw1")
    act.outlast_flapping()
    act.restore(*devices)
    act.told("team site-07", "-DeviceDown site-07-sw1")


def switch_before_its_site(act: Act) -> None:
    """An alert that is out is not ended by the site's own outage."""
    links = ("site-08-isp-a", "site-08-isp-b")
    act.cut("site-08-sw1")
    act.told("team site-08", "+DeviceDown site-08-sw1")
    act.cut_networks(networks(8))
    act.told("isp site-08", *(f"+IspLinkDown {link}" for link in links), "+SiteIsolated site-08")
    act.outlast_flapping()
    act.stage.net.restore(networks(8))
    act.told("isp site-08", *(f"-IspLinkDown {link}" for link in links), "-SiteIsolated site-08")
    act.told("team site-08", "-DeviceDown site-08-sw1")


def flapping_router(act: Act) -> None:
    """A router that takes all behind it up and down with it is one alert."""
    devices = [device.name for device in offices.devices() if device.site == "site-15" and device.role]
    act.flap(devices, up=6, down=4, times=6)
    # As with a link: its first outage may be told where scrapes are shown late.
    down = "DeviceDown site-15-rt1"
    act.told_either("team site-15", [], [{f"+{down}"}, {f"-{down}"}])
    act.told("chat site-15", "+DeviceFlapping site-15-rt1")
    act.told("chat site-15", "-DeviceFlapping site-15-rt1", seconds=60 + FLAP_WINDOW + SOON)


def latency(act: Act) -> None:
    """It creeps over the limit and back: one alert, and its end. The limit is 100 ms for a link, 200 ms else."""
    for seconds in (0.06, 0.09, 0.12, 0.15):
        act.slow("site-09-isp-a", seconds)
        act.slow("site-09-sw1", seconds * 2)
        act.pause(4)
    act.told("isp site-09 high", "+IspLinkHighLatency site-09-isp-a", seconds=A_MINUTE_LATER)
    act.told("chat site-09", "+DeviceHighLatency site-09-sw1")
    for seconds in (0.09, 0.06):
        act.slow("site-09-isp-a", seconds)
        act.slow("site-09-sw1", seconds * 2)
        act.pause(4)
    act.told("isp site-09 high", "-IspLinkHighLatency site-09-isp-a")
    act.told("chat site-09", "-DeviceHighLatency site-09-sw1")


def loss(act: Act) -> None:
    """One or two probes of four are lost, and none again: one alert, and its end; 5 % for a link, 10 % else."""
    devices = ["site-10-isp-b", "site-10-sw1"]
    act.flap(devices, up=2.8, down=1.2, times=100)
    act.told("isp site-10 high", "+IspLinkPacketLoss site-10-isp-b", seconds=A_MINUTE_LATER)
    act.told("chat site-10", "+DevicePacketLoss site-10-sw1")
    act.restore(*devices)
    act.told("isp site-10 high", "-IspLinkPacketLoss site-10-isp-b")
    act.told("chat site-10", "-DevicePacketLoss site-10-sw1")


def nearly(act: Act) -> None:
    """Just below the limits, for as long as everything else takes: nobody hears of it."""
    act.never_told("isp site-11", "isp site-11 high", "chat site-11")
    act.slow("site-11-isp-a", 0.085)
    act.slow("site-11-sw1", 0.18)
    # Of the 20 probes that loss is judged by: one of a link's at most, two of a device's.
    act.flap(["site-11-isp-b"], up=38.8, down=0.9, times=9)
    act.flap(["site-11-rt1"], up=18.8, down=0.9, times=18)


def maintenance_work(act: Act) -> None:
    """What is down and up again within a window of maintenance is told to nobody."""
    act.never_told("isp site-12", "team site-12")
    act.cut_networks(networks(12))
    act.outlast_flapping()
    act.stage.net.restore(networks(12))
    act.pause(4)
    assert time.time() < act.stage.maintenance["site-12"][1], "the machine was too slow for the window"


def overdue_maintenance(act: Act) -> None:
    """What is still down when the window ends is told then, and not before."""
    link, group = "site-16-isp-b", "isp site-16"
    _, end = act.stage.maintenance["site-16"]
    act.cut(link)
    act.told(group, f"+IspLinkDown {link}", seconds=end - time.time() + SOON)
    for name, sink in act.stage.sinks.items():
        first = sink.groups()[group][0]
        assert first.at >= end, f"{name}: told {end - first.at:.1f} s before the window's end"
    act.restore(link)
    act.told(group, f"-IspLinkDown {link}")


def second_outage(act: Act) -> None:
    """A link that falls again soon after its return is a page again."""
    link, group = "site-14-isp-a", "isp site-14"
    for _ in range(2):
        act.cut(link)
        act.told(group, f"+IspLinkDown {link}")
        act.outlast_flapping()
        act.restore(link)
        act.told(group, f"-IspLinkDown {link}")
        act.pause(FLAP_WINDOW)


def provider(act: Act) -> None:
    """Links of one provider at three sites: that is told once, beside the links."""
    links = [f"{site(number)}-isp-b" for number in (25, 29, 33)]
    (name,) = {device.provider for device in offices.devices() if device.name in links}
    act.cut(*links)
    act.told(f"isp {name}", f"+ProviderOutage {name}")
    for link in links:
        act.told(f"isp {link[:7]}", f"+IspLinkDown {link}")
    act.outlast_flapping()
    act.restore(*links)
    act.told(f"isp {name}", f"-ProviderOutage {name}")
    for link in links:
        act.told(f"isp {link[:7]}", f"-IspLinkDown {link}")


def outages_before_the_exporter_dies(act: Act) -> None:
    """A link of two, a site, and a switch: they are down while it is killed, and restarted, and restarted again."""
    act.cut("site-20-isp-a", "site-22-sw1", *_behind("site-22-sw1"))
    act.cut_networks(networks(23))
    act.told("isp site-20", "+IspLinkDown site-20-isp-a")
    links = (f"+IspLinkDown site-23-{link}" for link in ("isp-a", "isp-b"))
    act.told("isp site-23", "+SiteIsolated site-23", *links)
    act.told("team site-22", "+DeviceDown site-22-sw1")
    act.told("isp site-20 high", "+SiteRedundancyLost site-20", seconds=A_MINUTE_LATER)


def exporter_dies(act: Act) -> None:
    """While it is silent nothing is resolved; back again, it pages nobody a second time."""
    process = act.stage.exporter.process
    assert process is not None
    process.kill()
    process.wait()
    act.told("pager", "+ExporterDown exporter")
    act.stage.exporter.start_ready()
    act.told("pager", "-ExporterDown exporter")
    # In order, and at once: nobody hears of it.
    act.stage.exporter.end()
    act.stage.exporter.start_ready()
    act.pause(12)
    # What was down all the time is resolved, once.
    act.restore("site-20-isp-a", "site-22-sw1", *_behind("site-22-sw1"))
    act.stage.net.restore(networks(23))
    act.told("isp site-20", "-IspLinkDown site-20-isp-a")
    act.told("isp site-20 high", "-SiteRedundancyLost site-20")
    links = (f"-IspLinkDown site-23-{link}" for link in ("isp-a", "isp-b"))
    act.told("isp site-23", "-SiteIsolated site-23", *links)
    act.told("team site-22", "-DeviceDown site-22-sw1")


def own_uplink(act: Act) -> None:
    """Nobody answers the exporter any more: one page, and none for any device, site or provider."""
    act.cut_networks(["10.0.0.0/8"])
    act.told("isp", "+MassOutage 127.0.0.1:9841")
    act.pause(10)
    act.stage.net.restore(["10.0.0.0/8"])
    act.told("isp", "-MassOutage 127.0.0.1:9841")


def _behind(switch_name: str) -> list[str]:
    return [device.name for device in offices.devices() if device.parent == switch_name]


#: These run at once, each on branches of its own.
TOGETHER: Mapping[str, Scenario] = {
    "one link of two": one_link_of_two,
    "both links": both_links,
    "second link later": second_link_later,
    "flapping link": flapping_link,
    "short outage": short_outage,
    "slowly flapping link": slowly_flapping_link,
    "switch": switch,
    "switch before its site": switch_before_its_site,
    "flapping router": flapping_router,
    "latency": latency,
    "loss": loss,
    "nearly": nearly,
    "maintenance work": maintenance_work,
    "overdue maintenance": overdue_maintenance,
    "second outage": second_outage,
    "provider": provider,
    "exporter dies": outages_before_the_exporter_dies,
}
#: And these after them, one after the other: they concern all branches. A name from above goes on there.
AFTERWARDS: Mapping[str, Scenario] = {"exporter dies": exporter_dies, "own uplink": own_uplink}
NAMES = tuple(dict.fromkeys([*TOGETHER, *AFTERWARDS]))
