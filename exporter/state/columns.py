"""What is known of each device: one numpy array a quantity, one element a device.

The probe thread alone writes them. Readers see each element whole; a counter that another one must not overtake
(replies and probes) is read before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from exporter.inventory.device import Device

UNKNOWN, UP, DOWN = range(3)

#: Upper bounds of the RTT histogram's buckets, in seconds; +Inf follows.
BUCKETS = (
    *(0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005),
    *(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
)

#: Every column by name. Those of CLOCK_MONOTONIC, in ns, are shifted when they are restored after a restart.
FIELDS: Mapping[str, str] = {
    "verdict": "u1",
    "up_streak": "i4",
    "loss_streak": "i4",
    "reason": "u1",
    "ttl": "u1",
    "flapping": "?",
    "shadowed": "?",
    "mass_outage": "?",
    "probes": "i8",
    "replies": "i8",
    "rtt_total": "f8",
    "late": "i8",
    "duplicates": "i8",
    "changes": "i8",
    "path_changes": "i8",
    "last_change": "f8",
    "last_reply": "f8",
    "down_at": "i8",
    "upstream_back": "i8",
    "mass_over": "i8",
}
MONOTONIC_FIELDS = ("down_at", "upstream_back", "mass_over")

Map = npt.NDArray[np.int32]


class Columns:
    """Columns for `count` rows: the devices, and the loop's reference behind them."""

    verdict: npt.NDArray[np.uint8]
    #: Consecutive replies, consecutive losses.
    up_streak: npt.NDArray[np.int32]
    loss_streak: npt.NDArray[np.int32]
    #: Why the last probe was lost; an index into `packet.REASONS`.
    reason: npt.NDArray[np.uint8]
    ttl: npt.NDArray[np.uint8]
    flapping: npt.NDArray[np.bool_]
    shadowed: npt.NDArray[np.bool_]
    mass_outage: npt.NDArray[np.bool_]
    #: Probes whose outcome is known; void ones never count.
    probes: npt.NDArray[np.int64]
    replies: npt.NDArray[np.int64]
    rtt_total: npt.NDArray[np.float64]
    late: npt.NDArray[np.int64]
    duplicates: npt.NDArray[np.int64]
    changes: npt.NDArray[np.int64]
    path_changes: npt.NDArray[np.int64]
    #: Unix time, 0 for never.
    last_change: npt.NDArray[np.float64]
    last_reply: npt.NDArray[np.float64]
    #: CLOCK_MONOTONIC ns, 0 for not.
    down_at: npt.NDArray[np.int64]
    upstream_back: npt.NDArray[np.int64]
    mass_over: npt.NDArray[np.int64]

    def __init__(self, devices: Sequence[Device]) -> None:
        self.count = len(devices) + 1
        for name, kind in FIELDS.items():
            setattr(self, name, np.zeros(self.count, kind))
        rows = [row for row, device in enumerate(devices) if device.histogram]
        #: Row of `histogram` for each device, -1 for none.
        self.histogram_row = np.full(self.count, -1, np.int32)
        self.histogram_row[rows] = np.arange(len(rows))
        self.histogram = np.zeros((len(rows), len(BUCKETS) + 1), np.int64)
        self.histogram_sum = np.zeros(len(rows))

    def copy_from(self, old: Columns, rows: Map) -> None:
        """Take over the rows of an earlier inventory: `rows[old row]` is the row here, or -1."""
        source = np.flatnonzero(rows >= 0)
        target = rows[source]
        for name in FIELDS:
            getattr(self, name)[target] = getattr(old, name)[source]
        both = (old.histogram_row[source] >= 0) & (self.histogram_row[target] >= 0)
        here, there = self.histogram_row[target[both]], old.histogram_row[source[both]]
        self.histogram[here] = old.histogram[there]
        self.histogram_sum[here] = old.histogram_sum[there]


def row_map(old: Sequence[Device], new: Sequence[Device]) -> Map:
    """Where each old row has gone: a device is the same while name and address are; the reference row moves too."""
    position = {(device.name, device.address): row for row, device in enumerate(new)}
    rows = [position.get((device.name, device.address), -1) for device in old]
    return np.array([*rows, len(new)], np.int32)
