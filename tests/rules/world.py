"""What the exporter would say, as series of unit tests for rules.

A course says how a value goes: one value, or a mapping from the second at which it takes a value to that value. A
value is a number, a function of the time, STALE (one staleness marker, then nothing) or GAP (nothing at all).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

#: Seconds between two evaluations, unless a case says otherwise; and between two samples, up to what Prometheus
#: looks back for one.
STEP, LOOKBACK = 5, 300
STALE = "stale"
GAP = "_"
#: As it is while nothing is the matter; for Device.series.
WELL = "well"

Value = float | str | Callable[[float], float]
Course = Value | Mapping[int, Value]
Labels = Mapping[str, str]


def now(second: float) -> float:
    """A timestamp that is renewed with each scrape: the last reply of a device that answers."""
    return second


def ago(seconds: float) -> Callable[[float], float]:
    """A timestamp that stays this far behind, whenever one looks."""
    return lambda second: second - seconds


@dataclass(frozen=True, slots=True)
class Series:
    name: str
    labels: Labels
    course: Course

    def values(self, seconds: int, step: int) -> list[str]:
        """A sample each `step` seconds, from 0 to `seconds`."""
        course = _told(self.course)
        found: list[str] = []
        for second in range(0, seconds + step, step):
            start = max((start for start in course if start <= second), default=None)
            value = GAP if start is None else course[start]
            if value == STALE and second != start:
                value = GAP
            if callable(value):
                value = value(second)
            found.append(value if isinstance(value, str) else f"{value:.12g}")
        return found


EXPORTER = "exporter:9841"


@dataclass(frozen=True, slots=True)
class Device:
    """A device of the inventory; it answers well unless told otherwise."""

    name: str
    role: str = "switch"
    site: str = "hq"
    provider: str = ""
    rtt_limit: float = 0.2
    loss_limit: float = 0.1
    instance: str = EXPORTER

    @property
    def labels(self) -> dict[str, str]:
        labels = {
            "job": "ward-exporter",
            "instance": self.instance,
            "device": self.name,
            "address": f"{self.name}.example",
            "site": self.site,
            "role": self.role,
            "priority": "0" if self.role == "isp" else "3",
        }
        return {name: value for name, value in labels.items() if value}

    def series(self, suppressed: Mapping[str, Course] | None = None, **courses: Course) -> list[Series]:
        """All that is said of it; `courses` by what stands behind ward_device_, `suppressed` by reason.

        A course that does not start at 0 starts well, and WELL among its values is as before.
        """
        quiet: dict[str, Value] = {
            "up": 1,
            "last_reply_timestamp_seconds": now,
            "last_change_timestamp_seconds": -10_000,
            "rtt_seconds": 0.01,
            "rtt_threshold_seconds": self.rtt_limit,
            "packet_loss_ratio": 0,
            "packet_loss_threshold_ratio": self.loss_limit,
            "flapping": 0,
            "path_changes_total": 0,
        }
        assert courses.keys() <= quiet.keys()
        said = [
            Series(
                f"ward_device_{name}",
                self.labels,
                {
                    second: well if value is WELL else value
                    for second, value in ({0: WELL} | _told(courses.get(name, well))).items()
                },
            )
            for name, well in quiet.items()
        ]
        for reason, course in (suppressed or {}).items():
            said.append(Series("ward_device_suppressed", {**self.labels, "reason": reason}, course))
        info = {**self.labels, "provider": self.provider} if self.provider else self.labels
        return [*said, Series("ward_device_info", info, 1)]


def said(name: str, course: Course, **labels: str) -> Series:
    """A series about no device: of a site, the loop, or the exporter itself."""
    return Series(name, {"job": "ward-exporter", "instance": EXPORTER, **labels}, course)


def scraped(series: Sequence[Series], *silent: tuple[int, int]) -> list[Series]:
    """These, and `up`; from the first to before the second of each `silent` all scrapes fail."""
    up: dict[int, Value] = {0: 1}
    for start, end in silent:
        up |= {start: 0, end: 1}
    exporters = sorted({(one.labels["job"], one.labels["instance"]) for one in series})
    return [
        *(Series("up", {"job": job, "instance": instance}, up) for job, instance in exporters),
        *(_hush(one, silent) for one in series),
    ]


def unseen(series: Sequence[Series], start: int, end: int) -> list[Series]:
    """These, but Prometheus itself has not scraped meanwhile: a gap without markers."""
    return [_hush(one, [(start, end)], GAP) for one in series]


def leaving(series: Sequence[Series], second: int) -> list[Series]:
    """These, until they are in the page no more: a staleness marker while the scrapes go on."""
    return [Series(one.name, one.labels, _cut(one.course, second, {second: STALE})) for one in series]


def _hush(series: Series, silent: Sequence[tuple[int, int]], mark: str = STALE) -> Series:
    told = _told(series.course)
    for start, end in silent:
        after = {end: told[max(second for second in told if second <= end)]}
        later = {second: value for second, value in told.items() if second > end}
        told = _cut(told, start, {start: mark, **after, **later})
    return Series(series.name, series.labels, told)


def _told(course: Course) -> dict[int, Value]:
    return dict(course) if isinstance(course, Mapping) else {0: course}


def _cut(course: Course, second: int, rest: dict[int, Value]) -> dict[int, Value]:
    return {start: value for start, value in _told(course).items() if start < second} | rest


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert that should fire: its name, and the labels that it should have beside severity."""

    name: str
    labels: Labels


@dataclass(frozen=True, slots=True)
class Text:
    """What one alert should say at some second."""

    second: int
    alert: Alert
    summary: str
    description: str
    #: What stands behind /d/ in the address of its dashboard.
    dashboard: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What an expression gives at some second: each series' labels, and its value."""

    second: int
    expression: str
    samples: Sequence[tuple[Labels, float]]


@dataclass(frozen=True, slots=True)
class Case:
    """A story: the series, and at some seconds the alerts that fire then, exactly these."""

    name: str
    series: Sequence[Series]
    fires: Mapping[int, Sequence[Alert]] = field(default_factory=dict)
    texts: Sequence[Text] = ()
    gives: Sequence[Answer] = ()
    #: Narrows the alerts that are looked at.
    matching: str = 'alertname!=""'
    #: Cases of the same world happen together. Texts need one in which nobody else has the same alert.
    world: str = ""
    step: int = STEP

    @property
    def end(self) -> int:
        return max([*self.fires, *(text.second for text in self.texts), *(one.second for one in self.gives)])
