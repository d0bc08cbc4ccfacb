"""Three vantage points on one network: one loses its way to some devices, another to one of these, one dies."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import pytest

from tests.scaling.pairs import Way, ways
from tests.serving import FAST, Serving
from tests.simnet import Simnet, kernel
from tests.stack.inside import until

PORTS = {"exporter-tbilisi": 9841, "exporter-batumi": 9842, "exporter-kutaisi": 9843}
#: From where each of them probes.
SOURCES = ("10.250.0.1", "10.250.0.2", "10.250.0.3")
_, BATUMI, KUTAISI = SOURCES
DEVICES = {f"sw{number}": f"10.1.1.{number}" for number in range(1, 13)}
#: A table of routes.
_NOWHERE = 100
every_way = pytest.mark.parametrize("name", ["prometheus", "victoriametrics"])


def lose(net: Simnet, source: str, device: str) -> None:
    """What one vantage point alone sends there goes into loopback, where nobody takes it."""
    kernel.ip([f"rule add from {source} to {DEVICES[device]} lookup {_NOWHERE} priority 100"], net.namespace)


@pytest.fixture(scope="module")
def story(module_simnet: Simnet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Way]]:
    """Kutaisi does not see a quarter; sw4 falls; Batumi does not see sw1 either; Kutaisi dies; sw4 comes back."""
    net = module_simnet
    net.set("10.1.0.0/16", latency=0.002)
    addresses = [f"address add {source}/32 dev lo" for source in SOURCES]
    kernel.ip([*addresses, f"route add default dev lo table {_NOWHERE}"], net.namespace)
    with ExitStack() as running:
        exporters = []
        for source, port in zip(SOURCES, PORTS.values(), strict=True):
            one = running.enter_context(Serving(tmp_path_factory.mktemp("exporter"), net))
            one.port = port
            one.configure(FAST.replace("}", f", source: {source}}}"))
            one.devices(DEVICES, ", role: switch")
            exporters.append(one.start_ready())
        folder = tmp_path_factory.mktemp("rules")
        rules = ["devices", "exporter", "several"]
        both = running.enter_context(ways(net, folder, "vantage.yml", PORTS, rules))

        def told(what: str) -> None:
            for way in both.values():
                way.until_told(what)

        for name, way in both.items():
            up = len(SOURCES) * len(DEVICES)
            until(lambda way=way, up=up: way.value("sum(ward_device_up)") == up, f"{name} sees all")  # type: ignore[misc]
        for device in ("sw1", "sw2", "sw3"):
            lose(net, KUTAISI, device)
        told("+VantageBlind exporter")
        net.cut(DEVICES["sw4"])
        told("+DeviceDown sw4")
        lose(net, BATUMI, "sw1")
        told("+DeviceDown sw1")
        exporters[-1].end(signal.SIGKILL)
        told("+ExporterPeerDown exporter")
        told("-DeviceDown sw1")
        net.restore(DEVICES["sw4"])
        told("-DeviceDown sw4")
        yield both


@every_way
def test_most_of_them_say_what_is_down(story: Mapping[str, Way], name: str) -> None:
    """What one alone does not see is not down but has that one called blind; what two of three do not see is down,
    told once; and what is a tie once one of them is dead is down no more."""
    told = story[name].told()
    assert told.pop("-VantageBlind exporter", 1) == 1
    # What a busy machine does to three exporters is no matter of votes.
    told.pop("+ProbeLoopOverrun exporter", None)
    told.pop("-ProbeLoopOverrun exporter", None)
    assert told == {
        "+VantageBlind exporter": 1,
        "+DeviceDown sw4": 1,
        "-DeviceDown sw4": 1,
        "+DeviceDown sw1": 1,
        "-DeviceDown sw1": 1,
        "+ExporterPeerDown exporter": 1,
    }


@every_way
def test_what_a_page_says(story: Mapping[str, Way], name: str) -> None:
    """It names no exporter, as it is nobody's alone, and says how many vantage points say so."""
    (page,) = {
        alert["annotations"]["description"]
        for one in story[name].sink.notifications
        for subject, alert in one.firing.items()
        if subject == "DeviceDown sw1"
    }
    assert "Vantage points that say so: 2." in page
