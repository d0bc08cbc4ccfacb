"""Stories for the exporter's own alerts in rules/exporter.yml."""

from __future__ import annotations

from collections.abc import Iterator

from tests.rules.faults import QUARTER, SLOW, Fault, part, up
from tests.rules.trials import labelled
from tests.rules.world import STEP, Alert, Answer, Case, Course, Series, Text, Value, said

HOUR = 3600


def of_exporter(name: str, severity: str, **labels: str) -> Alert:
    return labelled(name, severity, component="exporter", **labels)


def until(second: float) -> Value:
    """A counter of one a second that stops at some second."""
    return lambda now: min(now, second)


def loop(cycles: Course, interval: float = 1) -> list[Series]:
    return [said("ward_probe_cycles_total", cycles), said("ward_probe_interval_seconds", interval)]


def void(a_second: float, interval: float = 1) -> list[Series]:
    """So many void probes of a loop that turns, with an inventory of ten devices."""
    return [
        *loop(lambda now: now // interval, interval),
        said("ward_probe_void_total", lambda now: a_second * now),
        said("ward_inventory_devices", 10),
    ]


def busy(seconds: Course, interval: float = 1) -> list[Series]:
    return [
        said("ward_probe_cycle_duration_seconds", seconds),
        said("ward_probe_interval_seconds", interval),
        said("ward_probe_cycles_skipped_total", 0),
    ]


def errors(count: Course, errno: str = "ENOBUFS") -> list[Series]:
    return [
        said("ward_probe_send_errors_total", count, errno=errno),
        said("ward_probe_cycles_total", lambda now: now),
    ]


def replies(ahead: Course) -> list[Series]:
    """One device answers, and one has never answered."""
    name = "ward_device_last_reply_timestamp_seconds"
    return [said(name, ahead, device="answers"), said(name, 0, device="never")]


STALLED = of_exporter("ProbeLoopStalled", "critical")
OVERRUN = of_exporter("ProbeLoopOverrun", "high")
ERRORS = of_exporter("ProbeSendErrors", "high", errno="ENOBUFS")
LARGE = of_exporter("ScrapeTooLarge", "medium")
NOT_KEPT_UP = (
    "Rounds take more than 80 % of the probe interval, or some were given up in the last 5 minutes. The machine is "
    "too busy, or the interval too short for this inventory."
)
STALLED_TEXT = (
    "The exporter answers, but for a minute or longer it has finished no round of probes, or most of them were "
    "void: what it says about devices is old, and outages are not seen."
)

FAULTS = (
    Fault(
        of_exporter("ExporterDown", "critical"),
        [up({0: 1, 30: 0, 90: 1})],
        fires=40,
        ends=90,
        never={"one failed scrape": [up({0: 1, 30: 0, 40: 1})], "another job": [up({0: 1, 30: 0}, "something")]},
        summary="The exporter exporter:9841 does not answer",
        description=(
            "Nobody watches the network: scrapes of exporter:9841 have failed for 10 s, or on and off, more than "
            "40 % of them within a minute. Alerts that were firing go on; new outages are not seen."
        ),
        step=STEP,
    ),
    Fault(
        STALLED,
        loop({0: until(60), 150: lambda now: now}),
        fires=120,
        ends=150,
        never={
            "a round in 20 s, as it is meant to be": loop(lambda now: now // 20, interval=20),
            "a round in 60 s, as it is meant to be": loop(lambda now: now // 60, interval=60),
            "the exporter has started again": loop({0: until(300), 100: lambda now: now - 100}),
            "half of the probes are void": void(5),
            "a slow loop has void probes": void(0.4, interval=21),
        },
        summary="The probe loop of exporter:9841 stands still",
        description=STALLED_TEXT,
        step=STEP,
    ),
    Fault(
        OVERRUN,
        busy({0: 0.2, 30: 0.801, 150: 0.2}),
        fires=90,
        ends=150,
        never={
            "80 % of the interval": busy(0.8),
            "for less than a minute": busy({0: 0.2, 30: 0.9, 90: 0.2}),
            "a longer interval": busy(0.9, interval=2),
        },
        summary="The probe loop of exporter:9841 does not keep up",
        description=NOT_KEPT_UP,
    ),
    Fault(
        of_exporter("ExporterClockAhead", "high"),
        replies({0: lambda now: now, 30: lambda now: now + 90, 150: lambda now: now}),
        fires=90,
        ends=150,
        never={
            "5 s, which a slow scrape may take": replies(lambda now: now + 5),
            "for less than a minute": replies({0: lambda now: now, 30: lambda now: now + 6, 75: lambda now: now}),
            "behind": replies(lambda now: now - 90),
        },
        summary="The clock of exporter:9841 is ahead",
        description=(
            "Replies are told for 1m 30s after they were scraped. Outages are paged late by as much: alerts wait "
            "until the last reply of a device is 10 s ago."
        ),
    ),
    Fault(
        ERRORS,
        errors({405: 2}),
        fires=465,
        ends=720,
        never={
            "the exporter is as new here as its errors": errors(7),
            "a device of the own network is switched off": errors({405: lambda now: now}, "EHOSTUNREACH"),
        },
        summary="The kernel of exporter:9841 refuses probes with ENOBUFS",
        description=(
            "About 2 echo requests were refused in 5 minutes. Look at the machine's routes, local firewall and "
            "send buffers."
        ),
    ),
    Fault(
        of_exporter("ReceiveBufferDrops", "medium"),
        [said("ward_probe_receive_buffer_drops_total", {0: 0, 30: 4})],
        fires=30,
        ends=345,
        never={"drops of long ago": [said("ward_probe_receive_buffer_drops_total", 4)]},
        summary="Replies are dropped on exporter:9841 itself",
        description=(
            "A full receive buffer has lost about 4 packets in 5 minutes. They are not counted as loss of devices, "
            "but those probes tell nothing."
        ),
        outlasts=True,
    ),
    Fault(
        of_exporter("InventoryReloadFailed", "high"),
        [said("ward_config_last_reload_successful", {0: 1, 30: 0, 120: 1})],
        fires=90,
        ends=120,
        never={
            "it succeeds within a minute of the start": [said("ward_config_last_reload_successful", {0: 0, 60: 1})]
        },
        summary="The exporter exporter:9841 runs on an old inventory",
        description=(
            "The last reload was refused, or a source of the inventory cannot be read. What ran before goes on; "
            "`ward-exporter check` names the problems."
        ),
        outlasts=True,
    ),
    Fault(
        of_exporter("InventoryShrunk", "high"),
        [said("ward_inventory_devices", {0: 1000, 600: 899})],
        fires=600,
        ends=600 + HOUR,
        never={
            "10 % fewer": [said("ward_inventory_devices", {0: 1000, 600: 900})],
            "it has grown": [said("ward_inventory_devices", {0: 100, 600: 200})],
            "it is empty from the start": [said("ward_inventory_devices", 0)],
        },
        summary="The inventory of exporter:9841 has shrunk",
        description=(
            "10.1% fewer devices than at most in the last hour. What is not in the inventory is not watched."
        ),
        step=SLOW,
    ),
    Fault(
        LARGE,
        [said("scrape_samples_scraped", {0: 900, 30: 100_001, 150: 100_000})],
        fires=90,
        ends=150,
        never={
            "100,000 samples": [said("scrape_samples_scraped", 100_000)],
            "a scrape of 2 s": [said("scrape_duration_seconds", 2)],
            "another job is slow": [part("something", "scrape_duration_seconds", 3)],
            "another job": [part("something", "scrape_samples_scraped", 100_001)],
        },
        summary="The metrics page of exporter:9841 is too large or too slow",
        description="A scrape brings 100k samples. A page that is refused or late blinds the monitoring.",
    ),
)


def cases() -> Iterator[Case]:
    for fault in FAULTS:
        yield from fault.cases()
        yield fault.text()
    yield from _more()
    yield from _nobody_scrapes()


def _more() -> Iterator[Case]:
    yield Case(
        "ProbeLoopStalled: a loop that is meant to take 5 minutes has 15",
        loop({0: lambda now: now // 300, 900: 3}, interval=300),
        {1740: [], 1800: [STALLED]},
        step=60,
    )
    yield Case(
        "ProbeLoopStalled: a slower one has 3 hours",
        loop(7, interval=301),
        {3 * HOUR - SLOW: [], 3 * HOUR: [STALLED]},
        step=SLOW,
    )
    yield Case(
        "ProbeLoopStalled: an interval of 20 s is watched by the minute",
        loop({0: lambda now: now // 20, 60: 3}, interval=20),
        {115: [], 120: [STALLED]},
    )
    yield Case(
        "ProbeLoopStalled: it turns, and more than half of what it sends is void",
        void(5.1),
        {120: [STALLED]},
    )
    yield Case(
        "ProbeLoopStalled: so does one of 20 s",
        void(0.26, interval=20),
        {120: [STALLED]},
    )
    yield Case(
        "ProbeLoopOverrun: a round that was given up",
        [*busy(0.1)[:2], said("ward_probe_cycles_skipped_total", {0: 0, 30: 1})],
        {75: [], 90: [OVERRUN], 315: [OVERRUN], 345: []},
        step=QUARTER,
    )
    yield Case(
        "ProbeSendErrors: more of an error that is known",
        errors({0: 5, 30: 6}),
        {75: [], 90: [ERRORS], 315: [ERRORS], 345: []},
        step=QUARTER,
    )
    yield Case(
        "ScrapeTooLarge: a slow page",
        [said("scrape_duration_seconds", {0: 0.2, 30: 2.01})],
        {75: [], 90: [LARGE]},
        [
            Text(
                90,
                LARGE,
                "The metrics page of exporter:9841 is too large or too slow",
                "A scrape takes 2.01s. A page that is refused or late blinds the monitoring.",
                "ward-exporter",
            )
        ],
        world="slow page",
        step=QUARTER,
    )


def _nobody_scrapes() -> Iterator[Case]:
    absent = {"job": "ward-exporter", "severity": "critical", "component": "exporter"}
    firing = 'max without (alertgroup) (ALERTS{alertstate="firing", alertname="ExporterDown"})'
    for of in (2, 3):
        yield Case(
            f"ExporterDown: one scrape in {of} succeeds",
            [up({0: 1, 60: lambda now, of=of: float(now % (5 * of) == 0)})],  # type: ignore[misc]
            dict.fromkeys((130, 135, 140, 300), (of_exporter("ExporterDown", "critical"),)),
        )
    yield Case(
        "ExporterDown: nobody scrapes an exporter",
        [up(1, "prometheus")],
        gives=[
            Answer(5, firing, []),
            Answer(10, firing, [({"alertname": "ExporterDown", "alertstate": "firing", **absent}, 1)]),
        ],
        texts=[
            Text(
                10,
                Alert("ExporterDown", absent),
                "The exporter does not answer",
                "Nobody watches the network: scrapes of any exporter have failed for 10 s, or on and off, more "
                "than 40 % of them within a minute. Alerts that were firing go on; new outages are not seen.",
                "ward-exporter",
            )
        ],
        world="no exporter",
    )
    yield Case(
        "Watchdog always fires",
        [up(1)],
        texts=[
            Text(
                second,
                Alert("Watchdog", {"severity": "none"}),
                "Rules are evaluated and notifications go out",
                "This alert always fires. When it stops arriving, the alerting is dead.",
                "ward-alerts",
            )
            for second in (0, 60)
        ],
        world="watchdog",
        step=QUARTER,
    )
