"""`make dashboards`: write every dashboard's JSON beside the Python that makes it."""

from __future__ import annotations

import json
from pathlib import Path

from dashboards import alerts, device, grid, interfaces, isp, itself, map, overview, site
from dashboards.look import Json

FOLDER = Path(__file__).parent
_MODULES = (overview, isp, grid, site, device, map, interfaces, alerts, itself)


def build() -> dict[str, Json]:
    """Every dashboard by its uid."""
    return {board["uid"]: board for board in (module.build() for module in _MODULES)}


def text(board: Json) -> str:
    return json.dumps(board, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    for uid, board in build().items():
        (FOLDER / f"{uid}.json").write_text(text(board))


if __name__ == "__main__":
    main()
