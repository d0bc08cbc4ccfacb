"""Drives `Verdicts` as the probe loop does: one call a probe, or a whole round, on a clock of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from exporter.icmp.flight import Outcomes
from exporter.icmp.packet import REASON
from exporter.inventory.device import Device, Inventory, Site
from exporter.inventory.topology import Topology
from exporter.state.columns import DOWN, UNKNOWN, UP
from exporter.state.verdict import Rules, Verdicts

NANO = 1_000_000_000
NAMES = {UNKNOWN: "unknown", UP: "up", DOWN: "down"}
SHIPPED = Rules(down_after=3, up_after=2, window_cycles=60, flap_window=300.0)
#: Outcomes in a script: answered, lost, void.
REPLY, LOSS, VOID = "+", "-", "."


def device(name: str, **fields: Any) -> Device:
    """A device with an address of its own."""
    number = sum(map(ord, name)) % 250
    return Device(**{"name": name, "address": f"10.0.{len(name)}.{number}", **fields})


def outcomes(
    rows: Sequence[int],
    cycles: Sequence[int],
    rtts: Sequence[float] | None = None,
    reason: str = "",
    ttl: int = 0,
) -> Outcomes:
    count = len(rows)
    return Outcomes(
        np.array(rows, np.int32),
        np.array(cycles, np.int64),
        np.zeros(count) if rtts is None else np.array(rtts, float),
        np.full(count, REASON[reason], np.uint8),
        np.full(count, ttl, np.uint8),
    )


class Driver:
    """A clock in seconds, and a cycle; `play` plays one outcome a device and second."""

    def __init__(
        self,
        devices: Iterable[Device],
        sites: Iterable[Site] = (),
        rules: Rules = SHIPPED,
        *,
        start: float = 1000.0,
        wall: float = 1_700_000_000.0,
    ) -> None:
        self.inventory = Inventory(tuple(devices), {site.name: site for site in sites})
        self.topology = Topology(self.inventory)
        self.verdicts = Verdicts(self.inventory, self.topology, rules)
        self.row = {one.name: row for row, one in enumerate(self.inventory.devices)}
        self.clock = start
        #: Wall clock minus clock.
        self.ahead = wall - start
        self.cycle = 0

    @property
    def now(self) -> int:
        return round(self.clock * NANO)

    @property
    def wall(self) -> float:
        return self.clock + self.ahead

    def send(self, names: Iterable[str] | None = None) -> None:
        rows = [self.row[name] for name in (self.row if names is None else names)]
        self.verdicts.sending(np.array(rows, np.int32), np.full(len(rows), self.cycle))

    def reply(self, names: Sequence[str], rtt: float = 0.01, cycle: int | None = None, ttl: int = 64) -> None:
        cycles = [self.cycle if cycle is None else cycle] * len(names)
        found = outcomes([self.row[name] for name in names], cycles, [rtt] * len(names), ttl=ttl)
        self.verdicts.replies(found, self.now, self.wall)

    def lose(self, names: Sequence[str], reason: str = "timeout", cycle: int | None = None) -> None:
        cycles = [self.cycle if cycle is None else cycle] * len(names)
        found = outcomes([self.row[name] for name in names], cycles, reason=reason)
        self.verdicts.losses(found, self.now, self.wall)

    def evaluate(self) -> None:
        self.verdicts.evaluate(self.now, self.wall)

    def second(self, played: Mapping[str, str]) -> None:
        """One round: each of these devices has this outcome; then a second passes."""
        self.send(played)
        self.reply([name for name, outcome in played.items() if outcome == REPLY])
        self.lose([name for name, outcome in played.items() if outcome == LOSS])
        void = [self.row[name] for name, outcome in played.items() if outcome == VOID]
        self.verdicts.voids(outcomes(void, [self.cycle] * len(void)))
        self.evaluate()
        self.clock += 1
        self.cycle += 1

    def play(self, **scripts: str) -> None:
        """Round after round, the n-th letter of each device's script; `_` in a name stands for `-`."""
        for round_ in zip(*scripts.values(), strict=True):
            self.second(dict(zip((name.replace("_", "-") for name in scripts), round_, strict=True)))

    def settle(self, up: Iterable[str] = (), down: Iterable[str] = (), seconds: int = 3) -> None:
        """So many rounds with these devices answering and those not."""
        played = {**dict.fromkeys(up, REPLY), **dict.fromkeys(down, LOSS)}
        for _ in range(seconds):
            self.second(played)

    def wait(self, seconds: float) -> None:
        """Time passes, second by second, without probes."""
        end = self.clock + seconds
        while self.clock < end:
            self.clock = min(self.clock + 1, end)
            self.evaluate()

    def state(self, name: str) -> str:
        return NAMES[int(self.verdicts.columns.verdict[self.row[name]])]

    def value(self, column: str, name: str) -> float:
        return float(getattr(self.verdicts.columns, column)[self.row[name]])

    def suppressed(self, name: str) -> set[str]:
        """The reasons for which alerts about a device are noise."""
        row, columns = self.row[name], self.verdicts.columns
        flags = {
            "flapping": columns.flapping[row],
            "maintenance": self.verdicts.suppression.maintenance[row],
            "shadowed": columns.shadowed[row],
            "mass_outage": columns.mass_outage[row],
        }
        return {reason for reason, on in flags.items() if on}
