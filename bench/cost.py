"""CPU and memory: a probe beside the peers', the bank's own inventory, a large one, and how cost grows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise

from bench import peers, process
from bench.effort import Effort
from bench.exporter import exporter
from bench.inventory import loopback
from bench.row import Row, absolute, against
from tests.servers import generations

#: Seconds from the first sweep until the loop runs as it will: caches warm, start-up garbage collected.
SETTLE_SECONDS = 3.0

#: What a probe may cost us, as a share of what it costs a peer; None: for information.
BARS = {
    "fping, evenly paced": 1 / 2,
    # Sends a second's packets as fast as it can and sleeps: cheaper, and what overruns a branch's router.
    "fping, in bursts": None,
    "icmplib multiping, its defaults": 1 / 80,
    "icmplib multiping, 1 probe each": None,
    "blackbox_exporter, floor": 1 / 40,
    "blackbox_exporter, trixie": 1 / 40,
}


@dataclass(frozen=True, slots=True)
class Cost:
    """What the exporter took over a window without scrapes, and what scrapes before and after it did.

    `lossy` devices lost a probe in the last minute; `void` probes told nothing, for the loop was held up.
    """

    us_per_probe: float
    cores: float
    megabytes: float
    lossy: int
    void: float


def measure(devices: int, seconds: float) -> Cost:
    """The exporter at its shipped interval of 1 s over loopback; memory is read after a scrape."""
    with exporter(loopback(devices)) as running:
        time.sleep(SETTLE_SECONDS)
        before = running.metrics()
        # Not a part of the window: the scrape's own work, and the sends that it may have delayed.
        time.sleep(1)
        window = process.watch(running.process.pid, seconds)
        after = running.metrics()
        megabytes = process.resident_megabytes(running.process.pid)
    # Where the loop cannot keep up, fewer probes are sent than there should be; more are not ours.
    rate = min(window.echo_requests, devices)
    return Cost(
        us_per_probe=window.cores / rate * 1e6,
        cores=window.cores,
        megabytes=megabytes,
        lossy=sum(loss > 0 for loss in after.by_device("ward_device_packet_loss_ratio").values()),
        void=after.total("ward_probe_void_total") - before.total("ward_probe_void_total"),
    )


def cpu_10k(effort: Effort) -> list[Row]:
    """CPU a probe at 10,000 devices, against every peer in turn."""
    addresses = loopback(10_000)
    spread = peers.fping_spread(addresses)
    # fping keeps each of its 65,536 sequence numbers for ten seconds.
    rounds = min(effort.rounds, 6)
    ours, taken = [], dict[str, list[float]]()
    for _ in range(effort.runs):
        ours.append(measure(len(addresses), effort.seconds).us_per_probe)
        # fping alone of the peers can hold this rate; the others are measured at the rate that they do hold.
        costs = {
            "fping, evenly paced": peers.fping(addresses, rounds, spread)[0],
            "fping, in bursts": peers.fping(addresses, rounds, spread / 10)[0],
            "icmplib multiping, its defaults": peers.multiping(500, 2),
            "icmplib multiping, 1 probe each": peers.multiping(2_000, 1),
        }
        for generation in generations():
            with peers.blackbox(generation) as blackbox:
                costs[f"blackbox_exporter, {generation.name}"] = blackbox.cost(addresses, effort.seconds)[0]
        for name, cost in costs.items():
            taken.setdefault(name, []).append(cost.us_per_probe)
    rows = [absolute("cpu-10k", "CPU a probe, 10,000 devices/s", ours, "us", 15)]
    for name, values in taken.items():
        rows.append(against("cpu-10k", f"CPU a probe, vs {name}", ours, values, "us", BARS[name]))
    return rows


def small(effort: Effort) -> list[Row]:
    """The bank's own inventory: 875 devices a second."""
    addresses = loopback(875)
    spread = peers.fping_spread(addresses)
    ours, taken = [], dict[str, list[peers.Cost]]()
    for _ in range(effort.runs):
        ours.append(measure(len(addresses), effort.seconds))
        taken.setdefault("fping", []).append(peers.fping(addresses, effort.rounds, spread)[0])
        for generation in generations():
            for protocol in ("udp", "icmp"):
                cost = peers.smokeping(addresses, protocol, generation, effort.seconds)
                taken.setdefault(f"smokeping_prober {protocol}, {generation.name}", []).append(cost)
    percent = [cost.cores * 100 for cost in ours]
    rows = [
        absolute("small", "CPU, 875 devices/s", percent, "% of a core", 4),
        absolute("small", "memory, scraped", [cost.megabytes for cost in ours], "MB", 90),
    ]
    for name, costs in taken.items():
        answered = min(cost.answered for cost in costs)
        theirs = [cost.cores * 100 for cost in costs]
        rows.append(against("small", f"CPU, vs {name} ({answered:.0%} answered)", percent, theirs, "% of a core"))
    return rows


def large(effort: Effort) -> list[Row]:
    """A hundred thousand devices a second on one core, and a scrape of them; the worst run counts."""
    ours = [measure(100_000, effort.seconds) for _ in range(effort.runs)]
    lossy, void = max(cost.lossy for cost in ours), max(cost.void for cost in ours)
    return [
        absolute("large", "devices with loss, of 100,000 probed each second", [lossy], "devices", 0),
        absolute("large", "probes void", [void], "probes", 0),
        absolute("large", "CPU", [cost.cores * 100 for cost in ours], "% of a core", 90),
        absolute("large", "memory, scraped", [cost.megabytes for cost in ours], "MB", 600),
    ]


def scaling(effort: Effort) -> list[Row]:
    """Linear or better: a probe must not cost more in a ten times larger inventory."""
    sizes = (1_000, 10_000, 100_000)
    costs: dict[int, list[float]] = {size: [] for size in sizes}
    for _ in range(effort.runs):
        for size in sizes:
            costs[size].append(measure(size, effort.seconds).us_per_probe)
    return [
        against("scaling", f"CPU a probe, {more:,} vs {fewer:,} devices", costs[more], costs[fewer], "us", 1)
        for fewer, more in pairwise(sizes)
    ]
