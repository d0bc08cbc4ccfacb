"""An exporter, its network, fault after fault: `python -m tests.soak [MINUTES]`; status 1 where a bar is missed.

400 devices are probed each second, 50 of them polled, the pages scraped all the time, and single devices cut.
"""

from __future__ import annotations

import itertools
import os
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.soak.faults import Fault, killed, rotation
from tests.soak.run import Run

_MINUTES = 60.0
#: When memory is looked at first, and by how much it may grow from there.
_BASE_SECONDS, _GROWTH = 300.0, 0.05
_LAG = 0.05
_KILLS = 3
#: Between two faults, in seconds.
_PAUSE = 5.0


class Sizes:
    """What the process took after five minutes, and at the end."""

    def __init__(self, run: Run) -> None:
        self.memory = run.memory()
        self.pollers = run.pollers_memory()
        self.descriptors = run.descriptors()


def meet(run: Run, fault: Fault) -> None:
    """Let it happen, and wait until everything is as it was."""
    before = run.scrape()
    begin = time.monotonic()
    if fault.calm:
        run.weather.pause()
    said = fault.cause(run)
    over = time.monotonic()
    if fault.calm:
        run.until_calm()
        run.weather.resume()
    after = run.scrape()
    void, skipped = (
        after.total(name) - before.total(name)
        for name in ("ward_probe_void_total", "ward_probe_cycles_skipped_total")
    )
    told = f"void {max(void, 0):.0f}, rounds skipped {max(skipped, 0):.0f}"
    took = f"{over - begin:4.0f} s {run.memory() / 1e6:6.1f} MB"
    print(time.strftime("%H:%M:%S"), took, f"{fault.name}: {said}{'; ' if said else ''}{told}", flush=True)


def soak(run: Run, seconds: float) -> bool:
    """Whether every bar was met."""
    begin = time.monotonic()
    run.weather.start()
    for _ in range(_KILLS):
        meet(run, Fault("kill -9", killed))
        time.sleep(_PAUSE)
    started = time.monotonic()
    base: Sizes | None = None
    met = 0
    faults = rotation(60.0 if seconds > 600 else 10.0)
    for fault in itertools.cycle(faults):
        if base is None and time.monotonic() - started >= min(_BASE_SECONDS, seconds / 3):
            base = Sizes(run)
        if time.monotonic() - begin >= seconds:
            break
        meet(run, fault)
        met += 1
        time.sleep(_PAUSE)
    run.weather.end()
    run.until_calm()
    time.sleep(2 * _PAUSE)
    end = Sizes(run)
    assert base is not None
    print(f"{(time.monotonic() - begin) / 60:.0f} minutes, {met + _KILLS} faults")
    return report(run, base, end)


def report(run: Run, base: Sizes, end: Sizes) -> bool:
    ledger = run.ledger
    ledger.close()
    growth = end.memory / base.memory - 1
    lag = statistics.median(ledger.lags)
    bars = (
        (
            f"memory: {base.memory / 1e6:.1f} MB, {end.memory / 1e6:.1f} MB at the end, {growth:+.1%}",
            growth <= _GROWTH,
        ),
        (
            f"file descriptors: {base.descriptors}, {end.descriptors} at the end",
            end.descriptors <= base.descriptors,
        ),
        (f"lag: median {lag * 1000:.1f} ms, worst {max(ledger.lags):.2f} s", lag <= _LAG),
        (
            f"false losses: {ledger.false_losses:.0f} of {ledger.probes:.0f} probes;"
            f" the simulated network itself has dropped {run.net.overruns()}",
            ledger.false_losses <= run.net.overruns(),
        ),
        (f"missed outages: {ledger.missed:g} of {ledger.outages}", ledger.missed == 0),
        (f"invented outages: {ledger.invented:g}", ledger.invented == 0),
        (f"scrapes: {ledger.scrapes}, failed without a reason {run.failed_scrapes}", run.failed_scrapes == 0),
    )
    for line, met in bars:
        print(f"{'met   ' if met else 'MISSED'}  {line}")
    print(f"        load of the machine: {', '.join(f'{load:.1f}' for load in os.getloadavg())}")
    print(f"        pollers' memory: {base.pollers / 1e6:.1f} MB, {end.pollers / 1e6:.1f} MB at the end")
    if ledger.seen_down:
        print(f"        down or gone without an outage: {sorted(set(ledger.seen_down))[:20]}")
    return all(met for _, met in bars)


def main() -> int:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else _MINUTES
    with TemporaryDirectory() as folder, Run(Path(folder)) as run:
        met = soak(run, minutes * 60)
        log = run.serving.log.read_text()
    for kind in ("Traceback", "level=error", "level=critical"):
        print(f"        {kind} in the log: {log.count(kind)}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
