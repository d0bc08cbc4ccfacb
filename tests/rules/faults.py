"""What alerts about the exporter and its stack have to go through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.rules.world import Alert, Case, Course, Series, Text, leaving, said, unseen

#: As often as the stack is scraped, and for what takes hours: Prometheus looks back 5 minutes for a sample.
QUARTER, SLOW = 15, 300


def part(job: str, name: str, course: Course, **labels: str) -> Series:
    """A series of a part of the stack."""
    return Series(name, {"job": job, "instance": f"{job}:1", **labels}, course)


def up(course: Course, job: str = "ward-exporter") -> Series:
    return said("up", course) if job == "ward-exporter" else part(job, "up", course)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is said when something is wrong, and the alert that fires at `fires` therefore, until `ends`."""

    alert: Alert
    bad: Sequence[Series]
    fires: int
    ends: int
    #: At the limit or just below, or something else by which it is no such fault.
    never: Mapping[str, Sequence[Series]]
    summary: str
    description: str
    dashboard: str = "ward-exporter"
    #: Whether it goes on, at first, when its series get stale.
    outlasts: bool = False
    #: Others that fire with it.
    also: Sequence[Alert] = field(default=())
    step: int = QUARTER

    def cases(self) -> Iterator[Case]:
        name, step, fires = self.alert.name, self.step, self.fires
        on = [self.alert, *self.also]
        # One step of grace: Prometheus and VictoriaMetrics do not agree on whether a range holds its first moment.
        yield Case(
            f"{name} fires in time and ends with the fault",
            self.bad,
            {fires - step: [], fires: on, self.ends - 2 * step: on, self.ends: []},
            step=step,
        )
        for miss, series in self.never.items():
            seconds = [fires, fires + 2 * step, fires + 12 * step]
            yield Case(f"{name} is silent: {miss}", series, {second: [] for second in seconds}, step=step)
        if step < SLOW:
            yield Case(
                f"{name} goes on over a gap in which nobody scraped",
                unseen(self.bad, fires + step, fires + 3 * step),
                {fires + step: on, fires + 2 * step: on},
                step=step,
            )
        yield Case(
            f"{name} {'goes on for a while' if self.outlasts else 'ends'} when its series get stale",
            leaving(self.bad, fires + step),
            {fires: on, fires + step: on if self.outlasts else []},
            step=step,
        )

    def text(self) -> Case:
        text = Text(self.fires, self.alert, self.summary, self.description, self.dashboard)
        return Case(f"the text of {self.alert.name}", self.bad, texts=[text], world="texts", step=self.step)
