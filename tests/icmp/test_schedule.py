"""When devices are probed: once an interval each, at a phase of their own, through hold-ups and reloads."""

from __future__ import annotations

import itertools
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.icmp.plan import Plan
from exporter.icmp.schedule import Due, Schedule
from exporter.inventory.device import Device

SECOND = 1_000_000_000
MS = 1_000_000


def plan(names: list[str]) -> Plan:
    return Plan([Device(name=name, address="10.0.0.1") for name in names], {})


class Clock:
    """A schedule, run by hand from time 0 on; it notes which device was due in which cycle, and when."""

    def __init__(self, count: int, interval: int = SECOND) -> None:
        self.names = [f"device-{number}" for number in range(count)]
        self.plan = plan(self.names)
        self.schedule = Schedule(self.plan.order, self.plan.phases, interval)
        self.now = 0
        self.schedule.start(0)
        self.seen: list[tuple[str, int, int]] = []

    def due(self) -> Due:
        due = self.schedule.due(self.now)
        self.seen += [
            (self.name(row), cycle, self.now)
            for row, cycle in zip(due.rows.tolist(), due.cycles.tolist(), strict=True)
        ]
        return due

    def name(self, row: int) -> str:
        return [*self.names, "reference"][row]

    def run(self, until: int) -> list[Due]:
        """Tick by tick up to a time."""
        found = []
        while self.now + self.schedule.tick <= until:
            self.now += self.schedule.tick
            found.append(self.due())
        return found

    def replace(self, names: list[str], interval: int = SECOND) -> None:
        """Another inventory; a device is the same while its name is."""
        places = {name: row for row, name in enumerate([*names, "reference"])}
        rows = np.array([places.get(name, -1) for name in [*self.names, "reference"]], np.int32)
        self.names, self.plan = names, plan(names)
        self.schedule.replace(self.plan.order, self.plan.phases, rows, interval)

    def by_name(self) -> dict[str, list[tuple[int, int]]]:
        """Cycles and times of each device's probes."""
        found: dict[str, list[tuple[int, int]]] = {}
        for name, cycle, at in self.seen:
            found.setdefault(name, []).append((cycle, at))
        return found


@pytest.mark.parametrize(
    ("count", "interval"),
    [(0, SECOND), (1, SECOND // 10), (7, 60 * SECOND), (875, SECOND), (875, SECOND // 10), (3000, 10 * SECOND)],
)
def test_each_device_once_a_cycle(count: int, interval: int) -> None:
    """In every cycle each device is due once, and from cycle to cycle within a tick of an interval later."""
    clock = Clock(count, interval)
    dues = clock.run(5 * interval)
    assert not any(due.void or due.skipped for due in dues)
    assert sum(due.new_cycle for due in dues) in (4, 5)
    for probes in clock.by_name().values():
        assert [cycle for cycle, _ in probes if cycle < 4] == [0, 1, 2, 3]
        gaps = {later - earlier for (_, earlier), (_, later) in itertools.pairwise(probes)}
        assert all(abs(gap - interval) <= clock.schedule.tick for gap in gaps)
    assert len(clock.by_name()) == count + 1


def test_probes_are_spread_over_the_interval() -> None:
    """No tick has a burst: the most crowded one has a few times the mean."""
    clock = Clock(5000)
    sizes = [len(due.rows) for due in clock.run(SECOND)]
    mean = 5001 * clock.schedule.tick / SECOND
    assert mean <= 201
    assert max(sizes) < 2 * mean


@given(st.integers(1, 200_000), st.integers(10 * MS, 3600 * SECOND))
def test_the_loop_neither_spins_nor_oversleeps(count: int, interval: int) -> None:
    """Ticks last 5 to 50 ms, whatever the inventory and the interval."""
    one = Schedule(np.zeros(1, np.int32), np.zeros(1), interval)
    one._set_rows(np.zeros(count, np.int32), np.zeros(count))
    assert 5 * MS <= one.tick <= 50 * MS


def test_phases_are_the_names_own() -> None:
    """A device keeps its phase whatever comes and goes around it."""
    alone = plan(["b"])
    among = plan(["a", "b", "c"])
    assert alone.phases[alone.order == 0] == among.phases[among.order == 1]


@pytest.mark.parametrize("held", [3 * MS, 150 * MS, 999 * MS])
def test_a_hold_up_below_an_interval_loses_nothing(held: int) -> None:
    """After a short hold-up everything is still sent, in its own cycle and in order, and the lag is told."""
    clock = Clock(3000)
    clock.run(1500 * MS)
    clock.now += held
    due = clock.due()
    assert (due.skipped, due.void) == (0, 0)
    assert held <= due.behind + clock.schedule.tick
    assert due.behind <= held + clock.schedule.tick
    clock.run(5 * SECOND)
    assert Counter(cycle for _, cycle, _ in clock.seen if cycle < 4) == dict.fromkeys(range(4), 3001)
    assert len({(name, cycle) for name, cycle, _ in clock.seen}) == len(clock.seen)


def test_what_a_hold_up_left_goes_out_slowly() -> None:
    """No tick sends more than four times the usual, until all is caught up."""
    clock = Clock(3000)
    clock.run(SECOND)
    usual = 3001 * clock.schedule.tick / SECOND
    clock.now += 900 * MS
    sizes = [len(clock.due().rows)] + [len(due.rows) for due in clock.run(3 * SECOND)]
    assert max(sizes) <= max(64, 4 * usual)
    assert sizes[0] == sizes[1] == max(sizes)
    assert max(sizes[-10:]) < 2 * usual


@pytest.mark.parametrize("held", [1.5, 1.96, 2.0, 2.04, 3.7, 86_400.0])
@pytest.mark.parametrize("at", [1.0, 1.02, 1.5, 1.98])
def test_a_longer_hold_up_is_given_up(held: float, at: float) -> None:
    """More than an interval behind, what is owed is void, and every probe is accounted for; no storm follows."""
    clock = Clock(500)
    clock.run(int(at * SECOND))
    sent, former = len(clock.seen), clock.schedule.cycle
    clock.now += int(held * SECOND)
    due = clock.due()
    assert len(due.rows) == 0
    assert due.void > 0
    assert due.skipped == clock.now // SECOND - former
    clock.run(clock.now + 2 * SECOND)
    sizes = Counter(at for _, _, at in clock.seen[sent:])
    assert max(sizes.values()) <= max(64, 4 * 501 * clock.schedule.tick // SECOND)
    # Up to some time in the future, what was sent and what was void is what was owed.
    into = clock.now % SECOND / SECOND
    owed = clock.now // SECOND * 501 + int(np.searchsorted(clock.plan.phases, into, side="right"))
    assert len(clock.seen) + due.void == owed
    assert max(cycle for _, cycle, _ in clock.seen) == clock.now // SECOND


@settings(deadline=None)
@given(st.lists(st.integers(0, 2_500), max_size=40), st.integers(1, 150), st.data())
def test_every_probe_is_sent_or_void(gaps: list[int], count: int, data: st.DataObject) -> None:
    """Through any hold-ups and full buffers, each probe is sent once, or carried, or void."""
    clock = Clock(count)
    void = 0
    for gap in gaps:
        clock.now += gap * MS
        due = clock.due()
        void += due.void
        kept = data.draw(st.integers(0, len(due.rows)))
        if kept < len(due.rows):
            clock.schedule.carry(due.rows[kept:], due.cycles[kept:])
            del clock.seen[len(clock.seen) - (len(due.rows) - kept) :]
    into = clock.now % SECOND / SECOND
    owed = clock.now // SECOND * (count + 1) + int(np.searchsorted(clock.plan.phases, into, side="right"))
    if gaps:
        assert len(clock.seen) + void + len(clock.schedule._carried[0]) == owed
    pairs = [(name, cycle) for name, cycle, _ in clock.seen]
    assert len(set(pairs)) == len(pairs)


def test_carried_probes_come_first_and_are_late() -> None:
    """What could not be sent is due again before all else, and the lag is that of the oldest of it."""
    clock = Clock(100)
    due = clock.run(400 * MS)[-1]
    first, second = due.rows[:1], due.rows[1:2]
    # Two profiles: the later one's rows end up in front.
    clock.schedule.carry(first, due.cycles[:1])
    clock.schedule.carry(second, due.cycles[1:2])
    clock.now += 30 * MS
    phases = clock.schedule._phase_of_row
    again = clock.due()
    assert again.rows[:2].tolist() == [second[0], first[0]]
    assert again.behind == clock.now - int(phases[first[0]] * SECOND)


def test_a_buffer_that_stays_full_ends_in_void() -> None:
    """When nothing can be sent for an interval, it is given up, not piled up."""
    clock = Clock(50)
    void = 0
    for _ in range(60):
        clock.now += 50 * MS
        due = clock.schedule.due(clock.now)
        void += due.void
        if len(due.rows):
            clock.schedule.carry(due.rows, due.cycles)
    assert 0 < len(clock.schedule._carried[0]) <= 52
    assert void + len(clock.schedule._carried[0]) == 51 * 3 + 1


@pytest.mark.parametrize("count", [40, 400])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_nobody_goes_without_for_good(count: int, share: float) -> None:
    """Where there is never room for all, each device has its turns: none is left out again and again."""
    clock = Clock(count, SECOND // 5)
    sent: Counter[str] = Counter()
    room = 0.0
    for _ in range(50 * SECOND // clock.schedule.tick):
        clock.now += clock.schedule.tick
        due = clock.schedule.due(clock.now)
        # A queue of 17 packets, emptied at a steady pace.
        room = min(17, room + share * (count + 1) * clock.schedule.tick / (SECOND // 5))
        gone = min(int(room), len(due.rows))
        room -= gone
        sent.update(map(clock.name, due.rows[:gone].tolist()))
        if gone < len(due.rows):
            clock.schedule.carry(due.rows[gone:], due.cycles[gone:])
    assert sent.keys() >= set(clock.names)
    assert min(sent[name] for name in clock.names) > sent.total() / len(clock.names) / 5


@pytest.mark.parametrize("at", [400, 1000, 1500, 1990])
def test_a_reload_neither_skips_nor_doubles(at: int) -> None:
    """Devices that stay are probed once in the cycle of the reload, whatever comes and goes beside them."""
    clock = Clock(400)
    clock.run(at * MS)
    stay = clock.names[100:]
    clock.replace([f"new-{number}" for number in range(333)] + stay)
    clock.run(5 * SECOND)
    probes = clock.by_name()
    for name in stay:
        assert [cycle for cycle, _ in probes[name] if cycle < 4] == [0, 1, 2, 3]
        gaps = [later - earlier for (_, earlier), (_, later) in itertools.pairwise(probes[name])]
        assert max(abs(gap - SECOND) for gap in gaps) <= 2 * clock.schedule.tick
    gone = {f"device-{number}" for number in range(100)}
    assert not gone & {name for name, _, seen in clock.seen if seen > (at + 50) * MS}
    for number in range(333):
        cycles = [cycle for cycle, _ in probes[f"new-{number}"]]
        assert cycles == list(range(cycles[0], cycles[0] + len(cycles)))
        assert cycles[0] <= at // 1000 + 1


def test_a_reload_keeps_what_was_carried() -> None:
    """Probes that wait for room in a socket's buffer follow their devices, while those are there."""
    clock = Clock(200)
    due = clock.run(SECOND)[-1]
    rows = due.rows[:4]
    names = [clock.name(row) for row in rows.tolist()]
    clock.schedule.carry(rows, due.cycles[:4])
    clock.replace([name for name in reversed(clock.names) if name != names[0]])
    clock.now += 5 * MS
    again = clock.schedule.due(clock.now)
    assert sorted(clock.name(row) for row in again.rows[:3].tolist()) == sorted(names[1:])


def test_another_interval_begins_a_new_cycle() -> None:
    """No device is probed twice in a cycle when the interval changes, and each within the new one."""
    clock = Clock(300)
    clock.run(1500 * MS)
    former = clock.schedule.cycle
    clock.replace(clock.names, 2 * SECOND)
    clock.seen.clear()
    changed = clock.now = time.monotonic_ns()  # the schedule reads the clock itself when the interval changes
    dues = clock.run(changed + 6 * SECOND)
    assert not any(due.void for due in dues)
    for probes in clock.by_name().values():
        assert [cycle for cycle, _ in probes][:2] == [former + 1, former + 2]
        assert probes[0][1] - changed <= 2 * SECOND + clock.schedule.tick
        assert abs(probes[1][1] - probes[0][1] - 2 * SECOND) <= clock.schedule.tick
    assert len(clock.by_name()) == 301
