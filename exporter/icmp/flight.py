"""The probes under way, and what has become of each.

A probe gets a number, counted without end; its slot is the number modulo the capacity. All times are nanoseconds of
CLOCK_MONOTONIC. A reply counts only if identifier, sequence, source address and cookie fit; each probe ends exactly
once: answered, lost with a reason, or void (nobody can tell whose fault it was).
"""

from __future__ import annotations

import os
from collections import deque
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from exporter.icmp.arrivals import Arrivals
from exporter.icmp.packet import REASON
from exporter.icmp.schedule import Ints, Rows
from exporter.icmp.transport import NO_BLOCK

_FREE, _WAITING, _ANSWERED, _ENDED, _ENDED_AND_ANSWERED = range(5)
_TIMEOUT = REASON["timeout"]
#: A transmit stamp further before its own send call than this belongs to some other packet.
_STAMP_SLACK = 1_000_000
_FOREVER = 2**63 - 1


class Outcomes(NamedTuple):
    """Ends of probes: device row, cycle, seconds (replies) or reason (losses) or neither (voids)."""

    rows: Rows
    cycles: Ints
    rtts: npt.NDArray[np.float64]
    reasons: npt.NDArray[np.uint8]
    ttls: npt.NDArray[np.uint8]

    def take(self, chosen: npt.NDArray[np.bool_]) -> Outcomes:
        return Outcomes(
            self.rows[chosen], self.cycles[chosen], self.rtts[chosen], self.reasons[chosen], self.ttls[chosen]
        )


class Matched(NamedTuple):
    """What a batch of arrivals meant; `late` and `duplicate` are device rows, the rest are counts."""

    replies: Outcomes
    losses: Outcomes
    late: Rows
    duplicates: Rows
    foreign: int
    invalid: int


class Flight:
    """Room for `capacity` probes, a power of two."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._mask = capacity - 1
        self._row = np.zeros(capacity, np.int32)
        self._cycle = np.zeros(capacity, np.int64)
        self._ident = np.zeros(capacity, np.uint16)
        self._cookie = np.zeros(capacity, np.uint64)
        self._high = np.zeros(capacity, np.uint64)
        self._low = np.zeros(capacity, np.uint64)
        self._sent = np.zeros(capacity, np.int64)
        #: When the call that sent a probe began; it may have been interrupted for long.
        self._called = np.zeros(capacity, np.int64)
        self._state = np.zeros(capacity, np.uint8)
        self._order = np.zeros(capacity, np.int32)
        self._next = 0
        self._void_below = 0
        #: (first number, end, deadline), in send order.
        self._batches: deque[tuple[int, int, int]] = deque()

    @property
    def waiting_since(self) -> int:
        """The number of the oldest probe whose end is still open."""
        return self._batches[0][0] if self._batches else self._next

    def room(self) -> int:
        return self.capacity - (self._next - self.waiting_since)

    def launch(
        self, rows: Rows, cycles: Ints, high: npt.NDArray[np.uint64], low: npt.NDArray[np.uint64]
    ) -> tuple[Ints, npt.NDArray[np.uint64]]:
        """Give probes their slots and cookies. They count as sent once `sent` says so. Needs room for them."""
        slots = (self._next + np.arange(len(rows))) & self._mask
        cookies = np.frombuffer(os.urandom(8 * len(rows)), np.uint64)
        self._row[slots] = rows
        self._cycle[slots] = cycles
        self._cookie[slots] = cookies
        self._high[slots] = high
        self._low[slots] = low
        self._state[slots] = _FREE
        return slots, cookies

    def sent(self, slots: Ints, idents: npt.NDArray[np.uint16], before: int, after: int, timeout: int) -> None:
        """Probes of the last launch have gone out between two times; their wait begins."""
        count = len(slots)
        if not count:
            return
        self._ident[slots] = idents
        self._called[slots] = before
        # Stands in for a transmit stamp that never comes.
        self._sent[slots] = before + (np.arange(1, count + 1) * (after - before)) // count
        self._state[slots] = _WAITING
        self._batches.append((self._next, self._next + count, after + timeout))
        self._next += count

    def refuse(self, slots: Ints) -> Outcomes:
        """Probes that the kernel would not send end here; the caller knows the reasons."""
        self._state[slots] = _ENDED
        return self._outcomes(slots)

    def stamp(self, slots: Ints, sent: Ints, now: int) -> None:
        """Transmit stamps of the kernel; a stamp that cannot be right is passed over."""
        fits = (sent >= self._called[slots] - _STAMP_SLACK) & (sent <= now) & (self._state[slots] == _WAITING)
        if not fits.all():
            slots, sent = slots[fits], sent[fits]
        self._sent[slots] = sent

    def match(
        self, arrivals: Arrivals, block_of: npt.NDArray[np.uint8], received: Ints, now: int, timeout: int
    ) -> Matched:
        """Tell what arrived; `received` is each packet's receive stamp, 0 where there is none."""
        block = block_of[arrivals.ident].astype(np.int64)
        slot = (block << 16) | arrivals.sequence
        known = (block != NO_BLOCK) & (slot < self.capacity)
        if not known.all():
            slot = np.where(known, slot, 0)
        known &= (self._state[slot] != _FREE) & (self._ident[slot] == arrivals.ident)
        error = arrivals.reason > 0
        fits = known & (self._high[slot] == arrivals.high) & (self._low[slot] == arrivals.low)
        fits &= (self._cookie[slot] == arrivals.cookie) | ~arrivals.cookie_known
        foreign = int((~known).sum())
        invalid = int((known & ~fits).sum())

        # Of several packets for one probe in the same batch the first one decides.
        index = np.arange(len(slot), dtype=np.int32)
        fitting = index[fits]
        slot = slot[fits]
        error = error[fits]
        self._order[slot[::-1]] = fitting[::-1]
        first = self._order[slot] == fitting
        state = self._state[slot]
        open_ = first & (state == _WAITING)

        stamps = received[fitting]
        sent = self._sent[slot]
        rtt = np.where((stamps >= sent) & (stamps <= now), stamps, now) - sent
        answered = open_ & ~error & (rtt <= timeout)
        too_late = open_ & ~error & (rtt > timeout)
        failed = open_ & error
        late = too_late | (first & (state == _ENDED) & ~error)

        self._state[slot[answered]] = _ANSWERED
        self._state[slot[failed]] = _ENDED
        self._state[slot[late]] = _ENDED_AND_ANSWERED
        if failed.any() and not first.all():
            late |= self._first_replies_after_errors(slot, ~first & ~error)
        duplicate = ~error & ~answered & ~late
        replies = self._outcomes(slot[answered], rtt[answered] / 1e9, arrivals.ttl[fitting[answered]])
        lost = failed | too_late
        losses = self._outcomes(
            slot[lost], reasons=np.where(error, arrivals.reason[fitting], _TIMEOUT).astype(np.uint8)[lost]
        )
        return Matched(replies, losses, self._live(slot[late]), self._live(slot[duplicate]), foreign, invalid)

    def _first_replies_after_errors(self, slot: Ints, replies: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Of `replies` behind the first packets of a batch: those that come first after an error ended the wait."""
        positions = np.flatnonzero(replies & (self._state[slot] == _ENDED)).astype(np.int32)
        slots = slot[positions]
        self._order[slots[::-1]] = positions[::-1]
        chosen = np.zeros(len(slot), np.bool_)
        chosen[positions[self._order[slots] == positions]] = True
        self._state[slot[chosen]] = _ENDED_AND_ANSWERED
        return chosen

    def expire(self, now: int) -> tuple[Outcomes, Outcomes]:
        """Losses and voids among the probes whose deadline has passed at `now`."""
        first = end = self.waiting_since
        while self._batches and self._batches[0][2] <= now:
            end = self._batches.popleft()[1]
        slots = np.arange(first, end) & self._mask
        waiting = self._state[slots] == _WAITING
        numbers = np.arange(first, end)[waiting]
        slots = slots[waiting]
        self._state[slots] = _ENDED
        void = numbers < self._void_below
        reasons = np.full(len(slots), _TIMEOUT, np.uint8)
        return self._outcomes(slots[~void], reasons=reasons[~void]), self._outcomes(slots[void])

    def void_all(self) -> None:
        """Whatever is under way now and stays unanswered is void: its replies may have been lost on our side."""
        self._void_below = self._next

    def end_all(self) -> Outcomes:
        """Whatever is under way ends here, void: nobody will listen any more."""
        self.void_all()
        return self.expire(_FOREVER)[1]

    def remap(self, rows: Rows) -> None:
        """The inventory has changed: `rows[old]` is a device's new row, -1 where it is gone."""
        self._row = np.where(self._row >= 0, rows[np.clip(self._row, 0, len(rows) - 1)], -1).astype(np.int32)

    def _live(self, slots: Ints) -> Rows:
        rows = self._row[slots]
        return rows[rows >= 0]

    def _outcomes(
        self,
        slots: Ints,
        rtts: npt.NDArray[np.float64] | None = None,
        ttls: npt.NDArray[np.uint8] | None = None,
        reasons: npt.NDArray[np.uint8] | None = None,
    ) -> Outcomes:
        rows = self._row[slots]
        cycles = self._cycle[slots]
        rtts = np.zeros(len(slots)) if rtts is None else rtts
        ttls = np.zeros(len(slots), np.uint8) if ttls is None else ttls
        reasons = np.zeros(len(slots), np.uint8) if reasons is None else reasons
        outcomes = Outcomes(rows, cycles, rtts, reasons, ttls)
        if len(rows) and rows.min() < 0:  # probes of devices that have left the inventory
            return outcomes.take(rows >= 0)
        return outcomes
