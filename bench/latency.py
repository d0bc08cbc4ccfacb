"""Times: the round trip under load, against known truth, from an outage to its verdict, and from start to ready."""

from __future__ import annotations

import multiprocessing
import statistics
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain, pairwise

from bench import peers
from bench.effort import Effort
from bench.exporter import Exporter, exporter
from bench.inventory import loopback
from bench.row import Row, absolute, against
from tests.servers import generations
from tests.simnet import Jitter, Simnet

Rtts = Sequence[Sequence[float]]


def _spin() -> None:
    while True:
        pass


def _scrape(url: str) -> None:
    while True:
        with urllib.request.urlopen(url) as answer:
            answer.read()


@contextmanager
def load() -> Iterator[None]:
    """One core busy, and an exporter of 10,000 devices scraped without a pause, until the block ends."""
    with exporter(loopback(10_000)) as other, ExitStack() as cleanup:
        spawn = multiprocessing.get_context("spawn")
        for target, arguments in ((_spin, ()), (_scrape, (f"{other.url}/metrics",))):
            process = spawn.Process(target=target, args=arguments, daemon=True)
            process.start()
            cleanup.callback(process.join)
            cleanup.callback(process.terminate)
        yield


def middle(rtts: Rtts) -> float:
    """The median over devices of their mean, in us."""
    return statistics.median(statistics.mean(device) for device in rtts if device) * 1e6


def tail(rtts: Rtts) -> float:
    """The 99th percentile of all probes, in us."""
    return statistics.quantiles(chain.from_iterable(rtts), n=100)[98] * 1e6


def rtt_under_load(effort: Effort) -> list[Row]:
    """What the network adds, not what a busy machine adds: loopback's round trip, seen from a busy machine."""
    addresses = loopback(875)
    taken: dict[str, list[Rtts]] = {}
    with load():
        spread = peers.fping_spread(addresses)
        for _ in range(effort.runs):
            with exporter(addresses) as running:
                time.sleep(effort.rounds)
                ours = [running.recent(name) for name in running.metrics().by_device("ward_device_up")]
            taken.setdefault("ours", []).append(ours)
            taken.setdefault("fping", []).append(peers.fping(addresses, effort.rounds, spread)[1])
            for generation in generations():
                with peers.blackbox(generation) as blackbox:
                    rtts = blackbox.cost(addresses, effort.seconds)[1]
                taken.setdefault(f"blackbox_exporter, {generation.name}", []).append([[rtt] for rtt in rtts])
    rows = []
    for measure, what, limit in ((middle, "median RTT", 60), (tail, "99th percentile RTT", 500)):
        mine = [measure(rtts) for rtts in taken["ours"]]
        rows.append(absolute("rtt-under-load", f"{what}, 875 loopback devices, busy machine", mine, "us", limit))
        for name, runs in taken.items():
            if name != "ours":
                theirs = [measure(rtts) for rtts in runs]
                rows.append(against("rtt-under-load", f"{what}, vs {name}", mine, theirs, "us"))
    return rows


def simnet_accuracy(effort: Effort) -> list[Row]:
    """The gauges against the network's own log of every delay; the worst device counts."""
    devices_each, seconds = 30, 5 * effort.rounds
    rows = []
    for milliseconds in (5, 20, 150):
        addresses = [f"10.{milliseconds}.0.{number}" for number in range(1, devices_each + 1)]
        with Simnet() as net:
            net.set(f"10.{milliseconds}.0.0/16", latency=Jitter(milliseconds / 1e3, milliseconds / 5e3, "uniform"))
            with exporter(addresses, net) as running:
                # Shorter than the gauges' window: they then speak of every probe since the start.
                time.sleep(min(seconds, 45))
                metrics = running.metrics()
                truths = list(net.truths(addresses).values())
        replies, sent, rtt, jitter = (
            metrics.by_device(f"ward_device_{name}")
            for name in ("replies_total", "probes_sent_total", "rtt_seconds", "jitter_seconds")
        )
        mean_errors, jitter_errors = [], []
        for device, truth in zip(rtt, truths, strict=True):
            delays = truth.delays[: int(replies[device])]
            mean_errors.append(abs(rtt[device] - statistics.mean(delays)) * 1e3)
            true_jitter = statistics.mean(abs(later - earlier) for earlier, later in pairwise(delays))
            jitter_errors.append(abs(jitter[device] / true_jitter - 1) * 100)
        name, at = "simnet-accuracy", f"at {milliseconds} ms"
        lost = sum(sent.values()) - sum(replies.values())
        rows += [
            absolute(name, f"mean RTT, worst error {at}", [max(mean_errors)], "ms", 0.5),
            absolute(name, f"jitter, worst error {at}", [max(jitter_errors)], "%", 10),
            absolute(name, f"false loss {at}", [lost], "probes", 0),
        ]
    return rows


def detection(effort: Effort) -> list[Row]:
    """From the cut of a link to `ward_device_up 0` at the shipped settings, by the network's clock; the worst."""
    addresses = [f"10.0.0.{number}" for number in range(1, 41)]
    delays = []
    with Simnet() as net:
        net.set("10.0.0.0/8", latency=0.01)
        with exporter(addresses, net) as running:
            _until(running, dict.fromkeys(_devices(running), 1.0))
            for device, address in list(zip(_devices(running), addresses, strict=True))[: 2 * effort.rounds]:
                net.cut(address)
                (cut,) = (event.time for event in net.events() if event.target == address)
                _until(running, {device: 0.0})
                delays.append(time.time() - cut)
                # Another place in the second for the next one.
                time.sleep(0.137)
    return [absolute("detection", f"outage to ward_device_up 0, worst of {len(delays)}", [max(delays)], "s", 4.5)]


def _devices(running: Exporter) -> list[str]:
    return sorted(running.metrics().by_device("ward_device_info"))


def _until(running: Exporter, wanted: dict[str, float]) -> None:
    deadline = time.monotonic() + 30
    while not wanted.items() <= running.metrics().by_device("ward_device_up").items():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not seen within 30 s: {wanted}")
        time.sleep(0.02)


def start(effort: Effort) -> list[Row]:
    """From the command to `/-/ready`, which wants the first sweep done."""
    seconds = []
    for _ in range(effort.runs):
        begun = time.monotonic()
        with exporter(loopback(10_000)):
            seconds.append(time.monotonic() - begun)
    return [absolute("start", "start to /-/ready, 10,000 devices", seconds, "s", 8)]
