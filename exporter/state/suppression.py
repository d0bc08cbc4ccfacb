"""Which devices an alert would be noise about, and why: shadowed, mass outage, maintenance.

Suppression must neither end an alert that is out nor start one by its own end. So `shadowed` and `mass_outage`
are decided when a device goes down or soon after, and hold for that outage: until the device is up again, or for a
grace time past the return of what it is reached through.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from exporter.inventory.device import Device, Inventory
from exporter.inventory.topology import Topology
from exporter.state.columns import DOWN, Columns

NANO = 1_000_000_000
#: A cause that is seen to fail this long after a device still explains it.
DECIDE_NS = 10 * NANO
#: How long a device may take to come back after its cause has.
GRACE_NS = 30 * NANO
#: Below this many devices, more than half of them down says nothing about our own side.
MASS_MINIMUM = 10

Flags = npt.NDArray[np.bool_]


class Suppression:
    """Keeps the flags of `columns` true to the topology; all on the probe thread."""

    def __init__(self, inventory: Inventory, topology: Topology, columns: Columns) -> None:
        self._columns = columns
        self._topology = topology
        self._devices = len(inventory.devices)
        self._probed = len(inventory.probed)
        self.mass_outage = False
        self.isolated: Flags = np.zeros(len(topology.site_names), np.bool_)
        self.maintenance: Flags = np.zeros(self._devices, np.bool_)
        self._windows = _windows(inventory.devices)

    def evaluate(self, now: int, wall: float) -> None:
        """Bring everything up to date; `now` in ns of CLOCK_MONOTONIC, `wall` in Unix seconds."""
        columns, count = self._columns, self._devices
        all_down = columns.verdict[: self._probed] == DOWN
        down = all_down[:count]
        self.isolated = self._topology.isolated_sites(all_down)
        self.mass_outage = count >= MASS_MINIMUM and 2 * int(down.sum()) > count
        young = down & (now - columns.down_at[:count] <= DECIDE_NS)
        _hold(
            columns.shadowed[:count],
            columns.upstream_back[:count],
            self._topology.unreachable(all_down),
            (down, young),
            now,
        )
        mass = np.full(count, self.mass_outage)
        _hold(columns.mass_outage[:count], columns.mass_over[:count], mass, (down, young), now)
        rows, starts, ends = self._windows
        maintenance = np.zeros(count, np.bool_)
        maintenance[rows[(starts <= wall) & (wall < ends)]] = True
        self.maintenance = maintenance


def _hold(flags: Flags, over: npt.NDArray[np.int64], cause: Flags, state: tuple[Flags, Flags], now: int) -> None:
    """Set the flag of young outages that have the cause; clear it when the device is up or the cause long over."""
    down, young = state
    flags |= young & cause
    flags &= down
    ended = flags & ~cause
    over[~ended] = 0
    over[ended & (over == 0)] = now
    expired = ended & (now - over > GRACE_NS)
    flags[expired] = False


def _windows(
    devices: Sequence[Device],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Row, start and end (Unix time) of every maintenance window; a device's own hold its site's too."""
    found = [
        (row, window.start.timestamp(), window.end.timestamp())
        for row, device in enumerate(devices)
        for window in device.maintenance
    ]
    rows = np.array([row for row, _, _ in found], np.int64)
    return rows, np.array([start for _, start, _ in found]), np.array([end for _, _, end in found])
