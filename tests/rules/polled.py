"""Devices that are polled by SNMP, and what every alert about what they answer has to go through."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tests.rules.trials import Suppressed
from tests.rules.world import STALE, WELL, Alert, Case, Course, Device, Series, Text, Value, now, scraped, unseen

#: One scrape of what the polls have brought, and one evaluation, to keep it simple.
MINUTE = 60
START = 300
SCRAPES = "ward-exporter-snmp"
#: What is said of polling itself, and goes on while a device does not answer.
POLLING = ("ward_snmp_up", "ward_snmp_partial", "ward_snmp_last_poll_timestamp_seconds")


@dataclass(frozen=True, slots=True)
class Polled:
    """A device of the inventory that is polled by SNMP; it answers well unless told otherwise."""

    device: Device

    @property
    def labels(self) -> dict[str, str]:
        labels = {name: text for name, text in self.device.labels.items() if name != "address"}
        return labels | {"job": SCRAPES}

    def series(self, suppressed: Suppressed | None = None, **courses: Course) -> list[Series]:
        """Its verdict, how polling goes, and all further courses by their metric."""
        verdict = {
            name.removeprefix("ward_device_"): courses.pop(name)
            for name in ("ward_device_up", "ward_device_last_change_timestamp_seconds")
            if name in courses
        }
        needed = ("up", "last_change_timestamp_seconds", "suppressed")
        pinged = [
            one
            for one in self.device.series(suppressed, **verdict)
            if one.name.removeprefix("ward_device_") in needed
        ]
        well: dict[str, Value] = dict(zip(POLLING, (1, 0, now), strict=True))
        return [*pinged, *told(self.labels, well, courses)]


@dataclass(frozen=True, slots=True)
class Port:
    """An interface of such a device: up, at 100 Mbit/s, and idle unless told otherwise."""

    device: Device
    index: int = 5
    name: str = "Gi0/5"
    alias: str = "to the vault"
    described: str = "GigabitEthernet0/5"

    @property
    def labels(self) -> dict[str, str]:
        names = {"ifAlias": self.alias, "ifDescr": self.described, "ifName": self.name}
        found = {**Polled(self.device).labels, "ifIndex": str(self.index), **names}
        return {name: text for name, text in found.items() if text}

    def series(self, needs: Sequence[str], **courses: Course) -> list[Series]:
        """The metrics in `needs`, and all those in `courses`."""
        well: dict[str, Value] = {
            "ifAdminStatus": 1,
            "ifOperStatus": 1,
            "ifLastChange": 7_000,
            "ifHighSpeed": 100,
            "ifHCInOctets": 0,
            "ifHCOutOctets": 0,
            "ifHCInUcastPkts": lambda second: 100 * second,
            "ifHCOutUcastPkts": lambda second: 100 * second,
            "ifInErrors": 0,
            "ifOutErrors": 0,
            "ifInDiscards": 0,
            "ifOutDiscards": 0,
        }
        return told(self.labels, {name: well[name] for name in (*needs, *courses) if name in well}, courses)


def told(labels: Mapping[str, str], well: Mapping[str, Value], courses: Mapping[str, Course]) -> list[Series]:
    """Series that go as `courses` say, and are well until their first second and where they say WELL."""

    def whole(name: str) -> dict[int, Value]:
        course = courses.get(name, WELL)
        spelt = dict(course) if isinstance(course, Mapping) else {0: course}
        return {
            second: well.get(name, 0) if value is WELL else value for second, value in ({0: WELL} | spelt).items()
        }

    return [Series(name, labels, whole(name)) for name in {**well, **courses}]


def flow(a_second: float, start: int = START, end: int | None = None, before: float = 0) -> Value:
    """A counter that grows by so much a second from the start to the end, and by `before` else."""

    def count(second: float) -> float:
        within = max(0.0, min(second, second if end is None else end) - start)
        return before * (second - within) + a_second * within

    return count


def apart(series: Sequence[Series], job: str, *silent: tuple[int, int]) -> list[Series]:
    """As `scraped`, but the scrapes of this job alone fail."""
    own = [one for one in series if one.labels["job"] == job]
    return [*scraped(own, *silent), *scraped([one for one in series if one.labels["job"] != job])]


def without(series: Sequence[Series], start: int, end: int, *, of: Callable[[Series], bool]) -> list[Series]:
    """These, but those that `of` is true of are not in the page from start to before end."""
    (*hushed,) = (one for one in series if of(one))
    gone = [one for one in scraped(hushed, (start, end)) if one.name != "up"]
    return [*(one for one in series if not of(one)), *gone]


def answered(one: Series) -> bool:
    """Is it what a device has answered?"""
    return one.labels["job"] == SCRAPES and one.name not in POLLING


def of_page(one: Series) -> bool:
    """Is it from the page of what polls have brought?"""
    return one.labels["job"] == SCRAPES


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong that polls show from START on, and the alert that fires therefore at second `fires`."""

    alert: Alert
    device: Device
    #: What polls show, if it is over at some second or never, beside the device itself.
    shows: Callable[[int | None], Sequence[Series]]
    #: Courses of the device itself, likewise.
    says: Callable[[int | None], Mapping[str, Course]]
    fires: int
    #: Seconds from the end of what is wrong to the end of the alert.
    lasts: int
    #: The same, but at the limit or just below, or with something else by which it is nothing.
    never: Mapping[str, Sequence[Series]]
    #: The same, just above the limit, or otherwise bad: it fires by then.
    enough: Mapping[str, Sequence[Series]]
    summary: str
    description: str
    #: The description while nothing is heard of it.
    held: str
    dashboard: str
    #: `for` of the rule.
    waits: int
    #: Polls that it takes to know it.
    polls: int = 1
    #: Seconds from a return to the end of the alert, if what was wrong is over by then.
    knows: int = 0
    #: Minutes after which it is over if its subject is no more in what the device answers.
    fades: int = 6
    #: Whether it is about what the device answers, and not about whether it does.
    of_answers: bool = True
    matching: str = 'alertname!=""'

    @property
    def name(self) -> str:
        return self.alert.name

    def after(self, minutes: int) -> int:
        return self.fires + minutes * MINUTE

    def ended(self, second: int) -> int:
        """When an alert is over whose condition is false from that second on: it is kept for 10 s."""
        return second + MINUTE

    def series(self, end: int | None = None, suppressed: Suppressed | None = None, **more: Course) -> list[Series]:
        own = {**self.says(end), **more}
        return [*Polled(self.device).series(suppressed, **own), *self.shows(end)]

    def case(self, title: str, series: Sequence[Series], fires: Mapping[int, Sequence[Alert]]) -> Case:
        return Case(f"{self.name} {title}", series, fires, matching=self.matching, world=self.name, step=MINUTE)

    def cases(self) -> Iterator[Case]:
        on, off, after = [self.alert], list[Alert](), self.after
        over = after(5) + self.lasts
        yield self.case(
            "fires in time and ends with what is wrong",
            scraped(self.series(after(5))),
            # A step of grace: programs do not agree on whether a range holds its first moment.
            {after(-1): off, self.fires: on, max(over - 2 * MINUTE, after(4)): on, self.ended(over): off},
        )
        for miss, series in self.never.items():
            yield self.case(f"is silent: {miss}", scraped(series), dict.fromkeys((self.fires, after(5)), off))
        for title, series in self.enough.items():
            yield self.case(f"fires: {title}", scraped(series), {self.fires: on, after(5): on})
        if self.fires - self.lasts > START:
            yield self.case(
                "is silent: over before the wait is",
                scraped(self.series(self.fires - self.lasts)),
                {after(-1): off, self.fires: off, after(3): off},
            )
        yield from self._suppressed()
        yield from self._without_scrapes()
        if self.of_answers:
            yield from self._without_answers()

    def texts(self, world: str) -> Case:
        return Case(
            f"the text of {self.name}",
            scraped(self.series(), (self.after(6), self.after(8))),
            texts=[
                Text(second, self.alert, self.summary, words, self.dashboard)
                for second, words in ((self.after(5), self.description), (self.after(6), self.held))
            ],
            world=world,
            step=MINUTE,
        )

    def _suppressed(self) -> Iterator[Case]:
        on, off, after = [self.alert], list[Alert](), self.after
        yield self.case(
            "is silent: shadowed",
            scraped(self.series(suppressed={"shadowed": 1})),
            {self.fires: off, after(5): off},
        )
        again = after(8) + self.waits
        yield self.case(
            "ends and returns with a suppression",
            scraped(self.series(suppressed={"maintenance": {after(2): 1, after(8): STALE}})),
            {after(2): on, self.ended(after(2)): off, again - MINUTE: off, again: on},
        )
        yield self.case(
            "waits for the device to be up",
            scraped(self.series(ward_device_up={after(2): 0, after(8): 1})),
            {after(1): on, self.ended(after(2)): off, again - MINUTE: off, again: on},
        )
        yield self.case(
            "ends when the device leaves the inventory",
            scraped(without(self.series(), after(1), after(60), of=lambda _: True)),
            {self.fires: on, self.ended(after(1)): off, after(3): off},
        )
        twin = [
            replace(one, labels={**one.labels, "instance": "second:9841"})
            for one in self.series(suppressed={"maintenance": 1})
        ]
        yield self.case(
            "is of one exporter alone",
            [*scraped(self.series(after(5))), *scraped(twin, (after(2), after(25)))],
            {self.fires: on, after(4): on, self.ended(after(5) + self.lasts): off},
        )

    def _without_scrapes(self) -> Iterator[Case]:
        on, off, after = [self.alert], list[Alert](), self.after
        # All is over when the exporter speaks again; a rate needs two polls to know.
        back = after(12)
        known = back + self.knows
        unknown = [back - MINUTE, *([back] if self.polls > 1 else [])]
        going = {**dict.fromkeys((after(1), after(7), *unknown), on), self.ended(known): off}
        yield self.case(
            "goes on while the exporter is silent, and ends when it says so",
            scraped(self.series(after(5)), (after(1), back)),
            going,
        )
        restarted = without(self.series(after(5)), back, back + MINUTE, of=of_page)
        yield self.case(
            "goes on when the exporter is back and has polled nobody yet",
            scraped(restarted, (after(1), back)),
            {back: on, self.ended(known + MINUTE): off},
        )
        yield self.case(
            "goes on over a restart of the exporter",
            scraped(without(self.series(), after(1), after(3), of=of_page)),
            {after(1): on, after(2): on, after(3): on},
        )
        for job in ("ward-exporter", SCRAPES):
            yield self.case(
                f"goes on while the scrapes of {job} fail",
                apart(self.series(), job, (after(1), after(9))),
                dict.fromkeys((after(1), after(7), after(8), after(9), after(10)), on),
            )
        yield self.case(
            "is not started by the exporter's silence",
            scraped(self.series(), (after(-1), after(6))),
            {after(-1): off, self.fires: off, after(5): off},
        )
        yield self.case(
            "goes on over a gap in which nobody scraped",
            unseen(scraped(self.series()), after(1), after(4)),
            dict.fromkeys((after(1), after(3), after(4)), on),
        )

    def _without_answers(self) -> Iterator[Case]:
        on, off, after = [self.alert], list[Alert](), self.after
        back = after(12)
        unknown = [back - MINUTE, *([back] if self.polls > 1 else [])]
        for title, polling in (
            ("does not answer to SNMP", {"ward_snmp_up": {after(1): 0, back: 1}}),
            ("answers a part", {"ward_snmp_partial": {after(1): 1, back: 0}}),
        ):
            yield self.case(
                f"goes on while the device {title}, and ends when it says so",
                scraped(without(self.series(after(5), **polling), after(1), back, of=answered)),
                {**dict.fromkeys((after(1), after(7), *unknown), on), self.ended(back + self.knows): off},
            )
        if self.polls == 1:
            # Of three polls one brings all, one nothing, and one a part.
            yield self._gone(
                "the third of them whole",
                ward_snmp_up=lambda second: float(second // MINUTE % 3 != 1),
                ward_snmp_partial=lambda second: float(second // MINUTE % 3 == 2),
            )
        yield self._gone("all of them a part", ward_snmp_partial=1)
        yield self.case(
            "goes on over one poll that is lost",
            scraped(without(self.series(), after(1), after(2), of=answered)),
            {after(1): on, after(2): on},
        )
        yield self._gone("all of them whole")

    def _gone(self, which: str, **polling: Course) -> Case:
        """It is in no answer any more, and answers come: `which`."""
        return self.case(
            f"is over soon when it is no more in what the device answers, {which}",
            scraped(without(self.series(**polling), self.after(1), self.after(60), of=answered)),
            {self.after(1): [self.alert], self.ended(self.after(self.fades)): []},
        )
