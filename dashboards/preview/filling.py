"""Variables in queries, filled in as Grafana does for Prometheus, and the steps of its range queries."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dashboards.look import Json

#: A variable's value: one, several, or ALL.
Value = str | Sequence[str]
Values = Mapping[str, Value]
ALL = "$__all"
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
#: The steps that Grafana rounds to, in seconds.
_STEPS = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
_VARIABLE = re.compile(r"\$(\w+)|\$\{(\w+)\}")


@dataclass(frozen=True)
class Span:
    """A time range in Unix seconds, and how many points wide a panel is."""

    start: float
    end: float
    points: int = 400

    @property
    def seconds(self) -> int:
        return round(self.end - self.start)

    def step(self, least: str) -> int:
        """Seconds between the points of a query whose shortest interval is `least`."""
        wanted = max(seconds(least), self.seconds / self.points)
        return next(step for step in _STEPS if step >= wanted)


def seconds(text: str) -> int:
    return int(text[:-1]) * _SECONDS[text[-1]]


def variables(board: Json) -> dict[str, Json]:
    return {one["name"]: one for one in board["templating"]["list"]}


def fill(text: str, board: Json, values: Values, span: Span, least: str = "1s") -> str:
    """A query, or a part of it, with every variable in it replaced. Raises KeyError for one that there is not."""
    step = span.step(least)
    builtin = {
        "__range": f"{span.seconds}s",
        "__range_s": str(span.seconds),
        "__interval": f"{step}s",
        "__rate_interval": f"{max(step + seconds(least), 4 * seconds(least))}s",
    }
    known = variables(board)

    def replaced(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        # What label_replace() takes is not Grafana's.
        if name.isdigit():
            return match[0]
        return builtin[name] if name in builtin else _text(known[name], values.get(name, ALL))

    return _VARIABLE.sub(replaced, text)


def _text(variable: Json, value: Value) -> str:
    if variable.get("current") and value == ALL and not variable["includeAll"]:
        value = variable["current"]["value"]
    if not variable["multi"]:
        assert isinstance(value, str)
        return value.replace("\\", "\\\\").replace('"', '\\"')
    if value == ALL:
        return str(variable["allValue"])
    several = [value] if isinstance(value, str) else list(value)
    escaped = [re.sub(r"([\\^$*+?.()|\[\]{}])", r"\\\\\1", one) for one in several]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def panels(board: Json) -> Iterator[Json]:
    """All panels that show data."""
    return (panel for panel in board["panels"] if panel["type"] != "row")
