"""From outcomes of probes to verdicts: up or down with hysteresis, and flapping counted on those verdicts."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from exporter.icmp.flight import Outcomes
from exporter.icmp.packet import REASONS
from exporter.inventory.device import Inventory
from exporter.inventory.topology import Topology
from exporter.state.columns import BUCKETS, DOWN, UNKNOWN, UP, Columns, Map
from exporter.state.history import MOST, Consequences, History
from exporter.state.suppression import Suppression
from exporter.state.window import LOST, Window

log = logging.getLogger(__name__)

NANO = 1_000_000_000
_EVALUATE_NS = NANO
#: After a change of verdict, its consequences are drawn no later than this.
_EVALUATE_SOON_NS = NANO // 10
#: So long an outage may turn out to be another's before it makes its device flap: devices that fall together are
#: seen to fall within one round.
_SETTLE_NS = NANO
#: Changes of one batch that are still worth a log line each.
_LOGGED = 20

Ints = npt.NDArray[np.int64]


class Rules(NamedTuple):
    """Losses that make a device down, replies that make it up, cycles in the window, seconds of flap memory."""

    down_after: int
    up_after: int
    window_cycles: int
    flap_window: float


class Verdicts:
    """The state of one inventory: takes outcomes on the probe thread, is read by everyone."""

    def __init__(self, inventory: Inventory, topology: Topology, rules: Rules) -> None:
        self.inventory = inventory
        self.columns = Columns(inventory.probed)
        self.window = Window(rules.window_cycles, self.columns.count)
        self.suppression = Suppression(inventory, topology, self.columns)
        self.rules = rules
        self.site_names = topology.site_names
        #: Times (CLOCK_MONOTONIC ns) of each row's verdict changes within the flap window.
        self.flaps: dict[int, deque[int]] = {}
        #: Rows that flap since the outage that they are in.
        self._flapping_since: set[int] = set()
        self._flap_ns = int(rules.flap_window * NANO)
        self._flap_changes = [device.limits.flap_changes for device in inventory.devices]
        #: The last cycle that was answered, or was void right behind one: a streak goes on from there.
        self._reached = np.full(self.columns.count, -1, np.int64)
        self._scratch = np.zeros(self.columns.count, np.int64)
        self._evaluated = 0
        self._changed = True
        #: Called on the probe thread when a verdict has changed, or what follows from verdicts may have.
        self.on_change: Callable[[], None] = nobody
        names = [device.name for device in inventory.devices]
        self._consequences = Consequences(History(), names, topology.site_names)

    @property
    def history(self) -> History:
        return self._consequences.history

    def copy_from(self, old: Verdicts, rows: Map) -> None:
        """Take over what an earlier inventory knew; `rows[old row]` is the row here, or -1."""
        self.columns.copy_from(old.columns, rows)
        self.window.copy_from(old.window, rows)
        self._consequences.history = old.history
        live = np.flatnonzero(rows >= 0)
        self._reached[rows[live]] = old._reached[live]
        shown = range(len(self.inventory.devices))
        self.flaps = {int(rows[row]): times for row, times in old.flaps.items() if rows[row] in shown}
        self._flapping_since = {int(rows[row]) for row in old._flapping_since if rows[row] in shown}

    # What the probe loop tells.

    def sending(self, rows: Map, cycles: Ints) -> None:
        self.window.open(rows, cycles)

    def skipped(self, first: int, end: int) -> None:
        self.window.skip(end)

    def voids(self, outcomes: Outcomes) -> None:
        """A void probe says nothing: the window keeps its gap, and a streak of replies goes on behind it."""
        follows = outcomes.cycles == self._reached[outcomes.rows] + 1
        self._reached[outcomes.rows[follows]] = outcomes.cycles[follows]

    def late(self, rows: Map) -> None:
        np.add.at(self.columns.late, rows, 1)

    def duplicates(self, rows: Map) -> None:
        np.add.at(self.columns.duplicates, rows, 1)

    def replies(self, outcomes: Outcomes, now: int, wall: float) -> None:
        self.window.put(outcomes.rows, outcomes.cycles, outcomes.rtts)
        for part in self._distinct(outcomes):
            self._replies(part, now, wall)

    def losses(self, outcomes: Outcomes, now: int, wall: float) -> None:
        self.window.put(outcomes.rows, outcomes.cycles, LOST)
        for part in self._distinct(outcomes):
            self._losses(part, now, wall)

    def evaluate(self, now: int, wall: float) -> None:
        """Draw the consequences of verdicts and of time, every second or soon after a verdict."""
        age = now - self._evaluated
        if age < (_EVALUATE_SOON_NS if self._changed else _EVALUATE_NS):
            return
        self._evaluated, self._changed = now, False
        self.suppression.evaluate(now, wall)
        self._judge_flaps(now)
        flapping, suppression = self.columns.flapping[: len(self.inventory.devices)], self.suppression
        self._consequences.notice(flapping, suppression.isolated, suppression.mass_outage, wall)
        self.on_change()

    def _distinct(self, outcomes: Outcomes) -> Iterator[Outcomes]:
        """Parts in which no row comes twice, in order: after a hold-up a device has several outcomes at once."""
        while len(outcomes.rows):
            rows = outcomes.rows
            index = np.arange(len(rows))
            self._scratch[rows[::-1]] = index[::-1]
            first = self._scratch[rows] == index
            if first.all():
                yield outcomes
                return
            yield outcomes.take(first)
            outcomes = outcomes.take(~first)

    def _replies(self, outcomes: Outcomes, now: int, wall: float) -> None:
        columns, rows = self.columns, outcomes.rows
        columns.probes[rows] += 1
        columns.replies[rows] += 1
        columns.rtt_total[rows] += outcomes.rtts
        columns.last_reply[rows] = wall
        former = self._reached[rows]
        self._reached[rows] = np.maximum(former, outcomes.cycles)
        self._ttls(rows, outcomes.ttls)
        if len(columns.histogram):
            self._histograms(rows, outcomes.rtts)
        # A probe in between may be known as lost only later: the next reply comes before its timeout.
        streak = np.where(outcomes.cycles > former + 1, 1, columns.up_streak[rows] + 1).astype(np.int32)
        columns.up_streak[rows] = streak
        columns.loss_streak[rows] = 0
        verdict = columns.verdict[rows]
        if (verdict == UP).all():
            return
        columns.verdict[rows[verdict == UNKNOWN]] = UP
        columns.last_change[rows[verdict == UNKNOWN]] = wall
        self._changed = True
        risen = rows[(verdict == DOWN) & (streak >= self.rules.up_after)]
        if len(risen):
            columns.verdict[risen] = UP
            columns.down_at[risen] = 0
            self._change(risen, now, wall)

    def _losses(self, outcomes: Outcomes, now: int, wall: float) -> None:
        columns, rows = self.columns, outcomes.rows
        columns.probes[rows] += 1
        # With a timeout above the interval a later probe may have been answered already: no streak then.
        current = outcomes.cycles >= self._reached[rows]
        if not current.all():
            rows = rows[current]
            outcomes = outcomes.take(current)
        streak = columns.loss_streak[rows] + 1
        columns.loss_streak[rows] = streak
        columns.up_streak[rows] = 0
        columns.reason[rows] = outcomes.reasons
        verdict = columns.verdict[rows]
        fallen = (verdict != DOWN) & (streak >= self.rules.down_after)
        if not fallen.any():
            return
        known = rows[fallen & (verdict == UP)]
        fresh = rows[fallen & (verdict == UNKNOWN)]
        columns.verdict[rows[fallen]] = DOWN
        columns.down_at[rows[fallen]] = now
        columns.last_change[fresh] = wall
        self._changed = True
        self._tell(fresh, np.zeros(len(fresh)), wall)
        self._change(known, now, wall)

    def _change(self, rows: Map, now: int, wall: float) -> None:
        """Verdicts of these rows have changed, and not for the first time."""
        columns = self.columns
        columns.changes[rows] += 1
        # 0 behind a wall clock that was set back meanwhile.
        lasted = np.maximum(wall - columns.last_change[rows], 0)
        columns.last_change[rows] = wall
        self._changed = True
        self._tell(rows, lasted, wall)
        for row in rows.tolist():
            if row >= len(self.inventory.devices):
                continue
            times = self.flaps.setdefault(row, deque())
            if columns.verdict[row] == DOWN:
                times.append(now)
                continue
            began = row in self._flapping_since
            self._flapping_since.discard(row)
            if self._is_of_another(row):
                # Neither the start nor the end of this outage is a change of this device.
                if times:
                    times.pop()
                if began:
                    columns.flapping[row] = False
                continue
            times.append(now)
            self._forget_old(times, now)
            if len(times) >= self._flap_changes[row]:
                columns.flapping[row] = True

    def _is_of_another(self, row: int) -> bool:
        return bool(self.columns.shadowed[row] or self.columns.mass_outage[row])

    def _tell(self, rows: Map, lasted: npt.NDArray[np.float64], wall: float) -> None:
        """Log and remember what these rows are now, and how long they were not."""
        self._log(rows)
        devices, columns = self.inventory.devices, self.columns
        # More than the history holds would only take the probe loop's time.
        for row, seconds in zip(rows[-MOST:].tolist(), lasted[-MOST:].tolist(), strict=True):
            if row >= len(devices):
                continue
            if columns.verdict[row] == DOWN:
                reason = REASONS[columns.reason[row]]
                self.history.add(wall, "down", devices[row].name, reason, round(seconds, 1))
            else:
                self.history.add(wall, "up", devices[row].name, "", round(seconds, 1))
        if len(rows):
            self.on_change()

    def _log(self, rows: Map) -> None:
        """What these rows are now, line by line unless there are many."""
        devices, columns = self.inventory.devices, self.columns
        if len(rows) > _LOGGED:
            log.info("%d devices have changed their state", len(rows))
            return
        for row in rows[rows < len(devices)].tolist():
            name, address = devices[row].name, devices[row].address
            if columns.verdict[row] == DOWN:
                log.info("%s (%s) is down: %s", name, address, REASONS[columns.reason[row]])
            else:
                log.info("%s (%s) is up", name, address)

    def _forget_old(self, times: deque[int], now: int) -> None:
        while times and times[0] <= now - self._flap_ns:
            times.popleft()

    def _judge_flaps(self, now: int) -> None:
        """Flapping begins with an outage that has proven to be the device's own, and ends when the window holds no
        change any more, not as soon as it holds too few."""
        columns = self.columns
        for row, times in list(self.flaps.items()):
            self._forget_old(times, now)
            if not times:
                columns.flapping[row] = False
                self._flapping_since.discard(row)
                del self.flaps[row]
            elif (
                len(times) >= self._flap_changes[row]
                and columns.verdict[row] == DOWN
                and not columns.flapping[row]
                and not self._is_of_another(row)
            ):
                if now - columns.down_at[row] < _SETTLE_NS:
                    # Looked at again at once, not in a second.
                    self._changed = True
                    continue
                columns.flapping[row] = True
                self._flapping_since.add(row)

    def _ttls(self, rows: Map, ttls: npt.NDArray[np.uint8]) -> None:
        columns = self.columns
        former = columns.ttl[rows]
        moved = former != ttls
        if moved.any():
            columns.path_changes[rows[moved & (former > 0) & (ttls > 0)]] += 1
            seen = moved & (ttls > 0)
            columns.ttl[rows[seen]] = ttls[seen]

    def _histograms(self, rows: Map, rtts: npt.NDArray[np.float64]) -> None:
        columns = self.columns
        target = columns.histogram_row[rows]
        chosen = target >= 0
        buckets = np.searchsorted(_BUCKETS, rtts[chosen], side="left")
        columns.histogram[target[chosen], buckets] += 1
        columns.histogram_sum[target[chosen]] += rtts[chosen]


_BUCKETS = np.array(BUCKETS)


def nobody() -> None:
    """Hears of changes while nobody wants to."""
