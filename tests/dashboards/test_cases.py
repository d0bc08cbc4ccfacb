"""What panels say where exporters disagree, alerts end, devices move, and sites are in maintenance."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import MappingProxyType
from typing import NamedTuple

import pytest

from dashboards import queries as q
from dashboards.look import DOWN, SITE_STATES, SUPPRESSED, UP
from dashboards.preview.asking import Series
from dashboards.preview.fields import table
from dashboards.preview.filling import Span, Values, fill
from tests.dashboards.pages import VANTAGE_POINTS, Pages, device, further, sample, scraping
from tests.dashboards.reading import BOARDS, the
from tests.dashboards.stores import Store, ask
from tests.stack.inside import until

#: When the alert that has a record of it began, Unix seconds.
BEGAN = round(time.time()) - 7200
_ANY: Values = MappingProxyType({})
_ALERT = {"alertname": "DeviceDown", "site": "one", "role": "switch"}
#: Of each site the number that stands for its state, see look.SITE_STATES.
SITES = {"well": 4, "unlinked": 4, "kept": 3, "half-kept": 3, "one": 2, "moving": 2, "half": 1, "cut": 0}
#: Of each interface what it is told to be, what it was, and what it is: ifAdminStatus, and ifOperStatus twice.
PORTS = {
    "up": (1, 1, 1),
    "down": (1, 2, 2),
    "empty": (1, 6, 6),
    "lower": (1, 7, 7),
    "back": (1, 2, 5),
    "testing": (1, 3, 3),
    "unknown": (1, 4, 4),
    "dormant": (1, 5, 5),
    "off": (2, 2, 2),
}
BLIND, _SEES, _SEES_LESS = VANTAGE_POINTS
#: Scrapes before things change, and after.
_BEFORE, _AFTER = 4, 2


def alone(address: str, up: bool) -> list[str]:
    """One exporter; a device of it is at this address."""
    kept = ["maintenance"]
    return [
        sample("ward_inventory_devices", 14),
        sample("ward_mass_outage", 0),
        *(sample("ward_site_info", site=site, region="") for site in SITES),
        *(sample("ward_site_isolated", int(site in ("cut", "kept")), site=site) for site in SITES),
        *device("well-isp", "well", "isp"),
        *device("unlinked-sw", "unlinked"),
        *device("moved", "moving", address=address, up=up),
        *device("kept-isp", "kept", "isp", up=False, suppressed=kept),
        *device("kept-sw", "kept", up=False, suppressed=kept),
        *device("half-kept-a", "half-kept", "isp", up=False, suppressed=kept),
        *device("half-kept-b", "half-kept", "isp"),
        *device("one-isp", "one", "isp"),
        *device("one-sw", "one", up=False),
        *device("half-a", "half", "isp", up=False),
        *device("half-b", "half", "isp"),
        *device("cut-isp", "cut", "isp", up=False),
        *device("cut-sw", "cut", up=False, suppressed=["shadowed"]),
        *ports(changed=not up),
    ]


def ports(changed: bool) -> Iterator[str]:
    """Interfaces of a device, as they were or as they are now."""
    for number, (name, (wanted, was, found)) in enumerate(PORTS.items(), 1):
        labels = {"device": "well-sw", "site": "well", "role": "switch", "ifIndex": str(number), "ifName": name}
        yield sample("ifAdminStatus", wanted, **labels)
        yield sample("ifOperStatus", found if changed else was, **labels)


def vantage_point(name: str) -> list[str]:
    """One of three at another site: the first one is blind, and the third sees one device less than the second."""
    blind = name == BLIND
    seen, why = not blind, ["mass_outage"] if blind else []
    less = ["shadowed"] if name == _SEES_LESS else why
    return [
        sample("ward_mass_outage", int(blind)),
        sample("ward_site_info", site="voted", region=""),
        sample("ward_site_isolated", int(blind), site="voted"),
        *device("voted-isp", "voted", "isp", up=seen, suppressed=why),
        *device("voted-sw", "voted", up=name == _SEES, suppressed=less),
        *device("voted-flaps", "voted", up=seen, flaps=name == _SEES_LESS, suppressed=why),
        *device("voted-down", "voted", up=False, suppressed=why),
        *device("voted-kept", "voted", up=False, suppressed=[*why, "maintenance"]),
    ]


def evaluated(*alerts: str) -> list[str]:
    """What rules make of that."""
    voted = {"voted-isp": 1, "voted-sw": 1, "voted-flaps": 1, "voted-down": 0, "voted-kept": 0}
    return [
        *(
            sample(
                "device:ward_device_up:quorum",
                up,
                device=name,
                site="voted",
                role="isp" if name == "voted-isp" else "switch",
            )
            for name, up in voted.items()
        ),
        sample("ALERTS", alertname="Watchdog", alertstate="firing", severity="none"),
        *alerts,
    ]


def alert(name: str, severity: str, recorded: bool = False) -> list[str]:
    labels = _ALERT | {"device": name, "severity": severity}
    found = [sample("ALERTS", **labels, alertstate="firing")]
    return [*found, sample("ALERTS_FOR_STATE", BEGAN, **labels)] if recorded else found


class Running(NamedTuple):
    """All of them, and when things changed, Unix seconds."""

    stores: dict[str, Store]
    changed: float


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    jobs = {
        "ward-exporter": [{"instance": "alone"}, *({"instance": at, "vantage": at} for at in VANTAGE_POINTS)],
        "vmalert": [{"instance": "rules"}],
        "alertmanager": [{"instance": "gone"}],
        "prometheus": [{"instance": "never"}],
    }
    targets = sum(map(len, jobs.values()))
    lasting = [line for one in ("low", "medium", "critical") for line in alert(one, one, one == "medium")]
    with Pages() as pages:
        pages.texts |= {f"/{at}": vantage_point(at) for at in VANTAGE_POINTS}
        pages.texts["/alone"] = alone("10.0.0.2", up=True)
        pages.texts["/gone"] = [sample("something")]
        pages.texts["/rules"] = evaluated(*lasting, *alert("over", "high"), *alert("told", "high", recorded=True))
        with scraping(pages, jobs) as found:
            further(pages, found, targets, _BEFORE)
            pages.texts["/alone"] = alone("10.9.0.2", up=False)
            del pages.texts["/gone"]
            pages.texts["/rules"] = evaluated(*lasting)
            changed = time.time()
            further(pages, found, targets, _AFTER)
            until(lambda: all(_has_moved(store) for store in found.values()), "each finds the second address")
            until(lambda: all(map(_has_heard_of_ends, found.values())), "each knows what has ended")
            yield Running(found, changed)


def _has_moved(store: Store) -> bool:
    # Each time with other words: VictoriaMetrics would remember for 10 s what it did not find yet.
    asked = f'count_over_time(ward_device_up{{device="moved", role!="{time.time()}"}}[1m])'
    return len(store.query(asked)) == 2


def _has_heard_of_ends(store: Store) -> bool:
    """That of alerts, and that of Alertmanager."""
    now = time.time()
    alerts = store.query(f'ALERTS{{device=~"over|told", role!="{now}"}}')
    return not alerts and bool(store.query(f'up{{job="alertmanager", role!="{now}"}} == 0'))


@pytest.fixture
def stores(running: Running) -> dict[str, Store]:
    return running.stores


def found(store: Store, uid: str, title: str, values: Values = _ANY) -> list[Series]:
    """What a query finds now, also where its panel shows how that went."""
    at_end = {"instant": True, "range": False}
    asked = the(uid, title)
    answer = ask(store, asked._replace(target=asked.target | at_end), values, time.time())
    return [Series(one.labels, one.points) for one in answer]


def number(store: Store, uid: str, title: str, values: Values = _ANY) -> float:
    (one,) = found(store, uid, title, values)
    return one.last


@pytest.mark.parametrize(("uid", "title"), [("ward-alerts", "Firing now"), ("ward-overview", "Firing alerts")])
def test_alerts_that_have_ended_are_gone(stores: dict[str, Store], uid: str, title: str) -> None:
    """Alerts that have ended are in no list of what fires, whether or not there is a record of when they began."""
    for name, store in stores.items():
        assert {one.labels["device"] for one in found(store, uid, title)} == {"low", "medium", "critical"}, name


def test_alerts_begin_when_the_record_says(stores: dict[str, Store]) -> None:
    """An alert that is older than the time range has its own age; without a record it is the oldest sight of it."""
    for name, store in stores.items():
        seen = {one.labels["device"]: one.last for one in found(store, "ward-alerts", "Firing now")}
        assert seen["medium"] == BEGAN * 1000, name
        assert 0 <= time.time() * 1000 - seen["low"] < 120_000, name


@pytest.mark.parametrize(("uid", "title"), [("ward-alerts", "Firing now"), ("ward-overview", "Firing alerts")])
def test_the_most_severe_alerts_come_first(stores: dict[str, Store], uid: str, title: str) -> None:
    """Alerts are listed by how severe they are, and not by the spelling of that; what sorts them is not shown."""
    panel = the(uid, title).panel
    for name, store in stores.items():
        columns, rows = table(panel, {"A": found(store, uid, title)})
        assert [row["Severity"] for row in rows] == ["critical", "medium", "low"], name
        assert columns[0] == "Severity"
        assert "rank" not in columns


def test_availability_weighs_every_sample(running: Running) -> None:
    """A device that moved is up for the share of the samples of both its addresses, and not for the mean of two."""
    # While there are fewer samples of the second address than of the first.
    span = Span(running.changed - 300, running.changed + 2.5)
    expression = fill(q.available('device="moved"', "$__range"), BOARDS["ward-device"], {}, span)
    for name, store in running.stores.items():
        counted = {
            one.labels["address"]: one.value
            for one in store.query(f'count_over_time(ward_device_up{{device="moved"}}[{span.seconds}s])', span.end)
        }
        assert counted["10.0.0.2"] > counted["10.9.0.2"] > 0, name
        (share,) = store.query(expression, span.end)
        assert share.value == pytest.approx(counted["10.0.0.2"] / sum(counted.values())), name


def test_sites_in_maintenance_are_not_in_trouble(stores: dict[str, Store]) -> None:
    """A site is cut off, has lost a link or a device for what is not suppressed; with all of that it is not up."""
    assert set(SITES.values()) == set(SITE_STATES)
    for name, store in stores.items():
        for site, state in SITES.items():
            assert number(store, "ward-site", "Site", {"site": site}) == state, (name, site)
        assert number(store, "ward-map", "Cut off") == 1, name
        assert number(store, "ward-overview", "Sites cut off") == 1, name
        assert {one.labels["site"] for one in found(store, "ward-map", "Sites with trouble")} == {
            *(site for site, state in SITES.items() if state < 3),
            "voted",
        }, name


def test_isp_links_down_are_counted_alike(stores: dict[str, Store]) -> None:
    """Overview and ISP links show the same number: links that are down, and not those that are suppressed."""
    for name, store in stores.items():
        assert number(store, "ward-overview", "ISP links down") == 2, name
        assert number(store, "ward-isp", "Down") == 2, name


def test_a_site_without_links_is_not_called_reachable(stores: dict[str, Store]) -> None:
    """The share of the time in which a site was not cut off is that of sites that have ISP links."""
    for name, store in stores.items():
        assert number(store, "ward-site", "Reachable", {"site": "half"}) == 1, name
        assert number(store, "ward-site", "Reachable", {"site": "cut"}) == 0, name
        assert found(store, "ward-site", "Reachable", {"site": "unlinked"}) == [], name


def test_interfaces_are_down_as_the_alert_sees_it(stores: dict[str, Store]) -> None:
    """Down, not present or down with the layer below, and meant to be up: now, and within the time range."""
    # Of these few seconds.
    asked = the("ward-interfaces", "Interfaces that were down")
    asked = asked._replace(target=asked.target | {"instant": True, "range": False, "interval": "1s"})
    for name, store in stores.items():
        assert number(store, "ward-interfaces", "Down") == 3, name
        were = {one.labels["ifName"] for one in ask(store, asked, _ANY, time.time())}
        assert were == {"down", "empty", "lower", "back"}, name


def test_vantage_points_vote(stores: dict[str, Store]) -> None:
    """One that is blind paints nothing down, suppressed or cut off, nor does one that sees less than the others."""
    here = {"site": ["voted"]}
    expected = {
        "voted-isp": UP,
        "voted-sw": UP,
        "voted-flaps": UP,
        "voted-down": DOWN,
        "voted-kept": SUPPRESSED,
    }
    for name, store in stores.items():
        cells = found(store, "ward-grid", "$role", here)
        assert {one.labels["device"]: one.last for one in cells} == expected, name
        assert number(store, "ward-overview", "ISP links down", here) == 0, name
        assert number(store, "ward-overview", "Sites cut off", here) == 0, name
        assert number(store, "ward-site", "Site", {"site": "voted"}) == 2, name
        assert number(store, "ward-site", "Links up", {"site": "voted"}) == 1, name
        assert number(store, "ward-site", "Devices down", {"site": "voted"}) == 2, name
        assert found(store, "ward-overview", "ISP links with trouble", here) == [], name


def test_parts_that_were_never_there_are_not_listed(stores: dict[str, Store]) -> None:
    """Of the parts of the stack those have a row that have answered within a day, also when they are silent now."""
    for name, store in stores.items():
        rows = {one.labels["job"]: one.last for one in found(store, "ward-exporter", "Parts of the stack")}
        assert rows == {"ward-exporter": 1, "vmalert": 1, "alertmanager": 0}, name
