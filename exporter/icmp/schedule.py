"""When each device is due: once an interval, at its own phase, and never in a burst.

Times are nanoseconds of CLOCK_MONOTONIC, so that a stepped wall clock moves nothing.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int32]

NO_ROWS: Rows = np.zeros(0, np.int32)
NO_CYCLES: Ints = np.zeros(0, np.int64)


class Due(NamedTuple):
    """Rows to probe now, with the cycle of each; `skipped` cycles (`void` probes) were given up before them."""

    rows: Rows
    cycles: Ints
    behind: int
    new_cycle: bool
    skipped: int
    void: int


class Schedule:
    """Walks round `order`, rows sorted by `phases` (0..1 of the interval)."""

    def __init__(self, order: Rows, phases: npt.NDArray[np.float64], interval: int) -> None:
        self.interval = interval
        self.cycle = 0
        self._pointer = 0
        self._epoch = time.monotonic_ns()
        self._carried: tuple[Rows, Ints] = (NO_ROWS, NO_CYCLES)
        self._random = np.random.default_rng()
        self._set_rows(order, phases)

    def _set_rows(self, order: Rows, phases: npt.NDArray[np.float64]) -> None:
        self._order, self._phases = order, phases
        self._phase_of_row = np.zeros(len(order))
        self._phase_of_row[order] = phases
        # Some 200 probes a tick where there are many: fewer cost more CPU each, more are a burst that queues up.
        self.tick = min(40_000_000, max(5_000_000, 200 * self.interval // len(self._order)))
        # What a hold-up has left behind goes out at a few times the usual pace.
        self._limit = max(64, 4 * len(self._order) * self.tick // self.interval)

    def start(self, now: int) -> None:
        self._epoch = now - self.cycle * self.interval

    def replace(self, order: Rows, phases: npt.NDArray[np.float64], rows: Rows, interval: int) -> None:
        """Another set of rows; `rows[old]` is the new number of a row, -1 where it is gone.

        Another interval begins a new cycle: what the former one still owed is not sent.
        """
        reached = self._phases[self._pointer - 1] if self._pointer else -1.0
        carried, cycles = self._carried
        live = rows[carried] >= 0
        self._carried = rows[carried][live], cycles[live]
        self._pointer = int(np.searchsorted(phases, reached, side="right"))
        if interval != self.interval:
            self.interval = interval
            self.cycle += 1
            self._pointer = 0
            self._carried = (NO_ROWS, NO_CYCLES)
            self.start(time.monotonic_ns())
        self._set_rows(order, phases)

    def carry(self, rows: Rows, cycles: Ints) -> None:
        """Rows that could not be sent stay due, and come first the next time."""
        # In any order: where there is never room for all, the same ones would go without each time.
        order = self._random.permutation(len(rows))
        rows, cycles = rows[order], cycles[order]
        self._carried = np.concatenate([rows, self._carried[0]]), np.concatenate([cycles, self._carried[1]])

    def due(self, now: int) -> Due:
        """What to send at `now`. More than an interval behind, everything up to `now` is given up instead."""
        cycle, into = divmod(now - self._epoch, self.interval)
        end = int(np.searchsorted(self._phases, into / self.interval, side="right"))
        behind = self._behind(now)
        if behind > self.interval or cycle > self.cycle + 1:
            skipped = cycle - self.cycle
            void = skipped * len(self._order) + end - self._pointer + len(self._carried[0])
            self._carried = (NO_ROWS, NO_CYCLES)
            self.cycle, self._pointer = cycle, end
            return Due(NO_ROWS, NO_CYCLES, behind, skipped > 0, skipped, void)
        rows = self._order[self._pointer : end]
        cycles = np.full(len(rows), cycle)
        new_cycle = cycle > self.cycle
        if new_cycle:
            rest = self._order[self._pointer :]
            rows = np.concatenate([rest, self._order[:end]])
            cycles = np.concatenate([np.full(len(rest), self.cycle), np.full(end, cycle)])
        self.cycle, self._pointer = cycle, end
        carried, carried_cycles = self._carried
        if len(carried):
            rows, cycles = np.concatenate([carried, rows]), np.concatenate([carried_cycles, cycles])
        self._carried = rows[self._limit :], cycles[self._limit :]
        return Due(rows[: self._limit], cycles[: self._limit], behind, new_cycle, 0, 0)

    def _behind(self, now: int) -> int:
        """How long ago the next row in the schedule was due, 0 where it lies ahead."""
        carried, cycles = self._carried
        if len(carried):
            # Those of one profile stand behind those of another: the first is not always the oldest.
            next_due = float((cycles + self._phase_of_row[carried]).min())
        elif self._pointer < len(self._phases):
            next_due = self.cycle + float(self._phases[self._pointer])
        else:
            next_due = self.cycle + 1 + float(self._phases[0])
        return max(0, now - self._epoch - int(next_due * self.interval))
