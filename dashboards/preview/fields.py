"""What Grafana does between an answer and a panel: names of series, overrides, and the tables' transformations."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dashboards.look import Json
from dashboards.preview.asking import Series

Answers = Mapping[str, Sequence[Series]]
Row = dict[str, str | float]


@dataclass(frozen=True)
class Line:
    """A series as a panel shows it: its name, and what applies to it."""

    name: str
    series: Series
    field: Json


def lines(panel: Json, answers: Answers) -> list[Line]:
    """Every series of a panel, in the order of its queries."""
    found = []
    for target in panel["targets"]:
        for one in answers[target["refId"]]:
            name = legend(target["legendFormat"], one.labels)
            settings = field(panel, name, target["refId"])
            found.append(Line(settings.get("displayName", name), one, settings))
    return found


def legend(template: str, labels: Mapping[str, str]) -> str:
    if template == "__auto":
        return ", ".join(labels.values()) or "Value"
    return re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), template).strip()


def field(panel: Json, name: str, letter: str = "") -> Json:
    """The settings of one series or column: the panel's, and the overrides that match, later ones last."""
    defaults = panel["fieldConfig"]["defaults"]
    found: Json = defaults | {"custom": dict(defaults.get("custom", {}))}
    for override in panel["fieldConfig"]["overrides"]:
        kind, wanted = override["matcher"]["id"], override["matcher"]["options"]
        fits = (
            (kind == "byName" and wanted == name)
            or (kind == "byRegexp" and re.search(wanted.strip("/"), name))
            or (kind == "byFrameRefID" and wanted == letter)
        )
        for entry in override["properties"] if fits else ():
            place, _, inner = entry["id"].partition(".")
            if inner:
                found[place][inner] = entry["value"]
            else:
                found[place] = entry["value"]
    return found


def table(panel: Json, answers: Answers) -> tuple[list[str], list[Row]]:
    """Columns and rows: answers merged by the labels that they share, then sorted, chosen, named and ordered.

    What is not chosen by name is a column, too: behind those that have a place.
    """
    steps = {step["id"]: step["options"] for step in panel["transformations"]}
    letters = [letter for letter in answers if answers[letter]]
    rows: list[Row] = []
    for letter in letters:
        for one in answers[letter]:
            value = "Value" if len(letters) == 1 else f"Value #{letter}"
            labels = {name: text for name, text in one.labels.items() if name != "__name__"}
            fitting = [row for row in rows if all(row.get(name, text) == text for name, text in labels.items())]
            if not fitting:
                fitting = [{}]
                rows += fitting
            for row in fitting:
                row |= {**labels, value: one.last}
    for by in steps.get("sortBy", {"sort": []})["sort"]:
        rows.sort(key=lambda row: _rank(row.get(by["field"], "")))
    there = {name: None for row in rows for name in row}
    if "filterFieldsByName" in steps:
        there = {name: None for name in there if name in steps["filterFieldsByName"]["include"]["names"]}
    renamed, places = steps["organize"]["renameByName"], steps["organize"]["indexByName"]
    ordered = sorted(there, key=lambda name: int(places.get(name, len(places))))
    shown = [{renamed.get(name, name): value for name, value in row.items()} for row in rows]
    columns = [renamed.get(name, name) for name in ordered]
    for wish in reversed(panel["options"]["sortBy"]):
        shown.sort(key=lambda row: _rank(row.get(wish["displayName"], "")), reverse=wish["desc"])
    return columns, shown


def _rank(value: str | float) -> tuple[int, float, str]:
    return (1, 0.0, value) if isinstance(value, str) else (0, value, "")


def matrix(answers: Answers) -> tuple[list[str], list[Row]]:
    """A row for each site, a column for each role."""
    found: dict[str, Row] = {}
    roles = sorted({one.labels["role"] for one in answers["A"]})
    for one in answers["A"]:
        found.setdefault(one.labels["site"], {"Site": one.labels["site"]})[one.labels["role"]] = one.last
    return ["Site", *roles], [found[site] for site in sorted(found)]
