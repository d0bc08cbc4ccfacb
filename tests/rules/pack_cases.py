"""Stories for all alerts together: what one event sets off, and what it does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tests.rules.device_cases import alert
from tests.rules.site_cases import BATUMI, BEHIND, SILENT, START, cut, isolated, well
from tests.rules.trials import labelled
from tests.rules.world import STALE, Alert, Case, Series, said, scraped

SITE = {"site": "batumi-02", "role": "isp", "priority": "0"}
LINKS_DOWN = [alert("IspLinkDown", "critical", link) for link in BATUMI]
REDUNDANCY = labelled("SiteRedundancyLost", "high", **SITE)
CUT_OFF = [*LINKS_DOWN, labelled("SiteIsolated", "critical", **SITE)]
MASS_OUTAGE = labelled("MassOutage", "critical")
EXPORTER = labelled("ExporterDown", "critical", component="exporter")


def mass(value: float) -> list[Series]:
    return [said("ward_mass_outage", {0: 0, START: value}), said("ward_inventory_devices", len([*BATUMI, *BEHIND]))]


def story(name: str, series: Sequence[Series], fires: dict[int, Sequence[Alert]], *silent: tuple[int, int]) -> Case:
    return Case(name, scraped(series, *silent), fires)


def cases() -> Iterator[Case]:
    yield story(
        "one link of two is cut",
        [*cut(BATUMI[:1], end=200), *well([*BATUMI[1:], *BEHIND]), isolated(value=0), *mass(0)],
        {
            35: [],
            40: LINKS_DOWN[:1],
            100: [*LINKS_DOWN[:1], REDUNDANCY],
            205: [*LINKS_DOWN[:1], REDUNDANCY],
            210: [],
        },
    )
    yield story(
        "both links are cut, and nothing is said about what is behind them",
        [*cut(BATUMI, end=200), *cut(BEHIND, 205, {"shadowed": {30: 1, 205: STALE}}), isolated(200), *mass(0)],
        {
            35: [],
            **dict.fromkeys((40, 205), CUT_OFF),
            210: [],
        },
    )
    flapping = alert("IspLinkFlapping", "critical", BATUMI[0])
    yield story(
        "the only link of a site flaps, and is down for more than a minute",
        [*cut(BATUMI[:1], None, {"flapping": {30: 1}}, {**SILENT, "flapping": 1}), isolated(), *mass(0)],
        {
            35: [],
            **dict.fromkeys((40, 85), (flapping,)),
            **dict.fromkeys((90, 200), (flapping, labelled("SiteIsolated", "critical", **SITE))),
        },
    )
    yield story(
        "our own uplink is cut",
        [*cut([*BATUMI, *BEHIND], 200, {"mass_outage": {30: 1, 200: STALE}}), isolated(200), *mass(1)],
        {35: [], 40: [MASS_OUTAGE], 195: [MASS_OUTAGE]},
    )
    yield story(
        "a site is in maintenance",
        [*cut([*BATUMI, *BEHIND], 200, {"maintenance": 1}), isolated(200), *mass(0)],
        {40: [], 195: [], 200: [], 210: []},
    )
    yield story(
        "the exporter dies during an outage, and the outage ends before it is back",
        [*cut(BATUMI[:1], end=200), *well([*BATUMI[1:], *BEHIND]), isolated(value=0), *mass(0)],
        {
            120: [*LINKS_DOWN[:1], REDUNDANCY],
            125: [*LINKS_DOWN[:1], REDUNDANCY, EXPORTER],
            295: [*LINKS_DOWN[:1], REDUNDANCY, EXPORTER],
            300: [*LINKS_DOWN[:1], REDUNDANCY],
            305: [*LINKS_DOWN[:1], REDUNDANCY],
            310: [],
        },
        (115, 300),
    )
    yield from _half_of_a_page()


def _half_of_a_page() -> Iterator[Case]:
    """VictoriaMetrics shows what a scrape has brought over some seconds, in no order."""
    cut_off = [*cut(BATUMI), *mass(0), isolated()]
    yield story(
        "suppressions that end are gone before the devices are seen up",
        [
            *cut([*BATUMI, *BEHIND], 205, {"mass_outage": {30: 1, 200: STALE}}),
            isolated(205),
            *mass(1),
        ],
        {40: [MASS_OUTAGE], **dict.fromkeys((200, 205, 210), (MASS_OUTAGE,))},
    )
    silent = scraped([*cut(BATUMI), *cut(BEHIND, None, {"shadowed": 1}), *mass(0), isolated()], (115, 300))
    late = [
        replace(one, course={0: 1, 115: STALE, 305: 1}) if one.name == "ward_device_suppressed" else one
        for one in silent
    ]
    yield Case(
        "suppressions are seen after the devices, when the exporter is back",
        late,
        {110: CUT_OFF, 295: [*CUT_OFF, EXPORTER], **dict.fromkeys((300, 305, 310, 330), CUT_OFF)},
    )
    dead = [
        replace(one, course={0: 1, 120: 0}) if one.name == "up" else one for one in scraped(cut_off, (115, 400))
    ]
    yield Case(
        "the end of all series is seen before the failed scrape",
        dead,
        {110: CUT_OFF, 115: CUT_OFF, 120: CUT_OFF, 125: CUT_OFF, 300: [*CUT_OFF, EXPORTER]},
    )
