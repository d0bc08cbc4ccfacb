"""The dashboards as files: what Grafana makes of them, and what a reader needs on every panel."""

from __future__ import annotations

import functools
import json
import re
import warnings
from itertools import combinations
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml

from dashboards.__main__ import build, text
from dashboards.look import DASHBOARDS, SOURCE, Json
from dashboards.preview.filling import panels, seconds, variables
from tests.dashboards.reading import BOARDS, FOLDER, Asked, links, queries

ROOT = FOLDER.parent
every_board = pytest.mark.parametrize("board", BOARDS.values(), ids=list(BOARDS))
every_query = pytest.mark.parametrize("asked", queries(), ids=str)
#: What Grafana fills in by itself.
BUILT_IN = {"__range", "__range_s", "__interval", "__rate_interval", "__url_time_range"}
#: Words of the query language that look like names of metrics.
LANGUAGE = re.compile(
    r"\b(?:and|or|unless|on|by|bool|without|group_left|group_right|offset|[a-z_]+(?= *\()|"
    r"start|end)\b"
)


@functools.cache
def rules() -> list[dict[str, Any]]:
    """Alerts and recording rules of rules/."""
    return [
        rule
        for path in (ROOT / "rules").glob("*.yml")
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]


@functools.cache
def scrape_intervals() -> dict[str, str]:
    """By job, as prometheus.yml ships them."""
    shipped = yaml.safe_load((ROOT / "prometheus.yml").read_text())
    every = shipped["global"]["scrape_interval"]
    return {job["job_name"]: job.get("scrape_interval", every) for job in shipped["scrape_configs"]}


@functools.cache
def documented() -> set[str]:
    """The metrics of docs/metrics.md."""
    return set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE))


def test_files_are_what_the_generator_writes() -> None:
    """`make dashboards` changes nothing, and no file is left that it does not write."""
    assert {f"{uid}.json": text(board) for uid, board in build().items()} == {
        path.name: path.read_text() for path in FOLDER.glob("*.json")
    }


def test_all_of_them_are_there() -> None:
    """Nine dashboards with the uids and titles that links and alerts go by."""
    assert {uid: board["title"] for uid, board in BOARDS.items()} == DASHBOARDS
    assert all(board["uid"] == uid for uid, board in BOARDS.items())


@every_board
def test_grafanas_schema_knows_every_key(board: Json) -> None:
    """Read into Grafana's own types and written again, a dashboard has lost no key and no value."""
    with warnings.catch_warnings():
        # It recommends the schema after this one, which only the newest Grafana reads.
        warnings.simplefilter("ignore", DeprecationWarning)
        from grafana_foundation_sdk.cog.encoder import JSONEncoder
        from grafana_foundation_sdk.cog.plugins import register_default_plugins
        from grafana_foundation_sdk.models.dashboard import Dashboard
    register_default_plugins()
    again = json.loads(JSONEncoder().encode(Dashboard.from_json(board)))
    assert list(_lost(board, again, "")) == []


def _lost(before: object, after: object, where: str) -> list[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            lost
            for key, value in before.items()
            for lost in (_lost(value, after[key], f"{where}.{key}") if key in after else [f"{where}.{key}"])
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [
            lost for i, pair in enumerate(zip(before, after, strict=True)) for lost in _lost(*pair, f"{where}[{i}]")
        ]
    return [] if before == after else [f"{where}: {before!r} became {after!r}"]


@every_board
def test_panels_do_not_overlap(board: Json) -> None:
    """Every panel stands within the 24 columns, and no two share a place."""
    places = {panel["title"] + str(panel["id"]): panel["gridPos"] for panel in board["panels"]}
    assert len(places) == len(board["panels"])
    for place in places.values():
        assert place["w"] > 0
        assert place["h"] > 0
        assert 0 <= place["x"] <= 24 - place["w"]
    for (one, a), (other, b) in combinations(places.items(), 2):
        apart = (
            a["x"] + a["w"] <= b["x"]
            or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"]
            or b["y"] + b["h"] <= a["y"]
        )
        assert apart, (one, other)


@every_board
def test_every_panel_is_whole(board: Json) -> None:
    """Title, description, unit, what to say without data, the chosen data source; nobody can edit a dashboard."""
    assert board["editable"] is False
    assert board["description"]
    for panel in panels(board):
        assert panel["title"]
        assert panel["description"].endswith((".", "`.")), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert "noValue" in panel["fieldConfig"]["defaults"]
        assert panel["datasource"] == SOURCE
        assert panel["targets"]
        assert all(target["datasource"] == SOURCE for target in panel["targets"])
    uids = {value for key, value in _leaves(board, "") if key.endswith("datasource.uid")}
    assert uids == {"${datasource}"}


def _leaves(value: object, path: str) -> list[tuple[str, object]]:
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in _leaves(inner, f"{path}.{key}")]
    if isinstance(value, list):
        return [leaf for inner in value for leaf in _leaves(inner, path)]
    return [(path, value)]


@every_board
def test_nothing_comes_from_another_host(board: Json) -> None:
    """No address of the internet: the map's base layer is one without tiles, links stay in this Grafana."""
    assert "://" not in json.dumps(board)
    for panel in panels(board):
        if panel["type"] == "geomap":
            assert panel["options"]["basemap"]["type"] == "geojson"
            assert panel["options"]["basemap"]["config"]["src"].startswith("public/")
            assert [layer["type"] for layer in panel["options"]["layers"]] == ["markers"]


def test_the_map_frames_its_sites() -> None:
    """The map begins with all sites in view, and not with all the world, which its base layer is."""
    (found,) = (panel["options"] for panel in panels(BOARDS["ward-map"]) if panel["type"] == "geomap")
    assert not found["view"]["allLayers"]
    assert [layer["name"] for layer in found["layers"]] == [found["view"]["layer"]]


@every_board
def test_states_are_told_in_text(board: Json) -> None:
    """No stat shows a state by its colour alone."""
    for panel in panels(board):
        if panel["type"] == "stat":
            assert panel["options"]["textMode"] in ("auto", "value_and_name"), panel["title"]


def test_severities_are_sorted_and_coloured() -> None:
    """A table with severities sorts by their rank, and knows each that a rule has."""
    severities = {rule["labels"]["severity"] for rule in rules() if "alert" in rule} - {"none"}
    tables = [panel for board in BOARDS.values() for panel in panels(board) if '"Severity"' in json.dumps(panel)]
    assert len(tables) == 2
    for panel in tables:
        order = [step["id"] for step in panel["transformations"]]
        assert order.index("sortBy") < order.index("filterFieldsByName")
        assert panel["options"]["sortBy"] == []
        (column,) = (
            {entry["id"]: entry["value"] for entry in override["properties"]}
            for override in panel["fieldConfig"]["overrides"]
            if override["matcher"]["options"] == "Severity"
        )
        (mapping,) = column["mappings"]
        assert set(mapping["options"]) == severities
        assert len({shown["color"] for shown in mapping["options"].values()}) == len(severities)


@every_board
def test_timelines_are_paged(board: Json) -> None:
    """No page of a timeline has more rows than can be read, and each row has a place to stand in."""
    for panel in panels(board):
        if panel["type"] == "state-timeline":
            assert panel["options"]["perPage"] <= 20


@every_board
def test_variables_begin_with_the_data_source(board: Json) -> None:
    """All that a query names is a variable of its dashboard, and all variables are in use."""
    there = list(variables(board))
    assert there[0] == "datasource"
    assert variables(board)["datasource"]["query"] == "prometheus"
    used = set(re.findall(r"\$\{?([a-zA-Z_]\w*)", json.dumps(board))) - {"__value", "__field", "__data", "__all"}
    assert used - BUILT_IN == set(there)
    for name, variable in variables(board).items():
        if variable["type"] == "query":
            assert variable["refresh"] == 2, name
            assert variable.get("allValue") in (".*" if name in ("site", "provider") else ".+", None)


@every_query
def test_rates_hold_four_scrapes(asked: Asked) -> None:
    """A rate is over $__rate_interval, and its query names the scrape interval of its series' job."""
    for span in re.findall(r"\brate\([^\[]*\[([^\]]+)\]", asked.expr):
        assert span in ("$__rate_interval", "$__range")
    assert not re.search(r"\b(?:irate|increase|delta|changes)\(", asked.expr)
    if "$__rate_interval" in asked.expr:
        every = max(seconds(scrape_intervals()[_job(name)]) for name in _metrics(asked.expr))
        assert seconds(asked.target["interval"]) == every


def _job(metric: str) -> str:
    if metric.startswith(("if", "ward_snmp_", "ward_device_cpu_", "ward_device_memory_", "ward_device_uptime_")):
        return "ward-exporter-snmp"
    return "ward-exporter" if metric.startswith("ward_") else "prometheus"


def _metrics(expr: str) -> set[str]:
    """The names of series in a query."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", expr)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|on|group_left|without) ?\([^)]*\)", "", bare)
    return set(re.findall(r"[a-zA-Z_:][\w:]*", LANGUAGE.sub("", bare.replace("$show", "").replace("1e6", ""))))


@every_query
def test_series_exist(asked: Asked) -> None:
    """Every series of the exporter in a query is one that docs/metrics.md tells of; recorded ones are in rules/."""
    named = _metrics(asked.expr)
    assert named
    for name in named:
        if ":" in name:
            assert name in {rule.get("record") for rule in rules()}
        elif name.startswith("ward_"):
            assert name.removesuffix("_bucket") in documented()


@pytest.mark.parametrize("asked", [one for one in queries() if one.uid == "ward-interfaces"], ids=str)
def test_only_chosen_interfaces_are_read(asked: Asked) -> None:
    """No part of a query reads interfaces that are not chosen, only to throw them away."""
    bare = re.sub(r"\b(?:by|on) \([^)]*\)", "", asked.expr)
    selectors = re.findall(r"\bif[A-Z]\w+\b(?!=)(\{[^}]*\}|)", bare)
    assert selectors
    assert all('ifName=~"$interface"' in selector for selector in selectors)


#: What a query is made of, and the unit that its values have: the first line that fits counts.
UNITS = (
    (r"timestamp.*\* 1000$", {"dateTimeFromNow"}),
    (r"^time\(\) - ", {"s"}),
    (r"ifHighSpeed.* > 0\) / 1e6", {"percentunit"}),
    (r"if\w*Octets.*\* 8|ifHighSpeed.*1e6", {"bps"}),
    (r"if(?:In|Out)(?:Errors|Discards)", {"pps"}),
    (r"histogram_seconds_bucket", {"s"}),
    (r"^(?:count|sum)[ (].*(?:== bool \d\)|^count)", {"none"}),
    (r"^(?:sum_over_time|sum by \(provider\) \(sum_over_time).* / ", {"percentunit"}),
    (r"^count", {"none"}),
    (r"rtt_seconds_total.*/.*replies_total", {"s"}),
    (r"^1 - .* / |count_over_time\((?:(?:device:)?ward_device_up|ward_site_isolated)", {"percentunit"}),
    (r"_seconds.* / .*_seconds|open_fds.* / .*max_fds", {"percentunit"}),
    (r"process_cpu_seconds_total", {"none"}),
    (r"rate\(ward_(?:probe|snmp)_(?:packets|send_errors|receive_buffer|foreign|invalid|retries)", {"pps"}),
    (r"rate\(", {"cps"}),
    (r"_seconds\b(?!_total)", {"s"}),
    (r"_ratio\b", {"percentunit"}),
    (r"_bytes\b", {"bytes"}),
    (r"", {"none", "short"}),
)


@every_query
def test_units_are_those_of_the_metrics(asked: Asked) -> None:
    """Seconds are shown as seconds, ratios as percent, octets times eight as bits, bytes as bytes."""
    expected = next(units for pattern, units in UNITS if re.search(pattern, asked.expr))
    assert asked.unit in expected


def _target(url: str) -> tuple[str, list[str]]:
    """The dashboard that a link leads to, and the variables that it sets there."""
    parts = urlsplit(url)
    assert parts.path.startswith("/d/"), url
    chosen = [name.removeprefix("var-") for name, _ in parse_qsl(parts.query) if name.startswith("var-")]
    return parts.path.removeprefix("/d/"), chosen


@every_board
def test_links_lead_somewhere(board: Json) -> None:
    """A link from a value carries the time range and the data source, and sets variables that its target has."""
    found = list(links(board["panels"]))
    assert found or board["uid"] == "ward-exporter"
    for link in found:
        uid, chosen = _target(link["url"])
        assert "${__url_time_range}" in link["url"]
        assert "${datasource:queryparam}" in link["url"]
        assert set(chosen) <= set(variables(BOARDS[uid]))
        assert re.findall(r"\$\{([^}]+)\}", link["url"])[2:] == [
            value
            for value in re.findall(r"\$\{([^}]+)\}", link["url"])
            if value.startswith(("__value", "__f", "__d"))
        ]


@every_board
def test_each_leads_to_all_others(board: Json) -> None:
    """At the top of each dashboard are the eight others; time range and variables go along."""
    assert [_target(link["url"])[0] for link in board["links"]] == [
        uid for uid in DASHBOARDS if uid != board["uid"]
    ]
    assert all(link["keepTime"] and link["includeVars"] for link in board["links"])


def test_alerts_lead_to_dashboards() -> None:
    """Every `dashboard_url` of the rules names a dashboard that there is, and variables that it has."""
    urls = [rule["annotations"]["dashboard_url"] for rule in rules() if "alert" in rule]
    assert len(urls) > 30
    for url in urls:
        uid, chosen = _target(url)
        assert set(chosen) <= set(variables(BOARDS[uid])), url


@every_board
def test_critical_alerts_are_marked(board: Json) -> None:
    """Graphs carry a mark where a critical alert began to fire, of what the dashboard shows."""
    (marks,) = board["annotations"]["list"]
    assert marks["enable"]
    assert marks["datasource"] == SOURCE
    assert marks["expr"].startswith('ALERTS{alertstate="firing", severity="critical"')
