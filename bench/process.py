"""What a process costs, and what the kernel counts, read from /proc (proc(5))."""

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


@dataclass(frozen=True, slots=True)
class Window:
    """What happened in a second, on average: `cores` of 0.5 is half a core; `echo_requests` are the machine's."""

    cores: float
    echo_requests: float


def watch(pid: int, seconds: float) -> Window:
    """Watch a process over the next `seconds`."""
    before, sent_before = read(pid), echo_requests()
    time.sleep(seconds)
    after, sent_after = read(pid), echo_requests()
    wall = after.at - before.at
    return Window((after.cpu - before.cpu) / wall, (sent_after - sent_before) / wall)


def children(pid: int) -> list[int]:
    """The processes that it has started and that still run."""
    found = [
        int(word)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for word in (task / "children").read_text().split()
    ]
    return sorted(found)


def resident_megabytes(pid: int) -> float:
    """Memory that the process holds now, shared pages of libraries included; 1 MB = 10^6 bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES / 1e6


def echo_requests() -> int:
    """IPv4 echo requests that the kernel has sent for anyone since it started (RFC 2011, icmpOutEchos)."""
    lines = Path("/proc/net/snmp").read_text().splitlines()
    names, values = (line.split() for line in lines if line.startswith("Icmp: "))
    return int(values[names.index("OutEchos")])
