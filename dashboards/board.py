"""A dashboard around its panels: variables, links to the others, annotations, and everything's place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dashboards.look import DASHBOARDS, SOURCE, Json

COLUMNS = 24
#: What All stands for. A device has a name and a role, but need not have a site or a provider: `.+` would hide it.
ALL = {"site": ".*", "provider": ".*"}
_TAG = "ward"


@dataclass(frozen=True)
class Section:
    """Panels under a heading, each as far up as there is room, and then as far to the left."""

    title: str
    panels: Sequence[Json]


def chosen(name: str, label: str, query: str, *, one: bool = False) -> Json:
    """A variable of what a label has as values; several of them, or all, unless it is `one`."""
    found: Json = {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": SOURCE,
        "query": {"qryType": 1, "query": f"label_values({query})", "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": not one,
        "includeAll": not one,
    }
    if not one:
        found |= {"allValue": ALL.get(name, ".+"), "current": {"text": ["All"], "value": ["$__all"]}}
    return found


def switch(name: str, label: str, options: dict[str, str]) -> Json:
    """A variable with fixed values: the first one counts until another is chosen."""
    first = next(iter(options))
    return {
        "type": "custom",
        "name": name,
        "label": label,
        "query": ", ".join(f"{text} : {value}" for text, value in options.items()),
        "multi": False,
        "includeAll": False,
        "current": {"text": first, "value": options[first]},
        "options": [{"text": text, "value": value, "selected": text == first} for text, value in options.items()],
    }


#: Which data source: any of the kind that answers PromQL.
_SOURCES: Json = {
    "type": "datasource",
    "name": "datasource",
    "label": "Data source",
    "query": "prometheus",
    "regex": "",
    "refresh": 1,
    "multi": False,
    "includeAll": False,
}


def dashboard(
    uid: str,
    about: str,
    sections: Sequence[Section],
    *,
    variables: Sequence[Json] = (),
    where: str = "",
    since: str = "now-6h",
    refresh: str = "10s",
) -> Json:
    """The whole of it. `where` are the matchers that its variables make: alerts that fit are marked in the
    graphs.
    """
    selector = ", ".join(filter(None, ['alertstate="firing", severity="critical"', where]))
    return {
        "uid": uid,
        "title": DASHBOARDS[uid],
        "description": about,
        "tags": [_TAG],
        "editable": False,
        "graphTooltip": 1,
        "refresh": refresh,
        "schemaVersion": 39,
        "time": {"from": since, "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_SOURCES, *variables]},
        "links": [_link(other) for other in DASHBOARDS if other != uid],
        "annotations": {
            "list": [
                {
                    "name": "Critical alerts",
                    "datasource": SOURCE,
                    "enable": True,
                    "hide": False,
                    "iconColor": "red",
                    "expr": f"ALERTS{{{selector}}}",
                    "step": "30s",
                    "titleFormat": "{{alertname}}",
                    "textFormat": "{{device}} {{site}} {{provider}}",
                    "tagKeys": "alertname",
                }
            ]
        },
        "panels": _placed(sections),
    }


def _link(uid: str) -> Json:
    return {
        "type": "link",
        "title": DASHBOARDS[uid],
        "icon": "dashboard",
        "url": f"/d/{uid}",
        "tooltip": "",
        "tags": [],
        "asDropdown": False,
        "targetBlank": False,
        "includeVars": True,
        "keepTime": True,
    }


def _placed(sections: Sequence[Section]) -> list[Json]:
    found: list[Json] = []
    for section in sections:
        top = max((one["gridPos"]["y"] + one["gridPos"]["h"] for one in found), default=0)
        if section.title:
            row = {"type": "row", "title": section.title, "collapsed": False, "panels": []}
            found.append(row | {"gridPos": {"w": COLUMNS, "h": 1, "x": 0, "y": top}})
            top += 1
        # How far down each column of the section is taken.
        taken = [top] * COLUMNS
        for panel in section.panels:
            size = panel["gridPos"]
            width = size["w"]
            y, x = min((max(taken[x : x + width]), x) for x in range(COLUMNS - width + 1))
            taken[x : x + width] = [y + size["h"]] * width
            found.append(panel | {"gridPos": size | {"x": x, "y": y}})
    return [panel | {"id": number} for number, panel in enumerate(found, 1)]
