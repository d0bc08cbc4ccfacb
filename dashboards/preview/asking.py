"""Panels' queries, put to a database by the API that Prometheus and VictoriaMetrics share."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dashboards.look import Json
from dashboards.preview.filling import ALL, Span, Value, Values, fill, variables

#: The body that a path and query are answered with.
Get = Callable[[str], bytes]


@dataclass(frozen=True)
class Series:
    """Labels, and (Unix time, value) pairs."""

    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]

    @property
    def last(self) -> float:
        return self.points[-1][1]


def http(url: str) -> Get:
    """The API at an address. Raises OSError."""

    def get(path: str) -> bytes:
        with urllib.request.urlopen(f"{url.rstrip('/')}{path}", timeout=30) as answer:
            found: bytes = answer.read()
            return found

    return get


def ask(get: Get, board: Json, target: Json, values: Values, span: Span) -> list[Series]:
    """What one query of a panel finds. Raises OSError, and KeyError for an answer of another kind."""
    least = target["interval"]
    asked = {"query": fill(target["expr"], board, values, span, least)}
    if target["instant"]:
        asked["time"] = str(span.end)
    else:
        asked |= {"start": str(span.start), "end": str(span.end), "step": str(span.step(least))}
    path = "query" if target["instant"] else "query_range"
    rows = json.loads(get(f"/api/v1/{path}?{urllib.parse.urlencode(asked)}"))["data"]["result"]
    return [
        Series(row["metric"], [(float(at), float(value)) for at, value in row.get("values") or [row["value"]]])
        for row in rows
    ]


def options(get: Get, board: Json, name: str, values: Values, span: Span) -> list[str]:
    """What can be chosen for a variable of a dashboard."""
    query = variables(board)[name]["query"]["query"]
    selector, _, label = query.removeprefix("label_values(").removesuffix(")").rpartition(", ")
    asked = {"match[]": fill(selector, board, values, span), "start": str(span.start), "end": str(span.end)}
    rows = json.loads(get(f"/api/v1/series?{urllib.parse.urlencode(asked)}"))["data"]
    return sorted({row[label] for row in rows if row.get(label)})


def defaults(get: Get, board: Json, values: Values, span: Span) -> dict[str, Value]:
    """A value for each variable: what is given, else All, else its first option."""
    found: dict[str, Value] = {}
    for name, variable in variables(board).items():
        if name in values:
            found[name] = values[name]
        elif variable["includeAll"]:
            found[name] = ALL
        elif variable["type"] == "query":
            found[name] = next(iter(options(get, board, name, found, span)), "")
        elif variable["type"] == "custom":
            found[name] = variable["current"]["value"]
    return found
