"""A pair of exporters, of which one dies in the middle of an outage, and with it one of each pair of evaluators."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import pairwise

import pytest

from exporter.exposition import families
from tests.scaling.pairs import FILES, INTERVAL, Way, ways
from tests.serving import Serving
from tests.simnet import Simnet
from tests.stack.inside import until

PORTS = {"exporter-a": 9841, "exporter-b": 9842}
DEVICES = {f"sw{number}": f"10.1.1.{number}" for number in (1, 2, 3)}
#: A late scrape on a busy machine.
SLACK = 0.5
LOOK_BACK = 60


@pytest.fixture(scope="module")
def story(module_simnet: Simnet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Way]]:
    """sw1 falls; exporter a, a Prometheus and a vmalert are killed; then sw2 falls, and sw1 comes back."""
    net = module_simnet
    net.set("10.1.0.0/16", latency=0.002)
    with ExitStack() as running:
        exporters = []
        for port in PORTS.values():
            one = running.enter_context(Serving(tmp_path_factory.mktemp("exporter"), net))
            one.port = port
            one.devices(DEVICES, ", role: switch")
            exporters.append(one.start_ready())
        folder = tmp_path_factory.mktemp("rules")
        both = running.enter_context(ways(net, folder, "pair.yml", PORTS, ["devices", "exporter"]))
        for name, way in both.items():
            query = 'count(up{job="ward-exporter"} == 1) + on () count(ward_device_up == 1)'
            until(lambda way=way, query=query: way.value(query) == 5, f"{name} sees all")  # type: ignore[misc]
        net.cut(DEVICES["sw1"])
        _until_told(both, "+DeviceDown sw1")
        exporters[0].end(signal.SIGKILL)
        for way in both.values():
            way.evaluators[0].process.kill()
        _until_told(both, "+ExporterPeerDown exporter")
        net.cut(DEVICES["sw2"])
        net.restore(DEVICES["sw1"])
        _until_told(both, "+DeviceDown sw2")
        _until_told(both, "-DeviceDown sw1")
        yield both


def _until_told(both: Mapping[str, Way], what: str) -> None:
    for way in both.values():
        way.until_told(what)


@pytest.mark.parametrize("name", ["prometheus", "victoriametrics"])
def test_nothing_is_lost_and_nothing_pages_twice(story: Mapping[str, Way], name: str) -> None:
    """Each outage is told once, and its end once, whichever of each pair is dead; so is the dead one."""
    assert story[name].told() == {
        "+DeviceDown sw1": 1,
        "+ExporterPeerDown exporter": 1,
        "+DeviceDown sw2": 1,
        "-DeviceDown sw1": 1,
    }


@pytest.mark.parametrize("name", ["prometheus", "victoriametrics"])
def test_the_series_goes_on(story: Mapping[str, Way], name: str) -> None:
    """What both say is one series, and over the death of one of them it misses no more than one scrape."""
    ((labels, times),) = story[name].samples('ward_device_up{device="sw3"}', LOOK_BACK)
    assert (labels["instance"], labels.get("replica")) == ("ward", None)
    assert len(times) > 10
    assert max(after - before for before, after in pairwise(times)) <= 2 * INTERVAL + SLACK
    (dead,) = (one for one in story[name].database.query('up{replica="a"}'))
    assert dead.value == 0


def test_victoriametrics_keeps_one_sample_an_interval(story: Mapping[str, Way]) -> None:
    """With -dedup.minScrapeInterval two exporters take no more room for their gauges than one."""
    ((_, times),) = story["victoriametrics"].samples('ward_device_up{device="sw3"}', LOOK_BACK)
    # The newest one is not alone in its interval yet.
    settled = times[:-2]
    assert all(after - before > INTERVAL / 2 for before, after in pairwise(settled))
    assert len({int(at / INTERVAL) for at in settled}) >= len(settled) - 1


@pytest.mark.parametrize("name", ["prometheus", "victoriametrics"])
def test_counters_are_each_ones_own(story: Mapping[str, Way], name: str) -> None:
    """Taken in turns two counters would look like one that is reset again and again: they keep their replica."""
    found = story[name].database.query('last_over_time(ward_device_probes_sent_total{device="sw3"}[1m])')
    assert {one.labels["replica"] for one in found} == {"a", "b"}
    assert story[name].database.query("resets(ward_device_replies_total[1m]) > 0") == []


def test_gauges_of_the_network_are_shared_and_nothing_else() -> None:
    """The file's pattern takes the gauges about devices and sites; no counter, and nothing about an exporter."""

    (pattern,) = re.findall(r"(?m)^ +regex: (ward_\S+)$", (FILES / "pair.yml").read_text())
    for family in families.ALL:
        of_network = re.match(r"ward_(device_|site_|mass_outage)", family.name) is not None
        series = [f"{family.name}_{part}" for part in ("bucket", "sum", "count")]
        for name in series if family.kind == "histogram" else [family.name]:
            assert (re.fullmatch(pattern, name) is not None) == (of_network and family.kind == "gauge"), name
