"""The committed dashboards, as the tests look at them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from dashboards.look import Json
from dashboards.preview.filling import panels

FOLDER = Path(__file__).parents[2] / "dashboards"
BOARDS: dict[str, Json] = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


class Asked(NamedTuple):
    """One query of a panel, and the unit that its values are shown in."""

    uid: str
    panel: Json
    target: Json
    unit: str

    @property
    def expr(self) -> str:
        return str(self.target["expr"])

    def __str__(self) -> str:
        return f"{self.uid}: {self.panel['title']} {self.target['refId']}"


def queries() -> list[Asked]:
    return [
        Asked(uid, panel, target, unit(panel, target["refId"]))
        for uid, board in BOARDS.items()
        for panel in panels(board)
        for target in panel["targets"]
    ]


def the(uid: str, title: str, letter: str = "A") -> Asked:
    """A query by its place."""
    (found,) = (
        one for one in queries() if (one.uid, one.panel["title"], one.target["refId"]) == (uid, title, letter)
    )
    return found


def unit(panel: Json, letter: str) -> str:
    """The unit of a query's values, after overrides."""
    names = {f"Value #{letter}"} | ({"Value"} if len(panel["targets"]) == 1 else set())
    for step in panel.get("transformations", ()):
        renamed = step["options"].get("renameByName", {})
        names = {renamed.get(name, name) for name in names}
    found = panel["fieldConfig"]["defaults"]["unit"]
    for override in panel["fieldConfig"]["overrides"]:
        matcher = override["matcher"]
        fits = matcher == {"id": "byFrameRefID", "options": letter} or (
            matcher["id"] == "byName" and matcher["options"] in names
        )
        for entry in override["properties"] if fits else ():
            if entry["id"] == "unit":
                found = entry["value"]
    return str(found)


def labels_shown(asked: Asked) -> set[str]:
    """The labels that a legend names; of a table those of its columns, and what it is sorted by."""
    legend = set(re.findall(r"\{\{(\w+)\}\}", asked.target["legendFormat"]))
    for step in asked.panel.get("transformations", ()):
        named = step["options"].get("renameByName", {})
        legend |= {name for name in named if not name.startswith(("Value", "site\\"))}
        legend |= {step["options"][key] for key in ("columnField", "rowField") if key in step["options"]}
        legend |= {by["field"] for by in step["options"].get("sort", ())}
    return legend


def links(value: object) -> Iterator[Json]:
    """All links of a dashboard, wherever they are."""
    if isinstance(value, dict):
        if "url" in value:
            yield value
        for inner in value.values():
            yield from links(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from links(inner)
