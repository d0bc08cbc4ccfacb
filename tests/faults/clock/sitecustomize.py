"""A wall clock that a test steps, in an exporter started with this folder in PYTHONPATH: see tests/faults/wall.py.

What Python reads as CLOCK_REALTIME and what the kernel stamps packets with is stepped as soon as it is read; the
machine's own clock, which is everybody's, stays as it is.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
import time
from pathlib import Path
from typing import Any


def install(path: Path) -> None:
    with path.open("r+b") as file:
        shared = mmap.mmap(file.fileno(), 24)
    real_ns = time.time_ns

    def ahead(at: int) -> int:
        """How far the wall clock is ahead at a time of the machine's own clock, in ns."""
        former, step_at, now = struct.unpack_from("=qqq", shared)
        return int(now if at >= step_at else former)

    def time_ns() -> int:
        now = real_ns()
        return now + ahead(now)

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9
    # The exporter's own process alone has packets with stamps; sys.argv is not there yet.
    if "serve" in sys.orig_argv:
        step_stamps(shared)


def step_stamps(shared: mmap.mmap) -> None:
    # As the exporter does before it loads it: no thread of a library may be older than the loss of capabilities.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    import numpy as np

    from exporter.icmp.transport import KernelTransport

    def stepped(stamps: Any) -> Any:
        former, step_at, now = struct.unpack_from("=qqq", shared)
        return np.where(stamps > 0, stamps + np.where(stamps >= step_at, now, former), stamps)

    receive, transmit_stamps = KernelTransport.receive, KernelTransport.transmit_stamps

    def stepped_receive(self: KernelTransport) -> Any:
        return [arrivals._replace(stamp=stepped(arrivals.stamp)) for arrivals in receive(self)]

    def stepped_transmit_stamps(self: KernelTransport) -> Any:
        slots, stamps = transmit_stamps(self)
        return slots, stepped(stamps)

    # What the kernel would do; nothing in the exporter knows of it.
    KernelTransport.receive = stepped_receive  # type: ignore[method-assign]
    KernelTransport.transmit_stamps = stepped_transmit_stamps  # type: ignore[method-assign]


if "WARD_TEST_CLOCK" in os.environ:
    install(Path(os.environ["WARD_TEST_CLOCK"]))
