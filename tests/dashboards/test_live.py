"""Every query of every panel, on real databases fed by the exporter, over a network where everything goes wrong."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import pytest

from dashboards.look import DOWN, FLAPPING, SUPPRESSED, UNKNOWN, UP
from dashboards.preview.filling import Span, Values, fill
from tests.dashboards import network
from tests.dashboards.reading import BOARDS, Asked, labels_shown, queries
from tests.dashboards.stores import Store, scraped, stores
from tests.servers import Sample
from tests.simnet import Simnet

#: The range that panels show here: longer than what there is.
_SHOWN_SECONDS = 300
#: Recorded series come each 30 s, and a rate takes two of them.
_DEADLINE_SECONDS = 150
_PAUSE_SECONDS = 2
#: It comes with the first of the alerts, and not all of these have all of its labels.
LATE = {"ward-alerts: Firing now A", "ward-overview: Firing alerts A"}
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


def ask(store: Store, asked: Asked, values: Values, end: float) -> list[Sample]:
    span, least = Span(end - _SHOWN_SECONDS, end), asked.target["interval"]
    expression = fill(asked.expr, BOARDS[asked.uid], values, span, least)
    if asked.target["instant"]:
        return store.query(expression, end)
    return store.query_range(expression, span.start, span.end, span.step(least))


@pytest.fixture(scope="module")
def answers() -> Iterator[Answers]:
    with Simnet() as net, network.bank(net) as bank, stores(net) as running:
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
                    if answer := ask(running[name], asked, values, time.time()):
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
    """A label in a legend or a column is one that some series of the answer has."""
    for name, there in answers.found.items():
        for asked in queries():
            found = ask(answers.stores[name], asked, {}, time.time()) if str(asked) in LATE else there[str(asked)]
            labels = {label for sample in found for label in sample.labels}
            assert labels_shown(asked) <= labels, (name, str(asked))


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


def test_trouble_is_shown(answers: Answers) -> None:
    """Panels for what is wrong show what is wrong in this network."""

    def found(store: Store, uid: str, title: str, label: str, letter: str = "A") -> set[str]:
        (asked,) = (
            one
            for one in queries()
            if one.uid == uid and one.panel["title"] == title and one.target["refId"] == letter
        )
        return {sample.labels.get(label, "") for sample in ask(store, asked, {}, time.time())}

    for name, store in answers.stores.items():
        labels = partial(found, store)
        down = labels("ward-overview", "Down devices", "device")
        assert {network.DOWN, network.HALVED, network.UNROUTED, network.NAMELESS} <= down, name
        assert labels("ward-overview", "Down devices", "reason") >= {"timeout", "net_unreachable", "dns"}, name
        assert network.SLOW in labels("ward-overview", "Slowest devices", "device"), name
        assert network.LOSSY in labels("ward-overview", "Lossiest devices", "device"), name
        trouble = labels("ward-map", "Sites with trouble", "site")
        assert {network.ISOLATED, "telavi-01", "mobile-01"} <= trouble, name
        assert "tbilisi-01" not in trouble, name
        assert labels("ward-map", "Sites without coordinates", "site") == {"mobile-01"}, name
        firing = labels("ward-alerts", "Firing now", "alertname")
        assert {"SiteIsolated", "IspLinkDown", "IspLinkFlapping", "DeviceDown", "InventoryShrunk"} <= firing, name
        held = labels("ward-alerts", "Noise saved by suppression", "reason", "B")
        assert held >= {"flapping", "maintenance", "shadowed"}, name
        assert network.FLAPPING in labels("ward-alerts", "Top flappers", "device"), name
        assert "ENETUNREACH" in labels("ward-exporter", "Send errors", "errno"), name
        ports = labels("ward-interfaces", "Interfaces that were down", "ifName")
        assert ports == {"port2"}, name
