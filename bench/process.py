"""What a process costs, read from /proc (proc(5))."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Reading:
    """Process-wide CPU (user and system, all threads) up to a moment of the monotonic clock; seconds."""

    cpu: float
    at: float


def read(pid: int) -> Reading:
    """CPU so far; resolution is the kernel's tick, 10 ms."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    # The name, second field, may hold spaces and brackets; utime and stime are fields 14 and 15.
    fields = stat.rpartition(")")[2].split()
    return Reading((int(fields[11]) + int(fields[12])) * TICK_SECONDS, time.monotonic())


def cores(pid: int, seconds: float) -> float:
    """The share of one core that the process takes over the next `seconds`; 0.5 is half a core."""
    before = read(pid)
    time.sleep(seconds)
    after = read(pid)
    return (after.cpu - before.cpu) / (after.at - before.at)


def resident_megabytes(pid: int) -> float:
    """Memory that the process holds now, shared pages of libraries included; 1 MB = 10^6 bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES / 1e6
