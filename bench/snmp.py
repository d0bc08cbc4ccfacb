"""Polling by SNMP: what it costs beside others, what a whole inventory costs, and what it does to the probes."""

from __future__ import annotations

import http.client
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import process, snmp_inventory, snmp_peers
from bench.effort import Effort
from bench.exporter import SIMNET_PORT, Exporter, Metrics
from bench.inventory import loopback
from bench.row import Row, absolute, against
from tests.servers import generations
from tests.serving import PROGRAM
from tests.simnet import Jitter, Simnet
from tests.snmp.fleet import Fleet

PAGE = "/metrics/snmp"
#: Devices of the comparison: all of them are polled each second, so that a window holds many polls.
_COMPARED = 100
_COMPARED_SECONDS = 10.0
#: The bank's own inventory, each minute.
_DEVICES = 875
_MINUTE = 60.0
#: Devices, and seconds between polls, of as many polls a second as the bank's inventory takes.
_BESIDE, _BESIDE_INTERVAL = 300, "20s"


@contextmanager
def _network() -> Iterator[tuple[Simnet, Fleet]]:
    """A network in which every address is a switch."""
    with Simnet() as net, Fleet(net, snmp_inventory.PORTS) as fleet:
        yield net, fleet


@contextmanager
def polling(
    net: Simnet, addresses: Sequence[str], *, interval: str = "60s", modules: Sequence[str] = ()
) -> Iterator[Exporter]:
    """The exporter inside `net`, pinging and polling these addresses, once each has been polled."""
    with tempfile.TemporaryDirectory() as folder:
        config = snmp_inventory.write(Path(folder), addresses, interval=interval, modules=modules)
        prefix = ["nsenter", f"--net={net.namespace}", "--"]
        with Exporter(config, prefix=prefix, port=SIMNET_PORT, get=net.get) as running:
            deadline = time.monotonic() + 3 * _MINUTE
            while _up(running) < len(addresses):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{_up(running)} of {len(addresses)} devices answer: {running.log_text()}")
                # The page is large, and rendering it is work that the pollers have to wait for.
                time.sleep(1 + len(addresses) / 200)
            yield running


def _up(running: Exporter) -> int:
    return int(sum(_page(running).by_device("ward_snmp_up").values()))


def _page(running: Exporter, path: str = PAGE) -> Metrics:
    status, _, body = running.get(path)
    if status != 200:
        raise RuntimeError(f"{path} answered {status}: {body[:200]!r}")
    return Metrics(body)


def _fetch(encoding: str) -> tuple[float, float]:
    """Seconds until the page begins to come, which is when all of it is rendered, and until it is there."""
    begun = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", SIMNET_PORT, timeout=60)
    connection.request("GET", PAGE, headers={"Accept-Encoding": encoding})
    answer = connection.getresponse()
    first = time.monotonic() - begun
    answer.read()
    connection.close()
    return first, time.monotonic() - begun


@dataclass(frozen=True, slots=True)
class Spent:
    """CPU seconds of the exporter's own process and of its pollers in a window; polls as the devices count them."""

    service: float
    pollers: float
    wall: float
    polls: int

    @property
    def percent(self) -> float:
        """Of one core, all processes."""
        return (self.service + self.pollers) / self.wall * 100


@contextmanager
def spending(running: Exporter, fleet: Fleet) -> Iterator[list[Spent]]:
    """What the exporter spends while the block runs: the one element of the list, once it has ended."""
    spent: list[Spent] = []
    pid = running.process.pid
    pollers = process.children(pid)
    before, counted = [process.read(one) for one in (pid, *pollers)], fleet.counts()
    yield spent
    after, counts = [process.read(one) for one in (pid, *pollers)], fleet.counts()
    if process.children(pid) != pollers:
        raise RuntimeError(f"a poller has ended: {running.log_text()}")
    service, *others = (later.cpu - earlier.cpu for earlier, later in zip(before, after, strict=True))
    spent.append(Spent(service, sum(others), after[0].at - before[0].at, counts.gets - counted.gets))


def snmp(effort: Effort) -> list[Row]:
    """CPU a poll of work W, each device once a second by everyone; by pysnmp one poll after another."""
    addresses = loopback(_COMPARED)
    ours: dict[str, list[float]] = {"poller": [], "all": []}
    theirs: dict[str, list[float]] = {}
    with _network() as (net, fleet):
        for _ in range(2 * effort.runs - 1):
            with polling(net, addresses, interval="1s", modules=[snmp_inventory.WORK]) as running:
                _check_work(running)
                with spending(running, fleet) as spent:
                    time.sleep(_COMPARED_SECONDS)
                    _check_work(running)
            ours["poller"].append(spent[0].pollers / spent[0].polls * 1e3)
            ours["all"].append((spent[0].service + spent[0].pollers) / spent[0].polls * 1e3)
            for generation in generations():
                with snmp_peers.snmp_exporter(net, generation) as peer:
                    cost = peer.cost(addresses, _COMPARED_SECONDS)
                theirs.setdefault(f"snmp_exporter, {generation.name}", []).append(cost)
            for way in ("bare", "engine"):
                cost = snmp_peers.pysnmp(net, addresses[0], 4 * effort.rounds, way)
                theirs.setdefault(f"pysnmp 7, {way}", []).append(cost)
    rows = []
    for name, values in theirs.items():
        bar = 1 / 3 if name.startswith("snmp_exporter") else 1 / 30
        rows.append(against("snmp", f"CPU a poll, poller process, vs {name}", ours["poller"], values, "ms", bar))
    for name, values in theirs.items():
        what = f"the same with the exporter's own process, pings and a scrape, vs {name}"
        rows.append(against("snmp", what, ours["all"], values, "ms"))
    return rows


def _check_work(running: Exporter) -> None:
    """Every poll brings all of W: one that does not would be a cheap one."""
    samples = set(_page(running).by_device("ward_snmp_samples").values())
    if samples != {snmp_inventory.VALUES}:
        raise RuntimeError(f"polls have brought {sorted(samples)} samples in place of W's")


def snmp_fleet(effort: Effort) -> list[Row]:
    """The bank's inventory, by the modules that its devices get by themselves, and the page of it all."""
    quiet, scraped, rendered, whole, megabytes = [], [], [], [], []
    with _network() as (net, fleet), polling(net, loopback(_DEVICES)) as running:
        for _ in range(effort.runs):
            with spending(running, fleet) as spent:
                time.sleep(_MINUTE)
            quiet.append(spent[0].percent)
            with spending(running, fleet) as spent:
                begun = time.monotonic()
                net.inside(_fetch, "gzip")
                time.sleep(max(0.0, begun + _MINUTE - time.monotonic()))
            scraped.append(spent[0].percent)
            first, last = net.inside(_fetch, "identity")
            rendered.append(first)
            whole.append(last)
        page = _page(running)
        silent = sum(up == 0 for up in page.by_device("ward_snmp_up").values())
        pids = (running.process.pid, *process.children(running.process.pid))
        megabytes.append(sum(map(process.resident_megabytes, pids)))
    samples = page.text.count(b"\n")
    what = f"{_DEVICES} devices x {snmp_inventory.PORTS} interfaces each minute"
    return [
        absolute("snmp-fleet", f"CPU of all processes, {what}, pinged each second", quiet, "% of a core", 10),
        Row(
            "snmp-fleet",
            "the same, scraped once a minute with gzip",
            f"{statistics.median(scraped):.3g} %",
            "",
            None,
            "",
            None,
        ),
        absolute("snmp-fleet", f"{PAGE}, {samples:,} lines, rendered", rendered, "s", 1),
        Row("snmp-fleet", "the same, to its last byte", f"{statistics.median(whole):.3g} s", "", None, "", None),
        absolute("snmp-fleet", "devices not answering", [silent], "devices", 0),
        Row("snmp-fleet", "memory of all processes", f"{megabytes[0]:.0f} MB", "", None, "", None),
    ]


def snmp_10k(effort: Effort) -> list[Row]:
    """Ten thousand devices each minute, W each, and all of them pinged each second."""
    devices = 10_000
    with _network() as (net, fleet), polling(net, loopback(devices), modules=[snmp_inventory.WORK]) as running:
        percent, polls = [], []
        for _ in range(effort.runs):
            with spending(running, fleet) as spent:
                time.sleep(_MINUTE)
            percent.append(spent[0].percent)
            polls.append(spent[0].polls / spent[0].wall * _MINUTE)
        up = _up(running)
        pids = (running.process.pid, *process.children(running.process.pid))
        megabytes = sum(map(process.resident_megabytes, pids))
    return [
        absolute("snmp-10k", f"CPU of all processes, {devices:,} devices each minute", percent, "% of a core", 100),
        absolute("snmp-10k", "polls that were not made", [max(0.0, 0.99 * devices - min(polls))], "polls", 0),
        absolute("snmp-10k", "devices not answering", [devices - up], "devices", 0),
        Row("snmp-10k", "memory of all processes", f"{megabytes:,.0f} MB", "", None, "", None),
    ]


def snmp_probes(effort: Effort) -> list[Row]:
    """What polling does to pings of the same devices: their error against the network's own log, and pace."""
    addresses = [f"10.20.{number // 250}.{number % 250 + 1}" for number in range(_BESIDE)]
    taken: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    with _network() as (net, _):
        net.set("10.20.0.0/16", latency=Jitter(0.02, 0.004, "uniform"))
        for _ in range(effort.runs):
            for polled in (False, True):
                net.reset_truth()
                taken[polled].append(_probes(net, addresses, effort, polled=polled))
    rows = []
    for place, what, limit, more in ((0, "mean RTT, worst error", 0.5, 0.1), (1, "longest send delay", 20.0, 5.0)):
        without, beside = ([values[place] for values in taken[polled]] for polled in (False, True))
        added = statistics.median(beside) - statistics.median(without)
        rows.append(absolute("snmp-probes", f"{what}, {_BESIDE} devices, while polling", beside, "ms", limit))
        rows.append(absolute("snmp-probes", f"{what}: what polling adds", [added], "ms", more))
    return rows


def _probes(net: Simnet, addresses: Sequence[str], effort: Effort, *, polled: bool) -> tuple[float, float]:
    """Milliseconds: how wrong the RTT of the worst device is, and how late a probe was at most."""
    with tempfile.TemporaryDirectory() as folder:
        config = snmp_inventory.write(Path(folder), addresses, interval=_BESIDE_INTERVAL, polled=polled)
        prefix = ["nsenter", f"--net={net.namespace}", "--"]
        with Exporter(config, prefix=prefix, port=SIMNET_PORT, get=net.get) as running:
            time.sleep(min(5 * effort.rounds, 45))
            metrics = running.metrics()
            truths = net.truths(addresses)
            if polled and _up(running) < len(addresses):
                raise RuntimeError(f"not all are polled: {running.log_text()}")
    names = {f"dev-{number:06}": address for number, address in enumerate(addresses)}
    replies, rtt = metrics.by_device("ward_device_replies_total"), metrics.by_device("ward_device_rtt_seconds")
    errors = [
        abs(rtt[name] - statistics.mean(truths[address].delays[: int(replies[name])])) * 1e3
        for name, address in names.items()
    ]
    return max(errors), metrics.total("ward_probe_cycle_lag_seconds") * 1e3


def snmp_discover(effort: Effort) -> list[Row]:
    """`ward-exporter discover` of a /22, of whose addresses a third answers pings and a quarter has SNMP.

    The first of them, 10.1.0.0, is the network itself and no device.
    """
    seconds = []
    with Simnet() as net, Fleet(net, snmp_inventory.PORTS, silent=["10.1.1.0/25", "10.1.2.0/23"]):
        net.set("10.1.0.0/24", latency=0.02)
        net.set("10.1.1.0/25", latency=0.02)
        for _ in range(effort.runs):
            with tempfile.TemporaryDirectory() as folder:
                config = Path(folder) / "ward.yml"
                config.write_text("snmp: {auths: {branch: {version: 2, community: public}}}\n")
                found = Path(folder) / "found.yml"
                flags = [f"--config.file={config}", f"--output={found}"]
                begun = time.monotonic()
                net.run([PROGRAM, "discover", "10.1.0.0/22", *flags], check=True, capture_output=True)
                seconds.append(time.monotonic() - begun)
                devices = found.read_text().count("address: ")
    return [
        absolute("snmp-discover", "discovery of a /22, 383 devices of which 255 have SNMP", seconds, "s", 15),
        absolute("snmp-discover", "devices not found", [383 - devices], "devices", 0),
    ]
