"""Stories for all alerts together: what one event sets off, and what it does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.rules.device_cases import alert
from tests.rules.site_cases import BATUMI, BEHIND, SILENT, START, cut, isolated, well
from tests.rules.trials import labelled
from tests.rules.world import STALE, Alert, Case, Series, said, scraped

SITE = {"site": "batumi-02", "role": "isp", "priority": "0"}
LINKS_DOWN = [alert("IspLinkDown", "critical", link) for link in BATUMI]
REDUNDANCY = labelled("SiteRedundancyLost", "high", **SITE)
EXPORTER = labelled("ExporterDown", "critical", component="exporter")


def mass(value: float) -> list[Series]:
    return [said("ward_mass_outage", {0: 0, START: value}), said("ward_inventory_devices", len([*BATUMI, *BEHIND]))]


def story(name: str, series: Sequence[Series], fires: dict[int, Sequence[Alert]], *silent: tuple[int, int]) -> Case:
    return Case(name, scraped(series, *silent), fires)


def cases() -> Iterator[Case]:
    yield story(
        "one link of two is cut",
        [*cut(BATUMI[:1], end=200), *well([*BATUMI[1:], *BEHIND]), isolated(value=0), *mass(0)],
        {35: [], 40: LINKS_DOWN[:1], 100: [*LINKS_DOWN[:1], REDUNDANCY], 200: []},
    )
    yield story(
        "both links are cut, and nothing is said about what is behind them",
        [*cut(BATUMI, end=200), *cut(BEHIND, 205, {"shadowed": {30: 1, 205: STALE}}), isolated(200), *mass(0)],
        {
            35: [],
            **dict.fromkeys((40, 195), (*LINKS_DOWN, labelled("SiteIsolated", "critical", **SITE))),
            200: [],
            205: [],
        },
    )
    flapping = alert("IspLinkFlapping", "critical", BATUMI[0])
    yield story(
        "the only link of a site flaps, and is down for more than a minute",
        [*cut(BATUMI[:1], None, {"flapping": {30: 1}}, {**SILENT, "flapping": 1}), isolated(), *mass(0)],
        {
            **dict.fromkeys((35, 40, 85), [flapping]),
            **dict.fromkeys((90, 200), [flapping, labelled("SiteIsolated", "critical", **SITE)]),
        },
    )
    yield story(
        "our own uplink is cut",
        [*cut([*BATUMI, *BEHIND], 200, {"mass_outage": {30: 1, 200: STALE}}), isolated(200), *mass(1)],
        {35: [], 40: [labelled("MassOutage", "critical")], 195: [labelled("MassOutage", "critical")]},
    )
    yield story(
        "a site is in maintenance",
        [*cut([*BATUMI, *BEHIND], 200, {"maintenance": 1}), isolated(200), *mass(0)],
        {40: [], 195: [], 200: []},
    )
    yield story(
        "the exporter dies during an outage, and the outage ends before it is back",
        [*cut(BATUMI[:1], end=200), *well([*BATUMI[1:], *BEHIND]), isolated(value=0), *mass(0)],
        {
            120: [*LINKS_DOWN[:1], REDUNDANCY],
            125: [*LINKS_DOWN[:1], REDUNDANCY, EXPORTER],
            295: [*LINKS_DOWN[:1], REDUNDANCY, EXPORTER],
            300: [],
        },
        (115, 300),
    )
