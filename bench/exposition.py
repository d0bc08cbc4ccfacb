"""What a scrape of 10,000 devices costs, and how far it holds up the probes."""

from __future__ import annotations

import time
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from bench.effort import Effort
from bench.exporter import Exporter, exporter
from bench.inventory import loopback
from bench.row import Row, absolute, against

LAG = "ward_probe_cycle_lag_seconds"


class Ready(Collector):
    """A page's samples as prometheus_client's own objects, made before the clock starts: rendering alone counts."""

    def __init__(self, page: str) -> None:
        self._families = list(text_string_to_metric_families(page))

    def collect(self) -> Iterable[Metric]:
        return self._families


def exposition(effort: Effort) -> list[Row]:
    """Rendering, against prometheus_client on the same samples; and the send schedule while scrapes never stop."""
    name = "exposition"
    ours, theirs = [], []
    with exporter(loopback(10_000)) as running:
        _wait_for_lag_of(running, effort, scraping=False)
        idle = running.metrics().total(LAG)
        page = running.metrics().text.decode()
        registry = CollectorRegistry()
        registry.register(Ready(page))
        for _ in range(effort.runs):
            # A page says how long the one before it took.
            running.metrics()
            ours.append(running.metrics().total("ward_exporter_render_duration_seconds") * 1e3)
            begun = time.perf_counter()
            generate_latest(registry)
            theirs.append((time.perf_counter() - begun) * 1e3)
        _wait_for_lag_of(running, effort, scraping=True)
        scraped = running.metrics().total(LAG)
    samples = sum(not line.startswith("#") for line in page.splitlines())
    return [
        against(name, f"rendering {samples:,} samples, vs prometheus_client", ours, theirs, "ms", 1 / 15),
        absolute(name, "longest send delay, scraped without a pause", [scraped * 1e3], "ms", 20),
        Row(name, "the same without scrapes", f"{idle * 1e3:.3g} ms", "", None, "", None),
    ]


def _wait_for_lag_of(running: Exporter, effort: Effort, *, scraping: bool) -> None:
    """Until the gauge, which looks back over 60 rounds of 1 s, has forgotten what was before."""
    end = time.monotonic() + effort.minute
    while time.monotonic() < end:
        if scraping:
            running.metrics()
        else:
            time.sleep(1)
