"""Every query of every panel, on real databases fed by the exporter, over a network where everything goes wrong."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import pytest

from dashboards.look import DOWN, FLAPPING, SUPPRESSED, UNKNOWN, UP
from dashboards.preview import fields as preview
from dashboards.preview.asking import Series
from dashboards.preview.filling import Span, Value, Values, fill, variables
from tests.dashboards import network
from tests.dashboards.reading import BOARDS, Asked, labels_shown, queries, the
from tests.dashboards.stores import Store, ask, scraped, stores
from tests.servers import Sample
from tests.simnet import Simnet
from tests.stack.inside import until

#: Who scrapes the exporter as two: a database of each kind, and another of each does not.
TWICE = {"prometheus-floor", "victoria-metrics-trixie"}
#: Recorded series come each 30 s, and a rate takes two of them.
_DEADLINE_SECONDS = 150
_PAUSE_SECONDS = 2
#: VictoriaMetrics shows a scrape in parts while it comes in: of some counters the last sample, and not of others.
_SETTLED_SECONDS = 2
#: What is chosen at the top, where All is not enough: no single device has all that a panel can show.
CHOSEN: dict[str, Sequence[Values]] = {
    "ward-device": [
        {"device": name} for name in (network.FLAPPING, next(iter(network.AGENTS)), network.MAINTAINED)
    ],
    "ward-site": [{"site": "tbilisi-01"}, {"site": network.ISOLATED}],
}


class Answers(NamedTuple):
    """What every query found, by store, the first time that it found anything."""

    found: dict[str, dict[str, list[Sample]]]
    stores: dict[str, Store]


@pytest.fixture(scope="module")
def answers() -> Iterator[Answers]:
    with Simnet() as net, network.bank(net) as bank, stores(net, twice=TWICE) as running:
        scraped(running.values())
        bank.trouble()
        found: dict[str, dict[str, list[Sample]]] = {name: {} for name in running}
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while time.monotonic() < deadline:
            missing = [(name, one) for name in running for one in queries() if str(one) not in found[name]]
            if not missing:
                break
            for name, asked in missing:
                for values in CHOSEN.get(asked.uid, [{}]):
                    if answer := ask(running[name], asked, values, time.time() - _SETTLED_SECONDS):
                        found[name][str(asked)] = answer
                        break
            time.sleep(_PAUSE_SECONDS)
        yield Answers(found, dict(running))


def test_every_query_finds_something(answers: Answers) -> None:
    """PromQL and MetricsQL, old and new, read every query with its variables filled in, and find data."""
    assert len(answers.stores) >= 2
    empty = [
        (name, str(one)) for name, there in answers.found.items() for one in queries() if str(one) not in there
    ]
    assert empty == []


def test_legends_name_labels_that_are_there(answers: Answers) -> None:
    """A label in a legend is one that some series of the answer has; one in a column is in some answer there."""
    for name, there in answers.found.items():
        labels: dict[str, set[str]] = {}
        for asked in queries():
            found = list(there[str(asked)])
            # One device has what another one lacks, and the first of the alerts not all that later ones have.
            for values in CHOSEN.get(asked.uid, [{}]):
                found += ask(answers.stores[name], asked, values, time.time())
            labels.setdefault(_shown_together(asked), set()).update(
                label for sample in found for label in sample.labels
            )
        for asked in queries():
            assert labels_shown(asked) <= labels[_shown_together(asked)], (name, str(asked))


def _shown_together(asked: Asked) -> str:
    """A table merges the answers of its queries."""
    return f"{asked.uid} {asked.panel['id']}" if asked.panel["type"] == "table" else str(asked)


def test_tables_have_their_own_columns_alone(answers: Answers) -> None:
    """A label of an answer is no column of a table unless it was made one."""
    tables = {_shown_together(one): one for one in queries() if _merged(one)}
    assert len(tables) > 10
    for name, there in answers.found.items():
        for table, first in tables.items():
            merged = {
                one.target["refId"]: [Series(sample.labels, sample.points) for sample in there[str(one)]]
                for one in queries()
                if _shown_together(one) == table
            }
            columns, rows = preview.table(first.panel, merged)
            (organize,) = (step for step in first.panel["transformations"] if step["id"] == "organize")
            assert set(columns) <= set(organize["options"]["renameByName"].values()), (name, str(first))
            assert rows


def _merged(asked: Asked) -> bool:
    return any(step["id"] == "merge" for step in asked.panel.get("transformations", ()))


def test_values_fit_their_units(answers: Answers) -> None:
    """A share is between 0 and 1, a moment is of these days in milliseconds, no counter runs backwards."""
    now = time.time() * 1000
    bounds = {
        "percentunit": (-0.01, 2.0),
        "dateTimeFromNow": (now - 86_400_000, now + 60_000),
        "s": (0, 10 * 366 * 86_400),
        "bps": (0, 1e11),
        "pps": (0, 1e6),
        "cps": (0, 1e6),
        "bytes": (0, 1e15),
    }
    for name, there in answers.found.items():
        for asked in queries():
            least, most = bounds.get(asked.unit, (-1e18, 1e18))
            for sample in there[str(asked)]:
                for _, value in sample.points:
                    assert least <= value <= most, (name, str(asked), sample)


def test_the_grid_tells_the_truth(answers: Answers) -> None:
    """Each kind of trouble has its colour, and what has none is up, on every store."""
    (cells,) = (one for one in queries() if one.uid == "ward-grid" and one.panel.get("repeat"))
    expected = {
        network.DOWN: DOWN,
        network.HALVED: DOWN,
        network.UNROUTED: DOWN,
        network.NAMELESS: DOWN,
        network.FLAPPING: FLAPPING,
        network.MAINTAINED: SUPPRESSED,
        network.SLOW: UP,
        network.LOSSY: UP,
        "tbilisi-01-rt1": UP,
        f"{network.ISOLATED}-isp-a": DOWN,
        f"{network.ISOLATED}-rt1": SUPPRESSED,
        f"{network.ISOLATED}-atm1": SUPPRESSED,
    }
    for name, store in answers.stores.items():
        states = {sample.labels["device"]: sample.value for sample in ask(store, cells, {}, time.time())}
        assert {device: states.get(device) for device in expected} == expected, name
        assert UNKNOWN not in states.values()
        only = ask(store, cells, {"show": "== 1"}, time.time())
        assert {sample.labels["device"] for sample in only} >= {network.FLAPPING}
        assert {sample.value for sample in only} == {FLAPPING}
        behind = ask(store, cells, {"site": ["gori-01", "poti-01"], "role": "router"}, time.time())
        assert {sample.labels["device"] for sample in behind} == {"gori-01-rt1", "poti-01-rt1"}


#: What each panel shows of a label at least.
SHOWN = (
    (
        "ward-overview",
        "Down devices",
        "A",
        "device",
        {network.DOWN, network.HALVED, network.UNROUTED, network.NAMELESS},
    ),
    ("ward-overview", "Down devices", "A", "reason", {"timeout", "net_unreachable", "dns"}),
    ("ward-overview", "Slowest devices", "A", "device", {network.SLOW}),
    ("ward-overview", "Lossiest devices", "A", "device", {network.LOSSY}),
    ("ward-map", "Sites with trouble", "A", "site", {network.ISOLATED, "telavi-01", "mobile-01"}),
    (
        "ward-alerts",
        "Firing now",
        "A",
        "alertname",
        {"SiteIsolated", "IspLinkDown", "IspLinkFlapping", "DeviceDown", "InventoryShrunk"},
    ),
    ("ward-alerts", "Noise saved by suppression", "B", "reason", {"flapping", "maintenance", "shadowed"}),
    ("ward-alerts", "Top flappers", "A", "device", {network.FLAPPING}),
    ("ward-exporter", "Send errors", "A", "errno", {"ENETUNREACH"}),
)


def test_trouble_is_shown(answers: Answers) -> None:
    """Panels for what is wrong show what is wrong in this network."""

    def found(store: Store, uid: str, title: str, letter: str, label: str) -> set[str]:
        return {sample.labels.get(label, "") for sample in ask(store, the(uid, title, letter), {}, time.time())}

    for name, store in answers.stores.items():
        for *panel, label, least in SHOWN:
            asked = partial(found, store, *panel, label)
            until(partial(_holds, asked, least), f"{name}: {panel} shows {least}", _DEADLINE_SECONDS)
        assert "tbilisi-01" not in found(store, "ward-map", "Sites with trouble", "A", "site"), name
        assert found(store, "ward-map", "Sites without coordinates", "A", "site") == {"mobile-01"}, name
        assert found(store, "ward-interfaces", "Interfaces that were down", "A", "ifName") == {"port2"}, name
        for title in ("Errors", "Discards"):
            ports = ask(store, the("ward-interfaces", title), {}, time.time())
            assert min(max(value for _, value in port.points) for port in ports) > 0, (name, title)


def _holds(asked: Callable[[], set[str]], least: set[str]) -> bool:
    return asked() >= least


#: Panels that count or add up, and tables with a row for each of something.
COUNTED = (
    ("ward-interfaces", "Interfaces", "A"),
    ("ward-interfaces", "Down", "A"),
    ("ward-interfaces", "In", "A"),
    ("ward-interfaces", "Out", "A"),
    ("ward-isp", "All links", "A"),
    ("ward-isp", "Providers", "A"),
    ("ward-isp", "Providers", "B"),
    ("ward-map", "Sites with trouble", "B"),
    ("ward-site", "Devices", "A"),
    ("ward-site", "Links up", "A"),
    ("ward-exporter", "Devices", "A"),
    ("ward-exporter", "SNMP: devices", "A"),
)
LISTED = (
    ("ward-interfaces", "Traffic", "A"),
    ("ward-interfaces", "Use of the line", "B"),
    ("ward-interfaces", "Errors", "A"),
    ("ward-interfaces", "All chosen interfaces", "A"),
    ("ward-interfaces", "All chosen interfaces", "F"),
    ("ward-interfaces", "Interfaces that were down", "A"),
    ("ward-isp", "Links", "A"),
    ("ward-isp", "Links", "D"),
    ("ward-map", "Sites", "A"),
    ("ward-overview", "Down devices", "A"),
    ("ward-site", "Traffic of the busiest interfaces", "A"),
)


def test_two_exporters_count_once(answers: Answers) -> None:
    """Two that watch the same devices, and do not agree in every label, make no second row and double no number."""
    site = {"site": "tbilisi-01"}

    def spread(asked: Asked) -> float:
        """By how much of it the databases' totals differ; at the same moment, to be compared."""
        end = time.time() - _SETTLED_SECONDS
        totals: dict[str, list[float]] = {}
        for store in answers.stores.values():
            total = sum(one.value for one in ask(store, asked, site if asked.uid == "ward-site" else {}, end))
            # The rate of a young counter is higher in VictoriaMetrics.
            totals.setdefault(store.PROGRAM if asked.unit == "bps" else "any", []).append(total)
        return max((max(found) - min(found)) / max(*found, 1e-9) for found in totals.values())

    for uid, title, letter in COUNTED:
        asked = the(uid, title, letter)
        asked = asked._replace(target=asked.target | {"instant": True})
        # Twice as many would be a half.
        until(lambda asked=asked: spread(asked) < 0.3, f"all count alike: {asked}", _DEADLINE_SECONDS)  # type: ignore[misc]
    end = time.time()
    for uid, title, letter in LISTED:
        asked = the(uid, title, letter)
        for name, store in answers.stores.items():
            rows = ask(store, asked, site if uid == "ward-site" else {}, end)
            own = [tuple(row.labels.get(label, "") for label in ("device", "ifIndex", "site")) for row in rows]
            assert rows, (name, str(asked))
            assert len(own) == len(set(own)), (name, str(asked))
    assert TWICE & set(answers.stores)


def test_marks_of_critical_alerts_are_found(answers: Answers) -> None:
    """The query behind the red marks of each dashboard is one that databases answer, with what its text names."""

    def marks(store: Store, uid: str) -> list[Sample]:
        (annotation,) = BOARDS[uid]["annotations"]["list"]
        span = Span(time.time() - 300, time.time())
        down: Values = {"device": network.HALVED, "site": network.ISOLATED} if uid in CHOSEN else {}
        expression = fill(annotation["expr"], BOARDS[uid], down, span)
        return store.query_range(expression, span.start, span.end, 30)

    for name, store in answers.stores.items():
        for uid in BOARDS:
            until(partial(marks, store, uid), f"{name} has marks for {uid}", _DEADLINE_SECONDS)
            assert all("alertname" in sample.labels for sample in marks(store, uid)), (name, uid)


def test_variables_have_something_to_choose(answers: Answers) -> None:
    """What can be chosen at the top of a dashboard is what the exporter knows, with all before it at All."""
    expected = {
        "site": set(network.SITES),
        "role": {"isp", "router", "switch", "atm", "server"},
        "provider": set(network.PROVIDERS),
        "device": {network.FLAPPING},
        "interface": {"lo", "port2"},
    }
    polled = {"site": {"tbilisi-01"}, "role": {"router", "switch"}, "device": set(network.AGENTS)}
    end = time.time()
    for uid, board in BOARDS.items():
        wanted = expected | (polled if uid == "ward-interfaces" else {})
        chosen: dict[str, Value] = {"site": "rustavi-01"} if uid == "ward-device" else {}
        for variable in (one for one in variables(board).values() if one["type"] == "query"):
            call = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert call
            asked = {"match[]": fill(call[1], board, chosen, Span(end - 300, end)), "start": end - 300, "end": end}
            for name, store in answers.stores.items():
                found = set(store._ask(f"label/{call[2]}/values", asked))
                least = {one for one in wanted[variable["name"]] if uid != "ward-device" or one in found}
                assert found >= least > set(), (name, uid, variable["name"])
