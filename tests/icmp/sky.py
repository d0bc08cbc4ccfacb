"""Probes under way without a network: a flight, a clock that a test sets, and packets made to measure."""

from __future__ import annotations

from typing import Any

import numpy as np

from exporter.icmp.arrivals import Arrivals
from exporter.icmp.flight import Flight, Matched, Outcomes
from exporter.icmp.packet import REASONS
from exporter.icmp.transport import NO_BLOCK

MS = 1_000_000
TIMEOUT = 100 * MS
IDENT = 0x4242
FORMER = 0x1111


class Sky:
    """A flight with one block of identifiers, a former one, and a clock that a test sets."""

    def __init__(self, capacity: int = 65_536) -> None:
        self.flight = Flight(capacity)
        self.block_of = np.full(65_536, NO_BLOCK, np.uint8)
        self.block_of[[IDENT, FORMER]] = 0
        self.now = 10_000 * MS
        self.cookies: dict[int, int] = {}
        self.addresses: dict[int, tuple[int, int]] = {}
        self.sent_at: dict[int, int] = {}

    def launch(self, rows: list[int], cycle: int = 1, ident: int = IDENT) -> list[int]:
        """Probes that have gone out, one a millisecond; their slots."""
        count = len(rows)
        high = np.array([row % 3 for row in rows], np.uint64)
        low = np.array([0xFFFF_0A00_0000 + row for row in rows], np.uint64)
        slots, cookies = self.flight.launch(np.array(rows, np.int32), np.full(count, cycle, np.int64), high, low)
        before = self.now
        self.now += count * MS
        self.flight.sent(slots, np.full(count, ident, np.uint16), before, self.now, TIMEOUT)
        for position, slot in enumerate(slots.tolist()):
            self.cookies[slot] = int(cookies[position])
            self.addresses[slot] = int(high[position]), int(low[position])
            self.sent_at[slot] = before + (position + 1) * MS
        return list(map(int, slots))

    def packet(self, slot: int, **wrong: Any) -> dict[str, Any]:
        """The right reply to a slot, with fields changed; `received` is a time, 0 for no stamp."""
        high, low = self.addresses[slot]
        return {
            "reason": 0,
            "ident": IDENT,
            "sequence": slot & 0xFFFF,
            "cookie": self.cookies[slot],
            "cookie_known": True,
            "high": high,
            "low": low,
            "ttl": 60,
            "received": self.now,
            **wrong,
        }

    def match(self, *packets: dict[str, Any]) -> Matched:
        columns = {name: [packet[name] for packet in packets] for name in packets[0]}
        kinds = {"reason": "u1", "ident": "u2", "sequence": "u2", "cookie": "u8", "cookie_known": "?"}
        kinds |= {"high": "u8", "low": "u8", "ttl": "u1"}
        arrays = {name: np.array(columns[name], kind) for name, kind in kinds.items()}
        received = np.array(columns["received"], np.int64)
        arrivals = Arrivals(**arrays, stamp=received)
        return self.flight.match(arrivals, self.block_of, received, self.now, TIMEOUT)

    def expire(self) -> tuple[Outcomes, Outcomes]:
        return self.flight.expire(self.now)


def reasons(outcomes: Outcomes) -> list[str]:
    return [REASONS[reason] for reason in outcomes.reasons]


#: Rows of replies, losses, late and duplicate replies; counts of foreign and invalid packets.
Told = tuple[list[int], list[int], list[int], list[int], int, int]


def told(matched: Matched) -> Told:
    rows = [part.tolist() for part in (matched.replies.rows, matched.losses.rows, matched.late, matched.duplicates)]
    return rows[0], rows[1], rows[2], rows[3], matched.foreign, matched.invalid
