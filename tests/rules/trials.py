"""What every alert about a device, a site or a provider has to go through, whatever it is about."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tests.rules.world import (
    EXPORTER,
    STALE,
    STEP,
    Alert,
    Case,
    Course,
    Device,
    Series,
    Text,
    leaving,
    scraped,
    unseen,
)

REASONS = ("flapping", "maintenance", "shadowed", "mass_outage")
#: `keep_firing_for` of these rules, in seconds.
KEPT = 10
#: Some of them remember a suppression for 15 s; its last sample is 5 s older than its end.
REMEMBERED = 10
#: Seconds for which a sample counts that no other and no stale marker follows.
LOOKBACK = 300
Suppressed = Mapping[str, Course]
#: What it shows, the series, and what fires when.
Trial = tuple[str, Sequence[Series], Mapping[int, Sequence[Alert]]]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is wrong from some second on, and the alert that fires therefore at second `fires`."""

    name: str
    alert: Alert
    #: The series, if it ends at some second (or never), and what it is about is suppressed.
    says: Callable[[int | None, Suppressed], Sequence[Series]]
    fires: int
    #: Likewise, but at the limit or just below, or with something else by which it is no such trouble.
    never: Mapping[str, Sequence[Series]]
    #: Likewise, and just above the limit: it fires by then.
    enough: Mapping[str, Sequence[Series]]
    summary: str
    description: str
    #: The description while the exporter is silent.
    held: str
    dashboard: str
    #: What suppresses this alert.
    reasons: Sequence[str] = REASONS
    #: `for` of the rule.
    waits: int = 0
    #: Seconds for which a suppression counts after the last scrape but one that told of it.
    remembers: int = 0
    #: Whether it fires with the trouble's first sample.
    at_once: bool = False
    #: Narrows the alerts that are looked at.
    matching: str = 'alertname!=""'
    step: int = STEP

    def cases(self) -> Iterator[Case]:
        for title, series, fires in self._trials():
            yield Case(f"{self.name} {title}", series, fires, matching=self.matching, step=self.step)

    def text(self, world: str, *also: Trouble) -> Case:
        """What the alert says, and says while the exporter is silent, and so do others that fire with it."""
        return Case(
            f"the text of {self.name}",
            scraped(self.says(None, {}), (self.after(2), self.after(4))),
            texts=[
                Text(second, one.alert, one.summary, words, one.dashboard)
                for one in (self, *also)
                for second, words in ((self.fires, one.description), (self.after(2), one.held))
            ],
            world=world,
            step=self.step,
        )

    def after(self, steps: int) -> int:
        return self.fires + steps * self.step

    def ended(self, second: int) -> int:
        """When an alert is over whose condition is false from that second on: it is kept for 10 s."""
        return second + -(-KEPT // self.step) * self.step

    def _trials(self) -> Iterator[Trial]:
        fires, after, on, off = self.fires, self.after, [self.alert], list[Alert]()
        yield (
            "fires in time and ends with the trouble",
            scraped(self.says(after(12), {})),
            {after(-1): off, fires: on, self.ended(after(11)): on, self.ended(after(12)): off},
        )
        for miss, series in self.never.items():
            yield f"is silent: {miss}", scraped(series), {fires: off, after(6): off}
        for title, series in self.enough.items():
            yield f"fires: {title}", scraped(series), {fires: on, after(6): on}
        if self.waits:
            yield (
                "is silent: over before the wait is",
                scraped(self.says(fires, {})),
                {after(-1): off, fires: off, after(1): off},
            )
        yield from self._without_scrapes()
        yield from self._suppressed()
        # The same names at a second exporter, which suppresses and falls silent, are nothing to the first.
        twin = self.says(None, {"maintenance": 1}) if self.reasons else next(iter(self.never.values()))
        twin = [replace(one, labels={**one.labels, "instance": "second:9841"}) for one in twin]
        yield (
            "is of one exporter alone",
            [*scraped(self.says(after(4), {})), *scraped(twin, (after(2), after(12)))],
            {fires: on, self.ended(after(3)): on, self.ended(after(4)): off, self.ended(after(5)): off},
        )

    def _without_scrapes(self) -> Iterator[Trial]:
        fires, after, on, off = self.fires, self.after, [self.alert], list[Alert]()
        # It speaks after a minute, and the trouble is still there; after the second silence it is not.
        yield (
            "goes on while the exporter is silent, and ends when it says so",
            scraped(self.says(after(20), {}), (after(1), after(13)), (after(15), after(20))),
            {
                **dict.fromkeys((after(1), after(12), after(13), after(15), after(19)), on),
                self.ended(after(20)): off,
            },
        )
        silent = fires if self.at_once else after(-1)
        yield (
            "is not started by the exporter's silence",
            scraped(self.says(None, {}), (silent, after(6))),
            {silent: off, fires: off, after(5): off},
        )
        if after(13) - after(1) < LOOKBACK:
            yield (
                "goes on over a gap in which nobody scraped",
                unseen(scraped(self.says(None, {})), after(1), after(13)),
                {after(1): on, after(12): on, after(13): on},
            )
        yield (
            "ends when what it is about leaves the inventory",
            scraped([*leaving(self.says(None, {}), after(4)), *Device("stays").series()]),
            {self.ended(after(3)): on, self.ended(after(4)): off},
        )

    def _suppressed(self) -> Iterator[Trial]:
        fires, after, on, off = self.fires, self.after, [self.alert], list[Alert]()
        for reason in REASONS:
            counts = reason in self.reasons
            yield (
                f"{'is silent: ' if counts else 'fires, even if '}{reason}",
                scraped(self.says(None, {reason: 1})),
                {fires: off if counts else on, after(6): off if counts else on},
            )
        if "maintenance" in self.reasons:
            again = after(8) + self.remembers + self.waits
            yield (
                "ends and returns with a suppression",
                scraped(self.says(None, {"maintenance": {after(2): 1, after(8): STALE}})),
                {
                    self.ended(after(1)): on,
                    self.ended(after(2)): off,
                    again - self.step: off,
                    # Whether a range of 15 s holds its first moment depends on the program.
                    again + self.step if self.remembers else again: on,
                },
            )


def labelled(name: str, severity: str, **labels: str) -> Alert:
    """An alert about no device."""
    found = {"job": "ward-exporter", "instance": EXPORTER, "severity": severity, **labels}
    return Alert(name, {label: value for label, value in found.items() if value})
