"""The last probes of each device, and the gauges over them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from exporter.state.columns import Map

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Devices that gauges are computed for at a time: their window fits into a core's cache.
_CHUNK = 4096
#: Probes that are kept of each device at least, for people to look at.
STRIP = 100
#: A lost probe among RTTs; NaN stands for one that is under way, void, or was never sent.
LOST = np.float32(np.inf)


class Gauges(NamedTuple):
    """Over the window, an element a device: seconds, and loss as 0..1. NaN where there is nothing to tell."""

    rtt: Floats
    rtt_min: Floats
    rtt_max: Floats
    jitter: Floats
    loss: Floats


class Window:
    """RTTs in seconds, a row a cycle, with one element a device; the gauges are over the last `cycles` of them."""

    def __init__(self, cycles: int, count: int) -> None:
        self.cycles = cycles
        self._kept = max(cycles, STRIP)
        #: Cycle c lies in row c modulo `_kept`.
        self._rtts = np.full((self._kept, count), np.nan, np.float32)
        #: The last cycle in which a device had a probe: behind it lie leftovers of a whole window ago.
        self._sent_cycle = np.full(count, -1, np.int64)
        self._cycle = 0

    def open(self, rows: Map, cycles: Ints) -> None:
        """Probes of these cycles are on their way; what the window held in their place is over."""
        former = self._sent_cycle[rows]
        gap = int((cycles - former).max()) - 1
        for back in range(1, min(gap, self._kept - 1) + 1):
            # Cycles in which the device was not probed: the loop was held up.
            missed = cycles - former > back
            self._rtts[(cycles[missed] - back) % self._kept, rows[missed]] = np.nan
        self._rtts[cycles % self._kept, rows] = np.nan
        self._sent_cycle[rows] = np.maximum(former, cycles)
        self._cycle = max(self._cycle, int(cycles.max()))

    def skip(self, end: int) -> None:
        """The cycles before `end` are over, also for devices that were not probed in them."""
        self._cycle = max(self._cycle, end - 1)

    def put(self, rows: Map, cycles: Ints, values: npt.NDArray[np.floating] | np.float32) -> None:
        # With a timeout as long as all that is kept, a loss may come when its place is taken again.
        fresh = cycles > self._cycle - self._kept
        if not fresh.all():
            rows, cycles = rows[fresh], cycles[fresh]
            values = values[fresh] if isinstance(values, np.ndarray) else values
        self._rtts[cycles % self._kept, rows] = values

    def copy_from(self, old: Window, rows: Map) -> None:
        """Take over the columns of an earlier inventory; if another number of cycles is kept they start empty."""
        self._cycle = old._cycle
        # An empty column has no leftovers.
        self._sent_cycle[:] = old._cycle
        if old._kept != self._kept:
            return
        source = np.flatnonzero(rows >= 0)
        self._rtts[:, rows[source]] = old._rtts[:, source]
        self._sent_cycle[rows[source]] = old._sent_cycle[source]

    def recent(self, row: int) -> list[float | None]:
        """RTTs of one device, oldest first; None for a lost probe. What is under way or void is left out."""
        return _known(self._in_order(self._cycle, self.cycles, row, row + 1))

    def strip(self, row: int) -> list[float | None]:
        """The same of all that is kept, which may reach further back than the window."""
        return _known(self._in_order(self._cycle, self._kept, row, row + 1))[-STRIP:]

    def _in_order(self, cycle: int, cycles: int, start: int, end: int) -> npt.NDArray[np.float32]:
        """The last `cycles`, up to `cycle`, of the devices `start` to `end - 1`, oldest first."""
        order = np.arange(cycle + 1 - cycles, cycle + 1) % self._kept
        rtts = self._rtts[order, start:end]
        behind = cycle - self._sent_cycle[start:end]
        for back in range(min(int(behind.max(initial=0)), cycles)):
            rtts[-1 - back, behind > back] = np.nan
        return rtts

    def gauges_of(self, row: int) -> Gauges:
        """Of one device."""
        return _gauges(self._in_order(self._cycle, self.cycles, row, row + 1))

    def gauges(self) -> Gauges:
        cycle, count = self._cycle, len(self._sent_cycle)
        gauges = Gauges(*np.empty((5, count)))
        for start in range(0, count, _CHUNK):
            part = _gauges(self._in_order(cycle, self.cycles, start, min(start + _CHUNK, count)))
            for column, values in zip(gauges, part, strict=True):
                column[start : start + _CHUNK] = values
        return gauges


def _known(rtts: npt.NDArray[np.float32]) -> list[float | None]:
    """One device's RTTs, None for a lost probe; what is under way or void is left out."""
    found = rtts[:, 0].tolist()
    return [None if math.isinf(rtt) else round(rtt, 7) for rtt in found if not math.isnan(rtt)]


def _gauges(rtts: npt.NDArray[np.float32]) -> Gauges:
    """Over each column of `rtts`, which is spent on it."""
    lost = np.isinf(rtts).sum(axis=0)
    rtts[np.isinf(rtts)] = np.nan
    got = ~np.isnan(rtts)
    received = got.sum(axis=0)
    known = received + lost
    lowest, highest, jitter = np.fmin.reduce(rtts), np.fmax.reduce(rtts), _jitter(rtts, got, received)
    rtts[~got] = 0
    mean = _ratio(rtts.sum(axis=0, dtype=np.float64), received)
    return Gauges(mean, lowest, highest, jitter, _ratio(lost, known))


def _jitter(rtts: npt.NDArray[np.float32], got: npt.NDArray[np.bool_], received: Ints) -> Floats:
    """Mean absolute difference of consecutive RTTs; what is NaN between two of them is passed over."""
    previous = rtts[0].copy()
    total = np.zeros(len(previous))
    for rtt, here in zip(rtts[1:], got[1:], strict=True):
        step = np.abs(rtt - previous)
        np.add(total, step, out=total, where=~np.isnan(step))
        np.copyto(previous, rtt, where=here)
    return _ratio(total, received - 1)


def _ratio(total: Floats | Ints, count: Ints) -> Floats:
    """`total / count`, NaN where there is nothing to count."""
    ratio: Floats = np.full(len(total), np.nan)
    return np.divide(total, count, out=ratio, where=count > 0)
