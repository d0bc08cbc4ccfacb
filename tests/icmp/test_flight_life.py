"""Each probe ends exactly once, whatever comes and in whatever order."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from exporter.icmp.flight import Outcomes
from exporter.icmp.packet import REASON
from tests.icmp.sky import MS, TIMEOUT, Sky


class Life(RuleBasedStateMachine):
    """Probes live and end in any order of events; a plain count keeps the books beside the flight."""

    CAPACITY = 32

    def __init__(self) -> None:
        super().__init__()
        self.sky = Sky(self.CAPACITY)
        self.launched = 0
        self.ended: Counter[int] = Counter()
        self.open: dict[int, int] = {}
        #: Slot of each probe whose slot is not used again yet, by the number that serves as its row.
        self.number_of_slot: dict[int, int] = {}

    def end(self, outcomes: Outcomes) -> None:
        self.ended.update(outcomes.rows.tolist())
        for number in outcomes.rows.tolist():
            self.open.pop(number, None)

    @precondition(lambda self: self.sky.flight.room() > 0)
    @rule(count=st.integers(1, 6), gap=st.integers(0, 30))
    def launch(self, count: int, gap: int) -> None:
        self.sky.now += gap * MS
        count = min(count, self.sky.flight.room())
        numbers = list(range(self.launched, self.launched + count))
        self.launched += count
        for number, slot in zip(numbers, self.sky.launch(numbers), strict=True):
            self.open[number] = slot
            self.number_of_slot[slot] = number

    @precondition(lambda self: self.number_of_slot)
    @rule(data=st.data())
    def arrive(self, data: st.DataObject) -> None:
        """A batch of right and wrong packets, for waiting and for ended probes."""
        slots = sorted(self.number_of_slot)
        draws = st.tuples(
            st.sampled_from(slots), st.sampled_from(["reply", "error", "cookie", "source", "late", "short"])
        )
        packets = []
        for slot, kind in data.draw(st.lists(draws, min_size=1, max_size=12)):
            changes: dict[str, dict[str, Any]] = {
                "reply": {"received": self.sky.sent_at[slot]},
                "error": {"reason": REASON["host_unreachable"]},
                "cookie": {"cookie": self.sky.cookies[slot] ^ 1},
                "source": {"low": 1},
                "late": {"received": self.sky.sent_at[slot] + TIMEOUT + 1},
                "short": {"reason": REASON["ttl_exceeded"], "cookie_known": False, "cookie": 0},
            }
            packets.append((slot, kind, self.sky.packet(slot, **changes[kind])))
        waiting = set(self.open)
        matched = self.sky.match(*(packet for _, _, packet in packets))
        self.end(matched.replies)
        self.end(matched.losses)
        touched = {self.number_of_slot[slot] for slot, kind, _ in packets if kind not in ("cookie", "source")}
        assert set(matched.replies.rows.tolist() + matched.losses.rows.tolist()) == touched & waiting
        honest = [self.number_of_slot[slot] for slot, kind, _ in packets if kind in ("reply", "late")]
        counted = Counter([*matched.replies.rows.tolist(), *matched.late.tolist(), *matched.duplicates.tolist()])
        assert counted == Counter(honest)
        assert matched.invalid == sum(kind in ("cookie", "source") for _, kind, _ in packets)

    @rule(gap=st.integers(0, 120))
    def expire(self, gap: int) -> None:
        self.sky.now += gap * MS
        for outcomes in self.sky.expire():
            self.end(outcomes)

    @rule()
    def void(self) -> None:
        self.sky.flight.void_all()

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def stamp(self, data: st.DataObject) -> None:
        slot = data.draw(st.sampled_from(sorted(self.open.values())))
        shift = data.draw(st.integers(-100, 100))
        self.sky.flight.stamp(np.array([slot]), np.array([self.sky.sent_at[slot] + shift * MS]), self.sky.now)
        # What the flight took for the time of sending decides what is late.
        self.sky.sent_at[slot] = int(self.sky.flight._sent[slot])

    @invariant()
    def each_probe_ends_once(self) -> None:
        assert not self.ended or max(self.ended.values()) == 1
        assert set(self.ended) | set(self.open) == set(range(self.launched))
        assert not set(self.ended) & set(self.open)

    def teardown(self) -> None:
        self.sky.now += 2 * TIMEOUT
        for outcomes in self.sky.expire():
            self.end(outcomes)
        assert self.ended == Counter(range(self.launched))


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
