"""Outages that a test plays on the simulated network, and what the exporter may then show, moment by moment.

The network's own clock says when each step was taken. Between the earliest and the latest moment at which a
verdict can fall, either value is right; outside of these margins there is one, for every device and every scrape.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from tests.simnet import Event, Simnet
from tests.stack.branches import Branch

#: What the README promises, from the cut of a link to the verdict, in seconds.
PROMISED_DOWN = 4.5
#: For a machine that runs seven servers on two cores besides.
SCHEDULING = 0.5
#: The third loss in a row cannot be known before two intervals have passed, nor the second reply before one has;
#: half of one is for a probe that left late, so that the next one follows sooner.
EARLIEST_DOWN, EARLIEST_UP = 1.5, 0.5
#: Two intervals, and the slowest reply.
LATEST_UP = 2.2
#: Shorter than this, an outage cannot swallow three probes.
UNSEEN = 2.0
#: The exporter looks at sites once a second, and soon after a verdict.
CONSEQUENCES = 1.2


class Outage(NamedTuple):
    """A device is silent, or an ICMP error answers for it, from `start` to `end`; seconds of any one clock."""

    device: str
    start: float
    end: float = math.inf
    error: str = ""

    @property
    def reason(self) -> str:
        return self.error or "timeout"


class Step(NamedTuple):
    """What is done to a device, `at` seconds after the start: silence, an ICMP error, a new TTL, or neither."""

    at: float
    device: str
    silent: bool = False
    error: str = ""
    ttl: int = 64

    @property
    def breaks(self) -> bool:
        return self.silent or bool(self.error)


class Moment(NamedTuple):
    """The time in which a page was rendered; Unix seconds."""

    start: float
    end: float


def steps(outages: Sequence[Outage]) -> list[Step]:
    """Starts and ends of outages."""
    starts = [Step(one.start, one.device, silent=not one.error, error=one.error) for one in outages]
    return starts + [Step(one.end, one.device) for one in outages if one.end < math.inf]


def play(net: Simnet, devices: Mapping[str, Branch], script: Sequence[Step]) -> list[Event]:
    """Take each step in its time; returns what the network says of when that was, a step each."""
    start, before = time.monotonic(), len(net.events())
    pause = threading.Event()
    for step in script:
        device = devices[step.device]
        pause.wait(max(0.0, start + step.at - time.monotonic()))
        if step.silent:
            net.cut(device.address)
        else:
            net.set(device.address, latency=device.latency, loss=device.loss, error=step.error, ttl=step.ttl)
    events = net.events()[before:]
    assert [event.target for event in events] == [devices[step.device].address for step in script]
    return events


def as_played(script: Sequence[Step], events: Sequence[Event]) -> list[Outage]:
    """The outages of a script at the times, in Unix seconds, at which they were."""
    found: dict[str, list[Outage]] = {}
    for step, event in zip(script, events, strict=True):
        outages = found.setdefault(step.device, [])
        if outages and outages[-1].end == math.inf:
            outages[-1] = outages[-1]._replace(end=event.time)
        if step.breaks:
            outages.append(Outage(step.device, event.time, error=step.error))
    return [outage for outages in found.values() for outage in outages]


@dataclass(frozen=True)
class Expected:
    """What may be shown at a moment: True, False, or None where both are right."""

    devices: Sequence[Branch]
    outages: Sequence[Outage]

    @cached_property
    def _visible(self) -> dict[str, list[Outage]]:
        """The outages that are long enough for a verdict, by device."""
        found: dict[str, list[Outage]] = {}
        for outage in self.outages:
            if outage.end - outage.start >= UNSEEN:
                found.setdefault(outage.device, []).append(outage)
        return found

    @property
    def fallen(self) -> set[str]:
        """The devices that go down at all."""
        return set(self._visible)

    @cached_property
    def _links(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for device in self.devices:
            if device.role == "isp":
                found.setdefault(device.site, []).append(device.name)
        return found

    def down(self, device: str, at: Moment) -> bool | None:
        """Whether the device is down."""
        for outage in self._visible.get(device, ()):
            latest = outage.start + PROMISED_DOWN + SCHEDULING
            if latest <= at.start and at.end <= outage.end + EARLIEST_UP:
                return True
            if outage.start + EARLIEST_DOWN < at.end and at.start < outage.end + LATEST_UP + SCHEDULING:
                return None
        return False

    def changes(self, device: str, at: Moment) -> tuple[int, int]:
        """How many changes of verdict there have been: surely, and at most."""
        sure = possible = 0
        for outage in self._visible.get(device, ()):
            sure += outage.start + PROMISED_DOWN + SCHEDULING <= at.start
            sure += outage.end + LATEST_UP + SCHEDULING <= at.start
            possible += outage.start + EARLIEST_DOWN < at.end
            possible += outage.end + EARLIEST_UP < at.end
        return sure, possible

    def last_change(self, device: str) -> Moment:
        """When the verdict of a fallen device has changed for the last time, once the script is over."""
        last = self._visible[device][-1]
        if last.end < math.inf:
            return Moment(last.end + EARLIEST_UP, last.end + LATEST_UP + SCHEDULING)
        return Moment(last.start + EARLIEST_DOWN, last.start + PROMISED_DOWN + SCHEDULING)

    def flapping(self, device: Branch, at: Moment) -> bool | None:
        """Whether the device flaps, for a script that is no longer than the flap window."""
        sure, possible = self.changes(device.name, at)
        if sure >= device.flap_changes:
            return True
        return None if possible >= device.flap_changes else False

    def isolated(self, site: str, at: Moment) -> bool | None:
        """Whether all ISP links of the site are down."""
        return self._all_down(self._links.get(site, []), at)

    def shadowed(self, device: Branch, at: Moment) -> bool | None:
        """Whether the device is down together with all that it is reached through."""
        if device.role == "isp":
            return False
        upstream = [device.parent] if device.parent else self._links.get(device.site, [])
        return self._all_down([device.name, *upstream], at) if upstream else False

    def _all_down(self, names: Sequence[str], at: Moment) -> bool | None:
        """True and False only where it has been so for long enough to have had its consequences."""
        now = [self.down(name, at) for name in names]
        before = [self.down(name, Moment(at.start - CONSEQUENCES, at.start)) for name in names]
        if names and all(now) and all(before):
            return True
        return False if (False, False) in zip(now, before, strict=True) or not names else None
