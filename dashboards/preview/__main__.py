"""`make preview URL=http://127.0.0.1:8428`: draw every dashboard to build/preview/, from a database's last hour.

`python -m dashboards.preview URL 6h` takes the last six. Without an address tests/dashboards/preview.py draws a
bank of its own.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path

from dashboards.__main__ import build
from dashboards.look import Json
from dashboards.preview.asking import Get, ask, defaults, http, options
from dashboards.preview.canvas import Sheet
from dashboards.preview.drawing import draw
from dashboards.preview.filling import ALL, Span, Values, seconds

FOLDER = Path("build/preview")


def preview(get: Get, folder: Path, span: Span, chosen: Mapping[str, Values]) -> list[Path]:
    """Draw all dashboards into a folder; `chosen` are values of variables by dashboard."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for uid, board in build().items():
        values = defaults(get, board, chosen.get(uid, {}), span)
        path = folder / f"{uid}.png"
        picture(get, board, values, span).save(path)
        found.append(path)
    return found


def picture(get: Get, board: Json, values: Values, span: Span) -> Sheet:
    """One dashboard; a panel that is repeated for each value of a variable is drawn for each of them."""
    drawn: list[tuple[Json, Json, str, Values]] = []
    further = 0
    for panel in board["panels"]:
        place = panel["gridPos"] | {"y": panel["gridPos"]["y"] + further}
        name = panel.get("repeat")
        every = options(get, board, name, values, span) if name else [""]
        for number, value in enumerate(every):
            own = {**values, name: value} if name else values
            below = place | {"y": place["y"] + number * place["h"]}
            drawn.append((panel, below, panel["title"].replace(f"${name}", value), own))
        further += (len(every) - 1) * place["h"]
    sheet = Sheet(
        board["title"],
        "   ".join(f"{name}: {_shown(value)}" for name, value in values.items()),
        max(place["y"] + place["h"] for _, place, _, _ in drawn),
    )
    for panel, place, title, own in drawn:
        if panel["type"] == "row":
            sheet.heading(title, place)
        else:
            answers = {target["refId"]: ask(get, board, target, own, span) for target in panel["targets"]}
            draw(sheet, panel, place, title, answers, span)
    return sheet


def _shown(value: object) -> str:
    return "All" if value == ALL else str(value)


def main() -> None:
    url, since = sys.argv[1], seconds(sys.argv[2] if len(sys.argv) > 2 else "1h")
    for path in preview(http(url), FOLDER, Span(time.time() - since, time.time()), {}):
        print(path)


if __name__ == "__main__":
    main()
