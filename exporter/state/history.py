"""The last events: what went down or came up, began to flap, was cut off. The probe thread alone adds them."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

#: Events that are kept. A mass outage of a bank's whole network fits in once.
MOST = 1000

Flags = npt.NDArray[np.bool_]


class Event(NamedTuple):
    """`subject` is a device's name, a site's for `isolated` and `connected`, "" for a mass outage.

    `reason` is why the last probe was lost, for `down`; `lasted` the seconds that the state before had held, 0 if
    not known. Numbers only grow, across restarts too.
    """

    number: int
    at: float
    kind: str
    subject: str
    reason: str = ""
    lasted: float = 0.0


class History:
    """A ring of events."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=MOST)
        #: The same as JSON, made once: they are saved every second.
        self._lines: deque[str] = deque(maxlen=MOST)
        #: The number of the newest event.
        self.last = 0

    def add(self, at: float, kind: str, subject: str, reason: str = "", lasted: float = 0.0) -> None:
        self._append(Event(self.last + 1, at, kind, subject, reason, lasted))

    def restore(self, events: Iterable[Event]) -> None:
        """Of the last run; before anything is added."""
        for event in events:
            self._append(event)

    def _append(self, event: Event) -> None:
        self._lines.append(json.dumps(event))
        self._events.append(event)
        # Last: who sees the number finds the event.
        self.last = event.number

    def events(self) -> tuple[Event, ...]:
        """Oldest first. For any thread: the copy is made in one step of the interpreter."""
        return tuple(self._events)

    def lines(self) -> tuple[str, ...]:
        """`events` as JSON."""
        return tuple(self._lines)


class Consequences:
    """Tells a history what follows from verdicts: flapping, isolated sites, a mass outage.

    What is so at the first look is not told: after a restart or a reload it is no news.
    """

    def __init__(self, history: History, devices: Sequence[str], sites: Sequence[str]) -> None:
        self.history = history
        self._devices = devices
        self._sites = sites
        self._known: tuple[Flags, Flags, Flags] | None = None

    def notice(self, flapping: Flags, isolated: Flags, mass: bool, at: float) -> None:
        former, self._known = self._known, (flapping.copy(), isolated, np.array([mass]))
        if former is None:
            return
        kinds = (
            ("flapping", "steady", self._devices),
            ("isolated", "connected", self._sites),
            ("mass_outage", "mass_outage_over", ("",)),
        )
        for before, now, (begun, ended, subjects) in zip(former, self._known, kinds, strict=True):
            for row in np.flatnonzero(before != now).tolist():
                self.history.add(at, begun if now[row] else ended, subjects[row])
