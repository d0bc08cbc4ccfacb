"""The last probes of each device, and the gauges over them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from exporter.state.columns import Map

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

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
    """RTTs in seconds, `cycles` rows of one element a device; cycle c lies in row c modulo `cycles`."""

    def __init__(self, cycles: int, count: int) -> None:
        self.cycles = cycles
        self._rtts = np.full((cycles, count), np.nan, np.float32)
        self._sent_cycle = np.full(count, -1, np.int64)
        self._cycle = 0

    def open(self, rows: Map, cycles: Ints) -> None:
        """Probes of these cycles are on their way; what the window held in their place is over."""
        self._rtts[cycles % self.cycles, rows] = np.nan
        self._sent_cycle[rows] = cycles
        self._cycle = max(self._cycle, int(cycles[-1]))

    def skip(self, first: int, end: int) -> None:
        """Nothing was sent in cycles `first` to `end - 1`."""
        for cycle in range(max(first, end - self.cycles), end):
            self._rtts[cycle % self.cycles] = np.nan
        self._cycle = max(self._cycle, end - 1)

    def put(self, rows: Map, cycles: Ints, values: npt.NDArray[np.floating] | np.float32) -> None:
        # With a timeout as long as the window, a loss may come when its place is taken again.
        fresh = cycles > self._cycle - self.cycles
        if not fresh.all():
            rows, cycles = rows[fresh], cycles[fresh]
            values = values[fresh] if isinstance(values, np.ndarray) else values
        self._rtts[cycles % self.cycles, rows] = values

    def copy_from(self, old: Window, rows: Map) -> None:
        """Take over the columns of an earlier inventory; windows of another length start empty."""
        self._cycle = old._cycle
        if old.cycles != self.cycles:
            return
        source = np.flatnonzero(rows >= 0)
        self._rtts[:, rows[source]] = old._rtts[:, source]
        self._sent_cycle[rows[source]] = old._sent_cycle[source]

    def recent(self, row: int) -> list[float | None]:
        """RTTs of one device, oldest first; None for a lost probe. What is under way or void is left out."""
        start = (self._cycle + 1) % self.cycles
        rtts = np.roll(self._rtts[:, row], -start)
        if self._sent_cycle[row] < self._cycle:
            rtts = rtts[:-1]
        return [None if math.isinf(rtt) else round(rtt, 7) for rtt in rtts.tolist() if not math.isnan(rtt)]

    def _in_order(self) -> npt.NDArray[np.float32]:
        start = (self._cycle + 1) % self.cycles
        rtts = np.concatenate([self._rtts[start:], self._rtts[:start]])
        # A row that has not been probed in the current cycle yet still shows the one a whole window ago.
        rtts[-1, self._sent_cycle < self._cycle] = np.nan
        return rtts

    def gauges(self) -> Gauges:
        rtts = self._in_order()
        lost = np.isinf(rtts)
        got = np.isfinite(rtts)
        received = got.sum(axis=0)
        known = received + lost.sum(axis=0)
        some = received > 0
        count = np.where(some, received, 1)
        mean = np.where(some, np.where(got, rtts, 0).sum(axis=0, dtype=np.float64) / count, np.nan)
        lowest = np.where(some, np.where(got, rtts, np.inf).min(axis=0), np.nan)
        highest = np.where(some, np.where(got, rtts, -np.inf).max(axis=0), np.nan)
        loss = np.where(known > 0, lost.sum(axis=0) / np.where(known > 0, known, 1), np.nan)
        return Gauges(mean, lowest.astype(np.float64), highest.astype(np.float64), _jitter(rtts, got), loss)


def _jitter(rtts: npt.NDArray[np.float32], got: npt.NDArray[np.bool_]) -> Floats:
    """Mean absolute difference of consecutive RTTs; lost probes between two of them are passed over."""
    count = rtts.shape[1]
    previous = np.full(count, np.nan)
    total = np.zeros(count)
    pairs = np.zeros(count, np.int64)
    for rtt, here in zip(rtts, got, strict=True):
        both = here & ~np.isnan(previous)
        total += np.where(both, np.abs(rtt - previous), 0)
        pairs += both
        previous = np.where(here, rtt, previous)
    return np.where(pairs > 0, total / np.where(pairs > 0, pairs, 1), np.nan)
