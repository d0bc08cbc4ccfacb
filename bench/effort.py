"""How much is measured."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Effort:
    """`runs` of each side, whose median counts; `seconds` of a window; `rounds` of probes for fping."""

    runs: int
    seconds: float
    rounds: int
    #: Seconds until a gauge over the last minute speaks of what the bench does now, and of nothing before.
    minute: float


FULL = Effort(runs=3, seconds=8, rounds=10, minute=62)
QUICK = Effort(runs=1, seconds=4, rounds=4, minute=15)
