"""Stories for the alerts about the exporter's own polling in rules/snmp.yml."""

from __future__ import annotations

from collections.abc import Iterator

from tests.rules.exporter_cases import HOUR, of_exporter
from tests.rules.faults import SLOW, Fault
from tests.rules.polled import MINUTE, SCRAPES, Polled
from tests.rules.vital_cases import SWITCH
from tests.rules.world import EXPORTER, GAP, STALE, Alert, Case, Course, Device, Series, now, scraped

OTHER = Device("sw2", "switch", "hq")
HALF = 1800


def page(name: str, course: Course) -> Series:
    return Series(name, {"job": SCRAPES, "instance": EXPORTER}, course)


def polls(up: Course, polled_at: Course, *others: Device) -> list[Series]:
    """How polling goes, by the page alone."""
    found = [
        one
        for device in (SWITCH, *others)
        for one in Polled(device).series(ward_snmp_up=up, ward_snmp_last_poll_timestamp_seconds=polled_at)
        if one.labels["job"] == SCRAPES
    ]
    return scraped(found)


def of_pollers(name: str, severity: str) -> Alert:
    alert = of_exporter(name, severity)
    return Alert(name, {**alert.labels, "job": SCRAPES})


STALLED = of_pollers("SnmpPollingStalled", "high")
#: Polls end at 300 s, are called old at 480 s, and go on at 1500 s.
NO_MORE: Course = {0: now, 300: 300, 1500: now}

FAULTS = (
    Fault(
        of_pollers("SnmpPollerRestarting", "medium"),
        [page("ward_snmp_worker_restarts_total", {0: 0, 300: 4})],
        fires=300,
        ends=300 + 960,
        never={
            "restarts of long ago": [page("ward_snmp_worker_restarts_total", 7)],
            "the exporter was started again": [page("ward_snmp_worker_restarts_total", {0: 7, 300: 0})],
        },
        summary="Poller processes of exporter:9841 end by themselves",
        description=(
            "About 4 have ended within 15 minutes, and were started again. What their devices answer to SNMP comes "
            "late, or not at all."
        ),
        outlasts=True,
        step=MINUTE,
    ),
    Fault(
        STALLED,
        polls({0: 1, 480: 0, 1500: 1}, NO_MORE, OTHER),
        fires=300 + 660 + 300,
        ends=1500,
        never={
            "one of them goes on": [
                *polls({0: 1, 480: 0}, {0: now, 300: 300}),
                *(one for one in polls(1, now, OTHER) if one.labels.get("device") == "sw2"),
            ],
            "none answers, and each is asked in 8 minutes": polls(
                0, lambda second: second - second % 480 if second > 100 else 0
            ),
            "they are asked once an hour": polls(1, 0),
        },
        summary="The exporter exporter:9841 polls no device by SNMP",
        description=(
            "It answers, but no poll has been made for 10 minutes or longer: what interfaces do is not seen, and "
            "alerts about them stay as they are. SnmpUnreachable of all devices comes from this."
        ),
        outlasts=True,
        step=MINUTE,
    ),
)


def cases() -> Iterator[Case]:
    for fault in FAULTS:
        yield from fault.cases()
        yield fault.text()
    back = {0: 1, 2 * HOUR: STALE}
    yield Case(
        "SnmpPollingStalled: the exporter is back, and has polled nobody since",
        polls(back, {0: now, 2 * HOUR: STALE}),
        {2 * HOUR: [], 2 * HOUR + 3 * SLOW: [STALLED], 24 * HOUR: [STALLED], 28 * HOUR: []},
        step=SLOW,
    )
    yield Case(
        "SnmpPollingStalled is silent: its page fails, which is an alert of its own",
        [one if one.name != "up" else page("up", {0: 1, 600: 0}) for one in polls({0: 1, 600: STALE}, 600)],
        {HALF: []},
        step=MINUTE,
    )
    yield Case(
        "SnmpPollingStalled is silent: no device was ever to be polled",
        [page("up", 1), page("ward_snmp_worker_restarts_total", 0)],
        {HALF: []},
        step=MINUTE,
    )
    yield Case(
        "SnmpPollingStalled is silent: the first polls have not come yet",
        polls({0: GAP, 300: 1}, {0: GAP, 300: now}),
        {300: [], HALF: []},
        step=MINUTE,
    )
