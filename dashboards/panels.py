"""Panels of every kind that is used, as Grafana's JSON. Titles, descriptions and units have no defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from dashboards.look import FIRING, GREEN, SOURCE, Json, States, limits, mapping

#: Scrape intervals of prometheus.yml. Each query names its job's, so that $__rate_interval holds four scrapes
#: whatever interval the data source was given.
DEVICES, SNMP, STACK = "5s", "1m", "15s"
#: The Grafana whose options these are: later ones move what has another place there.
_WRITTEN_FOR = "11.6.0"
#: Rows of a page of a timeline: more are unreadable.
ROWS = 20


@dataclass(frozen=True)
class Query:
    """A query over the time range, or at its end; `unit` where it differs from its panel's."""

    expr: str
    legend: str = ""
    every: str = DEVICES
    unit: str = ""


@dataclass(frozen=True)
class Column:
    """A column of a table: what a query finds, or a label of it where there is none."""

    name: str
    label: str = ""
    expr: str = ""
    unit: str = "none"
    every: str = DEVICES
    decimals: int | None = None
    states: States | None = None
    thresholds: Json | None = None
    links: Sequence[Json] = ()
    width: int | None = None


def target(query: Query, number: int, *, at_end: bool, form: str) -> Json:
    when = {"instant": True, "range": False} if at_end else {"instant": False, "range": True}
    return {
        "datasource": SOURCE,
        "refId": ascii_uppercase[number],
        "editorMode": "code",
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "interval": query.every,
        "format": form,
        **when,
    }


def panel(kind: str, title: str, about: str, size: tuple[int, int], targets: list[Json], **more: object) -> Json:
    width, height = size
    return {
        "type": kind,
        "pluginVersion": _WRITTEN_FOR,
        "title": title,
        "description": about,
        "datasource": SOURCE,
        "gridPos": {"w": width, "h": height, "x": 0, "y": 0},
        "targets": targets,
        **more,
    }


def _override(matcher: str, matched: str, **properties: object) -> Json:
    return {
        "matcher": {"id": matcher, "options": matched},
        "properties": [{"id": name, "value": value} for name, value in properties.items()],
    }


def named(name: str, /, **properties: object) -> Json:
    """Properties of one series or column; `__` in a name stands for a dot."""
    return _override("byName", name, **_dotted(properties))


def matching(pattern: str, /, **properties: object) -> Json:
    """Properties of all series or columns whose names match."""
    return _override("byRegexp", f"/{pattern}/", **_dotted(properties))


def _dotted(properties: Mapping[str, object]) -> dict[str, object]:
    return {name.replace("__", "."): value for name, value in properties.items()}


def stat(
    title: str,
    about: str,
    query: Query,
    *,
    unit: str,
    size: tuple[int, int] = (3, 4),
    thresholds: Json | None = None,
    states: States | None = None,
    decimals: int | None = None,
    links: Sequence[Json] = (),
    nothing: str = "no data",
) -> Json:
    """One number, or one a series, at the end of the time range."""
    defaults: Json = {
        "unit": unit,
        "color": {"mode": "thresholds"},
        "thresholds": thresholds or limits(),
        "mappings": mapping(states) if states else [],
        "links": list(links),
        "noValue": nothing,
    }
    if decimals is not None:
        defaults["decimals"] = decimals
    return panel(
        "stat",
        title,
        about,
        size,
        [target(query, 0, at_end=True, form="time_series")],
        fieldConfig={"defaults": defaults, "overrides": []},
        options={
            "colorMode": "background",
            "graphMode": "none",
            "justifyMode": "center",
            "orientation": "auto",
            "percentChangeColorMode": "standard",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "textMode": "auto",
        },
    )


def cells(title: str, about: str, query: Query, states: States, **more: object) -> Json:
    """A cell a series, with its name and its state, on the colour of that."""
    size = more.pop("size", (24, 12))
    links = more.pop("links", [])
    assert isinstance(size, tuple)
    assert isinstance(links, list)
    found = stat(title, about, query, unit="none", size=size, states=states, links=links, nothing="none here")
    found["options"] |= {"textMode": "value_and_name", "justifyMode": "auto"}
    return found | more


def series(
    title: str,
    about: str,
    queries: Sequence[Query],
    *,
    unit: str,
    size: tuple[int, int] = (12, 8),
    stacked: bool = False,
    least: float | None = 0,
    most: float | None = None,
    decimals: int | None = None,
    legend: str = "table",
    overrides: Sequence[Json] = (),
    links: Sequence[Json] = (),
    nothing: str = "no data",
) -> Json:
    """Lines over time. `legend` is `table` beside them, with the last and the highest value, or `list` below."""
    custom: Json = {
        "drawStyle": "line",
        "lineInterpolation": "stepAfter" if stacked else "linear",
        "lineWidth": 1,
        "fillOpacity": 60 if stacked else 0,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }
    defaults: Json = {
        "unit": unit,
        "color": {"mode": "palette-classic"},
        "custom": custom,
        "links": list(links),
        "noValue": nothing,
    }
    bounds = {"min": least, "max": most, "decimals": decimals}
    defaults |= {name: value for name, value in bounds.items() if value is not None}
    shown: Json = {"showLegend": True, "displayMode": legend, "placement": "bottom", "calcs": []}
    if legend == "table":
        shown |= {"placement": "right", "calcs": ["lastNotNull", "max"], "sortBy": "Max", "sortDesc": True}
    units = [
        _override("byFrameRefID", ascii_uppercase[number], unit=query.unit)
        for number, query in enumerate(queries)
        if query.unit
    ]
    return panel(
        "timeseries",
        title,
        about,
        size,
        [target(query, number, at_end=False, form="time_series") for number, query in enumerate(queries)],
        fieldConfig={"defaults": defaults, "overrides": [*units, *overrides]},
        options={"legend": shown, "tooltip": {"mode": "multi", "sort": "desc"}},
    )


def timeline(
    title: str,
    about: str,
    query: Query,
    states: States,
    *,
    size: tuple[int, int] = (24, 10),
    rows: int = ROWS,
    links: Sequence[Json] = (),
    nothing: str = "no data",
) -> Json:
    """A bar a series, coloured by state, a page of them at a time."""
    defaults: Json = {
        "unit": "none",
        "color": {"mode": "thresholds"},
        "thresholds": limits(),
        "mappings": mapping(states),
        "custom": {"fillOpacity": 80, "lineWidth": 0, "spanNulls": False},
        "links": list(links),
        "noValue": nothing,
    }
    return panel(
        "state-timeline",
        title,
        about,
        size,
        [target(query, 0, at_end=False, form="time_series")],
        fieldConfig={"defaults": defaults, "overrides": []},
        options={
            "alignValue": "left",
            "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []},
            "mergeValues": True,
            "perPage": rows,
            "rowHeight": 0.85,
            "showValue": "never",
            "tooltip": {"mode": "single", "sort": "none"},
        },
    )


def table(
    title: str,
    about: str,
    columns: Sequence[Column],
    *,
    sort: str = "",
    descending: bool = False,
    ranked: str = "",
    size: tuple[int, int] = (12, 10),
    since: str = "",
    nothing: str = "none",
) -> Json:
    """A row for each set of labels, at the end of the time range; `since` is a time range of its own.

    Rows are sorted by a column, or by a label that is not shown: `ranked`. Labels that are no column are not shown.
    """
    queries = [column for column in columns if column.expr]
    fields = {column.name: column.label for column in columns if column.label}
    fields |= {column.name: f"Value #{ascii_uppercase[number]}" for number, column in enumerate(queries)}
    renamed = {field: name for name, field in fields.items()}
    # A single answer has no letter.
    renamed["Value"] = queries[0].name
    places = {fields[column.name]: place for place, column in enumerate(columns)}
    places["Value"] = places["Value #A"]
    more = {"timeFrom": since, "hideTimeOverride": True} if since else {}
    return panel(
        "table",
        title,
        about,
        size,
        [
            target(Query(column.expr, "", column.every), number, at_end=True, form="table")
            for number, column in enumerate(queries)
        ],
        transformations=[
            {"id": "merge", "options": {}},
            *([{"id": "sortBy", "options": {"fields": {}, "sort": [{"field": ranked}]}}] if ranked else []),
            {"id": "filterFieldsByName", "options": {"include": {"names": list(places)}}},
            {"id": "organize", "options": {"excludeByName": {}, "indexByName": places, "renameByName": renamed}},
        ],
        fieldConfig={
            "defaults": {
                "unit": "none",
                "custom": {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True, "inspect": False},
                "noValue": nothing,
            },
            "overrides": [_column(column) for column in columns],
        },
        options={
            "showHeader": True,
            "cellHeight": "sm",
            "sortBy": [{"displayName": sort, "desc": descending}] if sort else [],
            "footer": {"show": False, "reducer": ["sum"], "fields": "", "enablePagination": True},
        },
        **more,
    )


def _column(column: Column) -> Json:
    properties: dict[str, object] = {"unit": column.unit}
    if column.decimals is not None:
        properties["decimals"] = column.decimals
    if column.states:
        properties["mappings"] = mapping(column.states)
    if column.thresholds:
        properties |= {"thresholds": column.thresholds, "color": {"mode": "thresholds"}}
    if column.states or column.thresholds:
        kind = "color-background" if column.states else "color-text"
        cell = {"type": kind, "mode": "basic"} if column.states else {"type": kind}
        properties["custom__cellOptions"] = cell
    if column.width:
        properties["custom__width"] = column.width
    if column.links:
        properties["links"] = list(column.links)
    return named(column.name, **properties)


def matrix(title: str, about: str, query: Query, states: States, **more: object) -> Json:
    """A row for each site, a column for each role, and a state in each cell."""
    found = table(title, about, [Column("Value", expr=query.expr)], sort="Site", nothing="")
    size, links = more.pop("size", (24, 12)), more.pop("links", [])
    assert isinstance(size, tuple)
    found["gridPos"] |= {"w": size[0], "h": size[1]}
    found["transformations"] = [
        {
            "id": "groupingToMatrix",
            "options": {"columnField": "role", "rowField": "site", "valueField": "Value", "emptyValue": "null"},
        },
        {"id": "organize", "options": {"renameByName": {"site\\role": "Site"}}},
    ]
    found["fieldConfig"] = {
        "defaults": {
            "unit": "none",
            "custom": {
                "align": "center",
                "cellOptions": {"type": "color-background", "mode": "basic"},
                "filterable": True,
                "inspect": False,
            },
            "mappings": mapping(states),
            "links": links,
            "noValue": "",
        },
        "overrides": [named("Site", custom__align="left", custom__cellOptions={"type": "auto"})],
    }
    return found


def heatmap(title: str, about: str, query: Query, *, unit: str, size: tuple[int, int] = (24, 9)) -> Json:
    """Buckets of a histogram over time."""
    return panel(
        "heatmap",
        title,
        about,
        size,
        [target(query, 0, at_end=False, form="heatmap")],
        fieldConfig={
            "defaults": {
                "unit": unit,
                "custom": {"scaleDistribution": {"type": "linear"}},
                "noValue": "no histogram",
            },
            "overrides": [],
        },
        options={
            "calculate": False,
            "cellGap": 1,
            "cellValues": {"unit": "cps"},
            "color": {
                "mode": "scheme",
                "scheme": "Turbo",
                "fill": "dark-orange",
                "exponent": 0.5,
                "steps": 64,
                "reverse": False,
            },
            "exemplars": {"color": "rgba(255,0,255,0.7)"},
            "filterValues": {"le": 1e-9},
            "legend": {"show": True},
            "rowsFrame": {"layout": "auto"},
            "tooltip": {"mode": "single", "yHistogram": False, "showColorScale": False},
            "yAxis": {"axisPlacement": "left", "reverse": False, "unit": unit},
        },
    )


def firing(
    title: str, about: str, query: Query, *, size: tuple[int, int] = (24, 8), links: Sequence[Json] = ()
) -> Json:
    """A timeline of alerts that fired."""
    return timeline(title, about, query, FIRING, size=size, links=links, nothing="nothing fired")


def quiet(colour: str) -> Json:
    """Green at 0, this colour above."""
    return limits((1, colour), below=GREEN)
