"""What was done to the network, what the exporter said of it, and where the two differ."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterable
from typing import Protocol

#: After the end of an outage its device may be down, and its last losses untold, for so many seconds.
SLACK = 8.0
_UP = "ward_device_up"
_CHANGES = "ward_device_status_changes_total"
_PROBES, _REPLIES = "ward_device_probes_sent_total", "ward_device_replies_total"


class Scrape(Protocol):
    """One page."""

    def by_device(self, name: str) -> dict[str, float]: ...
    def total(self, name: str) -> float: ...


class Ledger:
    """Outages by device, and what each scrape said; times are those of the monotonic clock.

    The network loses nothing but by an outage. So each loss outside of one is a false loss, each verdict "down"
    outside of one is invented, and in the end each outage must have made two changes of verdict.
    """

    def __init__(self, devices: Iterable[str]) -> None:
        self._windows: dict[str, list[list[float]]] = {name: [] for name in devices}
        self._expected: Counter[str] = Counter()
        #: Changes at the first scrape and at the last.
        self._first: dict[str, float] = {}
        self._last: dict[str, float] = {}
        #: Losses that were told in each scrape since a device's last outage.
        self._told: dict[str, list[float]] = {name: [] for name in self._windows}
        self._lock = threading.Lock()
        self.scrapes = 0
        self.probes = 0.0
        self.false_losses = 0.0
        self.lags: list[float] = []
        #: Until then the page tells the lag of a standstill.
        self.stood_until = -math.inf
        #: Devices that were down, or not there, without an outage.
        self.seen_down: list[str] = []

    @property
    def outages(self) -> int:
        return self._expected.total() // 2

    def begins(self, names: Iterable[str], now: float) -> None:
        """An outage that is long enough for a verdict; to be told before it begins."""
        with self._lock:
            for name in names:
                self._windows[name].append([now, math.inf])
                self._expected[name] += 2

    def ends(self, names: Iterable[str], now: float) -> None:
        """To be told once it is over."""
        with self._lock:
            for name in names:
                self._windows[name][-1][1] = now + SLACK

    def read(self, page: Scrape, asked: float, answered: float) -> None:
        """Compare a page, asked for and answered at these times, with the outages."""
        up, changes = page.by_device(_UP), page.by_device(_CHANGES)
        probes, replies = page.by_device(_PROBES), page.by_device(_REPLIES)
        with self._lock:
            self.scrapes += 1
            if asked > self.stood_until:
                self.lags.append(page.total("ward_probe_cycle_lag_seconds"))
            self._first = self._first or changes
            self._last = changes
            self.probes = sum(probes.values())
            for name in self._windows:
                if self._in_outage(name, asked, answered):
                    self._settle(name)
                    continue
                if up.get(name) != 1:
                    self.seen_down.append(name)
                self._told[name].append(probes.get(name, 0.0) - replies.get(name, 0.0))

    def close(self) -> None:
        """No page comes any more."""
        for name in self._windows:
            self._settle(name)

    def _in_outage(self, name: str, asked: float, answered: float) -> bool:
        return any(begin <= answered and asked <= end for begin, end in self._windows[name])

    def _settle(self, name: str) -> None:
        told = self._told[name]
        # A page may be rendered between the counting of a probe and that of its reply: the lesser of two is true.
        if len(told) >= 3:
            self.false_losses += max(0.0, min(told[-2:]) - min(told[:2]))
        told.clear()

    @property
    def missed(self) -> float:
        """Outages without their two changes."""
        return sum(-min(0.0, surplus) / 2 for surplus in self._surplus())

    @property
    def invented(self) -> float:
        """Changes without an outage, in pairs, and devices that a page had down for no reason."""
        return sum(max(0.0, surplus) / 2 for surplus in self._surplus()) + len(self.seen_down)

    def _surplus(self) -> list[float]:
        """Changes of each device, beyond those that its outages make."""
        return [
            self._last.get(name, 0.0) - self._first.get(name, 0.0) - self._expected[name] for name in self._windows
        ]
