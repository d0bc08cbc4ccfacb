"""The probe loop: one thread that sends what is due, takes in what has arrived, and passes the outcomes on.

Each device is probed once an interval, at its own phase of it. The loop wakes every few milliseconds and never
waits for a packet; receive stamps come from the kernel, so the RTT does not depend on when it wakes.
"""

from __future__ import annotations

import errno
import logging
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from exporter.errors import SocketPermissionError
from exporter.icmp.flight import Flight, Outcomes
from exporter.icmp.packet import REASON
from exporter.icmp.plan import PENDING, RESOLVED, UNRESOLVED, Plan
from exporter.icmp.schedule import Ints, Rows, Schedule
from exporter.icmp.sizing import Timing, slots_needed
from exporter.icmp.sockets import make_room
from exporter.icmp.transport import BATCH, Batch, Transport

log = logging.getLogger(__name__)
T = TypeVar("T")

NANO = 1_000_000_000
#: Identifiers change this often: a stateful firewall that has stuck on one must not make a device look down.
ROTATE_SECONDS = 300
#: The wall clock was stepped when it moves against the monotonic one by more than this.
_CLOCK_STEP = 50_000
#: Arrivals are read when this many probes have gone out, or this much time has passed, since the last reading.
_TAKE_IN_PACKETS = 256
_TAKE_IN_NS = 100_000_000

_REFUSALS = {
    errno.ENETUNREACH: REASON["net_unreachable"],
    errno.ENETDOWN: REASON["net_unreachable"],
    errno.EHOSTUNREACH: REASON["host_unreachable"],
    errno.EACCES: REASON["admin_prohibited"],
    errno.EMSGSIZE: REASON["fragmentation_needed"],
}


class Sink(Protocol):
    """Where outcomes go; called on the probe thread. Times are ns of CLOCK_MONOTONIC and seconds of Unix time."""

    def sending(self, rows: Rows, cycles: Ints) -> None: ...
    def skipped(self, first: int, end: int) -> None: ...
    def replies(self, outcomes: Outcomes, now: int, wall: float) -> None: ...
    def losses(self, outcomes: Outcomes, now: int, wall: float) -> None: ...
    def voids(self, outcomes: Outcomes) -> None: ...
    def late(self, rows: Rows) -> None: ...
    def duplicates(self, rows: Rows) -> None: ...
    def evaluate(self, now: int, wall: float) -> None: ...


@dataclass(slots=True)
class LoopStats:
    """What the loop knows of itself. Counters only grow; lag and busy cover the last whole cycles."""

    sent: int = 0
    received: int = 0
    foreign: int = 0
    invalid: int = 0
    void: int = 0
    drops: int = 0
    cycles: int = 0
    skipped_cycles: int = 0
    send_errors: Counter[str] = field(default_factory=Counter)
    #: Seconds that a send was behind its schedule at most, of each of the last minute's cycles.
    lags: deque[float] = field(default_factory=lambda: deque([0.0], maxlen=60))
    #: Seconds that the last cycle kept the loop busy.
    busy: float = 0.0


class Prober:
    """Probes `plan` until it is stopped; the parts it is given belong to its thread from `start` on."""

    def __init__(self, transports: Mapping[int, Transport], timing: Timing, plan: Plan, sink: Sink) -> None:
        self.stats = LoopStats()
        self.transports = transports
        self.heartbeat = time.monotonic()
        self.first_sweep_done = False
        self.failure: BaseException | None = None
        self._sink = sink
        self._plan = plan
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="prober", daemon=True)
        #: CLOCK_REALTIME minus CLOCK_MONOTONIC, in ns: now, and when arrivals were last taken in.
        self._offset = self._former_offset = time.time_ns() - time.monotonic_ns()
        self._timeout = int(timing.timeout * NANO)
        self._schedule = Schedule(plan.order, plan.phases, int(timing.interval * NANO))
        self._flight = Flight(slots_needed(plan.devices, timing))
        self._drops: dict[int, int] = {}
        self._ready_at = 0
        self._cycle_lag = self._cycle_busy = 0

    # The rest of the program speaks to the loop through these.

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the loop and close the sockets; returns when it has."""
        self._stopping.set()
        if self._thread.ident is None:
            self._end()
        else:
            self._thread.join()

    def call(self, function: Callable[[], T]) -> Future[T]:
        """Run a short function on the probe thread between two ticks, where nothing else touches the state.

        Once the loop has ended nothing does any more, and the function runs at once.
        """
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)

        self._calls.put(run)
        if self._ended:
            self._run_calls()
        return future

    def _run_calls(self) -> None:
        while True:
            try:
                run = self._calls.get_nowait()
            except queue.Empty:
                return
            run()

    def replace(self, plan: Plan, rows: Rows, sink: Sink, timing: Timing) -> None:
        """Go over to another inventory; `rows[old row]` is the new row, or -1. To be run by `call`.

        Probes under way stay so, unless the new inventory needs more room: then they are void. Raises
        SocketPermissionError, OSError when there is no such room; then the former inventory stays.
        """
        slots = max(self._flight.capacity, slots_needed(plan.devices, timing))
        flight = self._flight if slots == self._flight.capacity else Flight(slots)
        if flight is not self._flight:
            # From here on replies may find nobody, even if the room is not to be had in the end.
            self._flight.void_all()
        make_room(self.transports.values(), slots, plan, timing)
        if flight is not self._flight:
            self._void(self._flight.end_all())
            self._flight = flight
        self._flight.remap(rows)
        self._schedule.replace(plan.order, plan.phases, rows, int(timing.interval * NANO))
        self._timeout = int(timing.timeout * NANO)
        self._plan, self._sink = plan, sink
        self._ready_at = min(self._ready_at, time.monotonic_ns() + self._sweep())

    # The loop.

    def _sweep(self) -> int:
        """How long it takes until every device has been probed and its reply was waited for, in ns."""
        return self._schedule.interval + self._timeout + 2 * _TAKE_IN_NS

    def _run(self) -> None:
        try:
            self._loop()
        except BaseException as error:
            self.failure = error
            log.critical("the probe loop has failed", exc_info=error)
        finally:
            self._end()

    def _end(self) -> None:
        for transport in self.transports.values():
            transport.close()
        self._ended = True
        self._run_calls()

    def _loop(self) -> None:
        planned = time.monotonic_ns()
        self._schedule.start(planned)
        self._drops = {family: transport.drops() for family, transport in self.transports.items()}
        self._ready_at = planned + self._sweep()
        rotate = planned + ROTATE_SECONDS * NANO
        taken, taken_at = planned, 0
        while not self._stopping.is_set():
            start = time.monotonic_ns()
            self._run_calls()
            now = time.monotonic_ns()
            if now - planned > min(self._schedule.interval, self._timeout):
                # Held up: if the machine stood still, the replies of that time were not kept for us either.
                self._flight.void_all()
            self._sample_clock()
            # Stamps come from the kernel, so arrivals may wait until there are enough to be worth the work.
            if self.stats.sent - taken_at >= _TAKE_IN_PACKETS or start - taken >= _TAKE_IN_NS:
                taken, taken_at = start, self.stats.sent
                self._take_in()
            self._send()
            end = time.monotonic_ns()
            self._sink.evaluate(end, (end + self._offset) / NANO)
            if end >= rotate:
                rotate = end + ROTATE_SECONDS * NANO
                self._rotate()
            self.first_sweep_done = self.first_sweep_done or end >= self._ready_at
            end = time.monotonic_ns()
            self.heartbeat = end / NANO
            self._cycle_busy += end - start
            planned = max(planned + self._schedule.tick, end)
            time.sleep((planned - end) / NANO)

    def _sample_clock(self) -> None:
        before = time.monotonic_ns()
        offset = time.time_ns()
        after = time.monotonic_ns()
        offset -= (before + after) // 2
        # A thread switch between the readings looks like a step; the next tick reads again.
        if after - before < _CLOCK_STEP and abs(offset - self._offset) > _CLOCK_STEP:
            self._offset = offset

    def _rotate(self) -> None:
        for transport in self.transports.values():
            try:
                transport.rotate()
            except (OSError, SocketPermissionError) as error:
                log.warning("identifiers stay as they are: %s", error)

    def _take_in(self) -> None:
        now = time.monotonic_ns()
        stats, sink = self.stats, self._sink
        drops = 0
        families = {profile.family for profile in self._plan.profiles}
        for family, transport in self.transports.items():
            if family not in families:
                continue
            arrived = transport.receive()
            slots, stamps = transport.transmit_stamps()
            dropped = transport.drops()
            drops += dropped - self._drops[family]
            self._drops[family] = dropped
            # Again, so that no stamp is younger than what is known of the clock.
            self._sample_clock()
            after = time.monotonic_ns()
            if len(slots):
                self._flight.stamp(slots, self._monotonic(stamps, after), after)
            for arrivals in arrived:
                stats.received += len(arrivals.reason)
                # A packet without a stamp becomes one from before any probe was sent, which nothing accepts.
                matched = self._flight.match(
                    arrivals, transport.block_of, self._monotonic(arrivals.stamp, after), after, self._timeout
                )
                stats.foreign += matched.foreign
                stats.invalid += matched.invalid
                wall = (after + self._offset) / NANO
                if len(matched.replies.rows):
                    sink.replies(matched.replies, after, wall)
                if len(matched.losses.rows):
                    sink.losses(matched.losses, after, wall)
                if len(matched.late):
                    sink.late(matched.late)
                if len(matched.duplicates):
                    sink.duplicates(matched.duplicates)
        if drops:
            stats.drops += drops
            self._flight.void_all()
        self._former_offset = self._offset
        self._expire(now)

    def _monotonic(self, stamps: Ints, now: int) -> Ints:
        """Stamps of the kernel as CLOCK_MONOTONIC; some may be older than the last step of the wall clock."""
        if self._offset == self._former_offset:
            return stamps - self._offset
        latest = stamps - min(self._offset, self._former_offset)
        return np.where(latest <= now, latest, stamps - max(self._offset, self._former_offset))

    def _expire(self, now: int) -> None:
        losses, voids = self._flight.expire(now)
        if len(losses.rows):
            self._sink.losses(losses, now, (now + self._offset) / NANO)
        if len(voids.rows):
            self._void(voids)

    def _void(self, outcomes: Outcomes) -> None:
        self.stats.void += len(outcomes.rows)
        self._sink.voids(outcomes)

    # Sending.

    def _due(self) -> tuple[Rows, Ints]:
        due = self._schedule.due(time.monotonic_ns())
        self._cycle_lag = max(self._cycle_lag, due.behind - self._schedule.tick)
        if due.skipped or due.void:
            # The loop was held up for longer than an interval: whatever that concerns is void.
            self._flight.void_all()
            self.stats.skipped_cycles += due.skipped
            self.stats.void += due.void
            self._sink.skipped(self._schedule.cycle - due.skipped + 1, self._schedule.cycle + 1)
        if due.new_cycle:
            self.stats.cycles += 1
            self.stats.lags.append(self._cycle_lag / NANO)
            self.stats.busy = self._cycle_busy / NANO
            self._cycle_lag = self._cycle_busy = 0
        return due.rows, due.cycles

    def _send(self) -> None:
        rows, cycles = self._due()
        if not len(rows):
            return
        self._sink.sending(rows, cycles)
        state = self._plan.state[rows]
        if (state != RESOLVED).any():
            nameless = state == UNRESOLVED
            self._refuse(rows[nameless], cycles[nameless], REASON["dns"])
            waiting = state == PENDING
            if waiting.any():
                self._sink.voids(_outcomes(rows[waiting], cycles[waiting], 0))
            rows, cycles = rows[state == RESOLVED], cycles[state == RESOLVED]
        if len(self._plan.profiles) == 1:
            self._send_profile(0, rows, cycles)
            return
        profiles = self._plan.profile[rows]
        for number in np.unique(profiles):
            chosen = profiles == number
            self._send_profile(int(number), rows[chosen], cycles[chosen])

    def _send_profile(self, number: int, rows: Rows, cycles: Ints) -> None:
        plan = self._plan
        profile = plan.profiles[number]
        transport = self.transports.get(profile.family)
        if transport is None:
            self.stats.send_errors["EAFNOSUPPORT"] += len(rows)
            self._refuse(rows, cycles, REASON["send_error"])
            return
        while len(rows):
            chunk = rows[:BATCH]
            if self._flight.room() < len(chunk):
                break
            slots, cookies = self._flight.launch(chunk, cycles[:BATCH], plan.high[chunk], plan.low[chunk])
            before = time.monotonic_ns()
            sent = transport.send(Batch(profile, plan.names[chunk], slots, cookies))
            after = time.monotonic_ns()
            gone = slots[: sent.done]
            self._flight.sent(gone, transport.idents(gone >> 16), before, after, self._timeout)
            self.stats.sent += sent.done - len(sent.refused)
            if sent.refused:
                self._refused(slots, sent.refused)
            rows, cycles = rows[sent.done :], cycles[sent.done :]
            if sent.busy:
                self.stats.send_errors[errno.errorcode[sent.busy]] += 1
                break
        if len(rows):
            self._schedule.carry(rows, cycles)

    def _refused(self, slots: Ints, refused: list[tuple[int, int]]) -> None:
        """Sort refusals: those that speak of the route are losses, our own firewall's (EPERM) are void."""
        for code in {code for _, code in refused}:
            positions = [position for position, other in refused if other == code]
            self.stats.send_errors[errno.errorcode.get(code, str(code))] += len(positions)
            outcomes = self._flight.refuse(slots[positions])
            if code == errno.EPERM:
                self._void(outcomes)
            else:
                reason = _REFUSALS.get(code, REASON["send_error"])
                self._refuse(outcomes.rows, outcomes.cycles, reason)

    def _refuse(self, rows: Rows, cycles: Ints, reason: int) -> None:
        if len(rows):
            now = time.monotonic_ns()
            self._sink.losses(_outcomes(rows, cycles, reason), now, (now + self._offset) / NANO)


def _outcomes(rows: Rows, cycles: Ints, reason: int) -> Outcomes:
    count = len(rows)
    reasons: npt.NDArray[np.uint8] = np.full(count, reason, np.uint8)
    return Outcomes(rows, cycles, np.zeros(count), reasons, np.zeros(count, np.uint8))
