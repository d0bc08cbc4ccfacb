"""`python -m tests.scaling.measure [DEVICES] [SECONDS]`: what an exporter of so many devices, all of which answer,
costs, and what VictoriaMetrics makes of its pages. docs/scaling.md has what came out, and multiplies it.

The devices are loopback addresses, so the exporter's CPU holds the kernel's work for both ends of each probe. What
a sample takes on disk comes from a day of some devices, whose round-trip times waver as over a network: minutes of
thousands would be little else than the beginnings of blocks.
"""

from __future__ import annotations

import json
import re
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from bench.exporter import Exporter, exporter
from bench.inventory import loopback
from tests.servers import VictoriaMetrics, generations

INTERVAL = 5
SCRAPING = f"""
global: {{scrape_interval: {INTERVAL}s, scrape_timeout: 4s}}
scrape_configs:
  - {{job_name: ward-exporter, stream_parse: true, static_configs: [{{targets: ["127.0.0.1:%d"]}}]}}
"""
MIB = 2**20
DAY = 86_400
Values = npt.NDArray[np.float64]


def figures(page: bytes) -> Mapping[str, float]:
    """The values of a page, summed by name."""
    found: dict[str, float] = {}
    for name, value in re.findall(r"(?m)^(\w+)(?:\{.*\})? (\S+)$", page.decode()):
        found[name] = found.get(name, 0) + float(value)
    return found


def packed(running: Exporter) -> int:
    """Bytes that cross the network for a page."""
    asked = urllib.request.Request(f"{running.url}/metrics", headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(asked, timeout=20) as answer:
        return len(answer.read())


def measure(devices: int, seconds: float) -> Iterator[tuple[str, str]]:
    with exporter(loopback(devices)) as running:
        store = VictoriaMetrics(
            SCRAPING % running.port, generation=generations()[-1], arguments=["-memory.allowedBytes=1GB"]
        )
        with store:
            page = running.metrics().text
            samples = sum(not line.startswith(b"#") for line in page.splitlines())
            # Its caches are filled, and every series is known, after some scrapes.
            time.sleep(6 * INTERVAL)
            before = figures(page=running.metrics().text), figures(store.get("/metrics")[2])
            began = time.monotonic()
            time.sleep(seconds)
            after = figures(page=running.metrics().text), figures(store.get("/metrics")[2])
            took = time.monotonic() - began
            yield "devices, samples of a page", f"{devices:,}, {samples:,}"
            yield "samples a device", f"{samples / devices:.2f}"
            yield "bytes a sample of the page", f"{len(page) / samples:.0f}"
            yield "page, as text and with gzip", f"{len(page) / 1e6:.1f} MB, {packed(running) / 1e6:.2f} MB"
            yield "rendering a page", f"{after[0]['ward_exporter_render_duration_seconds']:.3f} s"
            for number, name in enumerate(("exporter", "VictoriaMetrics")):
                used = after[number]["process_cpu_seconds_total"] - before[number]["process_cpu_seconds_total"]
                memory = after[number]["process_resident_memory_bytes"] / MIB
                yield f"{name}: CPU, memory", f"{100 * used / took:.1f} % of a core, {memory:.0f} MiB"
            stored = after[1]["vm_rows_inserted_total"] - before[1]["vm_rows_inserted_total"]
            yield "samples stored a second", f"{stored / took:,.0f}"


def a_day(devices: int) -> Iterator[tuple[str, str]]:
    """The samples of a day, a series after the other, as the exporter's pages would have brought them."""
    with exporter(loopback(devices)) as running, VictoriaMetrics(generation=generations()[-1]) as store:
        page = running.metrics().text.decode()
        times = np.arange(int(time.time()) - DAY, int(time.time()), INTERVAL)
        chance = np.random.default_rng(1)
        series = re.findall(r'(?m)^(ward_device_\w+)\{(device="([^"]+)".*)\} (\S+)$', page)
        courses: dict[str, Mapping[str, Values]] = {}
        for name, labels, device, value in series:
            if device not in courses:
                courses[device] = _courses(chance, times)
            values = courses[device].get(name, np.full(len(times), float(value)))
            _write(store, name, labels, times, values)
        store.get("/internal/force_flush")
        _until_merged(store)
        page = store.get("/metrics")[2].decode()
        kept, size = (
            _sum(page, r'vm_rows\{type="storage/\w+"\}'),
            _sum(page, r'vm_data_size_bytes\{type="storage/\w+"\}'),
        )
        index = _sum(page, r'vm_data_size_bytes\{type="indexdb/\w+"\}')
        yield "bytes a sample on disk", f"{size / kept:.2f} ({kept:,.0f} samples of a day, {size / 1e6:.1f} MB)"
        yield "bytes a series in the index", f"{index / len(series):.0f}"


def _courses(chance: np.random.Generator, times: npt.NDArray[np.int64]) -> Mapping[str, Values]:
    """What wavers: a probe a second, a window of a minute."""
    rtts = np.round(0.01 + chance.exponential(0.002, DAY + 60), 7)
    windows = np.lib.stride_tricks.sliding_window_view(rtts, 60)[:DAY:INTERVAL]
    sent = np.arange(len(times)) * float(INTERVAL)
    return {
        "ward_device_rtt_seconds": np.round(windows.mean(1), 7),
        "ward_device_rtt_min_seconds": windows.min(1),
        "ward_device_rtt_max_seconds": windows.max(1),
        "ward_device_jitter_seconds": np.round(np.abs(np.diff(windows, axis=1)).mean(1), 7),
        "ward_device_rtt_seconds_total": np.round(rtts.cumsum()[:DAY:INTERVAL], 7),
        "ward_device_probes_sent_total": sent,
        "ward_device_replies_total": sent,
        "ward_device_last_reply_timestamp_seconds": np.round(times - chance.random(len(times)), 3),
    }


def _write(store: VictoriaMetrics, name: str, labels: str, times: npt.NDArray[np.int64], values: Values) -> None:
    metric = {"__name__": name, **dict(re.findall(r'(\w+)="([^"]*)"', labels)), "instance": "exporter:9841"}
    line = json.dumps({"metric": metric, "values": values.tolist(), "timestamps": (times * 1000).tolist()})
    asked = urllib.request.Request(f"{store.url}/api/v1/import", data=line.encode())
    with urllib.request.urlopen(asked, timeout=60) as answer:
        answer.read()


def _until_merged(store: VictoriaMetrics) -> None:
    """Until what is on disk is as it will stay: of the biggest parts there are."""
    store.get("/internal/force_merge")
    size, former = 0.0, -1.0
    while size != former:
        time.sleep(5)
        former = size
        size = _sum(store.get("/metrics")[2].decode(), r'vm_data_size_bytes\{type="storage/\w+"\}')


def _sum(page: str, pattern: str) -> float:
    return sum(map(float, re.findall(rf"(?m)^{pattern} (\S+)$", page)))


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]] + [10_000, 240][len(sys.argv) - 1 :]
    for name, figure in (*measure(*numbers), *a_day(20)):
        print(f"{name:32} {figure}", flush=True)
