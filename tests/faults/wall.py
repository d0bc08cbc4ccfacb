"""A wall clock to step, for one exporter: see clock/sitecustomize.py, which its processes load.

No namespace has a CLOCK_REALTIME of its own, and the machine's is not ours to step.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping
from pathlib import Path

#: A step is written so long before it holds: nobody reads half of it.
_NOTICE = 50_000_000
CLOCK = Path(__file__).parent / "clock"


class WallClock:
    """How far an exporter's wall clock is ahead of the machine's; `path` is a file that they share."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ahead = 0
        path.write_bytes(bytes(24))

    @property
    def environment(self) -> Mapping[str, str]:
        """What an exporter is to be started with: the clock, and this very exporter."""
        return {"PYTHONPATH": f"{CLOCK}:{CLOCK.parents[2]}", "WARD_TEST_CLOCK": str(self._path)}

    def step(self, seconds: float) -> None:
        """Step it, by so much more than it is ahead already; returns when that holds."""
        former, self._ahead = self._ahead, self._ahead + int(seconds * 1e9)
        with self._path.open("r+b") as file:
            file.write(struct.pack("=qqq", former, time.time_ns() + _NOTICE, self._ahead))
        time.sleep(2 * _NOTICE / 1e9)

    def time(self) -> float:
        """What it says now."""
        return time.time() + self._ahead / 1e9
