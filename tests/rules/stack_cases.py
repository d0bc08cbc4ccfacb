"""Stories for the stack's alerts in rules/exporter.yml, and for Watchdog."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.rules.faults import QUARTER, SLOW, Fault, part, up
from tests.rules.trials import labelled
from tests.rules.world import EXPORTER, Alert, Case, Course, Series, Text

HOUR, DAY = 3600, 86_400
EXPORTER_DOWN = labelled("ExporterDown", "critical", component="exporter")


def of_stack(name: str, component: str, job: str, **labels: str) -> Alert:
    own = {"job": job, "instance": f"{job}:1", "severity": "high", "component": component}
    return Alert(name, {**own, **labels})


def counted(
    alert: Alert, job: str, metric: str, labels: Mapping[str, str], summary: str, description: str
) -> Fault:
    """An alert that fires with the first failure, until there has been none for 5 minutes."""
    return Fault(
        alert,
        [part(job, metric, {0: 0, 30: 3}, **labels)],
        fires=30,
        ends=345,
        never={"failures of long ago": [part(job, metric, 3, **labels)]},
        summary=summary,
        description=description,
        dashboard="ward-alerts",
        outlasts=True,
    )


def reloaded(name: str, job: str, metric: str, summary: str, description: str) -> Fault:
    return Fault(
        of_stack(name, job, job),
        [part(job, metric, {0: 1, 30: 0, 120: 1})],
        fires=90,
        ends=120,
        never={"for less than a minute": [part(job, metric, {0: 1, 30: 0, 90: 1})]},
        summary=summary,
        description=description,
        dashboard="ward-alerts",
        outlasts=True,
    )


def disk(free: Course, readonly: float = 0, fstype: str = "ext4") -> list[Series]:
    """A file system of 100 bytes."""
    labels = {"mountpoint": "/data", "device": "/dev/vdb", "fstype": fstype}
    return [
        part("node_exporter", "node_filesystem_avail_bytes", free, **labels),
        part("node_exporter", "node_filesystem_size_bytes", 100, **labels),
        part("node_exporter", "node_filesystem_readonly", readonly, **labels),
    ]


def storage(free: Course, data: Course) -> list[Series]:
    return [
        part("victoriametrics", "vm_free_disk_space_bytes", free, path="/data"),
        part("victoriametrics", "vm_data_size_bytes", data, type="storage/big"),
        part("victoriametrics", "vm_data_size_bytes", 0, type="indexdb"),
    ]


NOTIFICATIONS = {"integration": "email"}
FAILED = "alertmanager_notification_requests_failed_total"
FAULTS = (
    counted(
        of_stack("PrometheusRuleFailures", "prometheus", "prometheus", rule_group="sites.yml;sites"),
        "prometheus",
        "prometheus_rule_evaluation_failures_total",
        {"rule_group": "sites.yml;sites"},
        "Prometheus prometheus:1 cannot evaluate rules",
        "About 3 evaluations of sites.yml;sites failed in 5 minutes. Its alerts may be missing.",
    ),
    counted(
        of_stack("VmalertRuleFailures", "vmalert", "vmalert"),
        "vmalert",
        "vmalert_execution_errors_total",
        {},
        "vmalert vmalert:1 cannot evaluate rules",
        "About 3 evaluations failed in 5 minutes. Alerts may be missing.",
    ),
    counted(
        of_stack("NotificationsFailing", "alertmanager", "alertmanager", **NOTIFICATIONS),
        "alertmanager",
        FAILED,
        {**NOTIFICATIONS, "reason": "clientError"},
        "Alertmanager alertmanager:1 cannot notify by email",
        "About 3 tries to notify by email failed in 5 minutes. Who waits there has not been told.",
    ),
    counted(
        of_stack("PrometheusNotificationsFailing", "prometheus", "prometheus"),
        "prometheus",
        "prometheus_notifications_dropped_total",
        {},
        "Prometheus prometheus:1 cannot reach Alertmanager",
        "About 3 alerts could not be handed over in 5 minutes.",
    ),
    counted(
        of_stack("VmalertNotificationsFailing", "vmalert", "vmalert", addr="http://alertmanager/api/v2/alerts"),
        "vmalert",
        "vmalert_alerts_send_errors_total",
        {"addr": "http://alertmanager/api/v2/alerts"},
        "vmalert vmalert:1 cannot reach Alertmanager",
        "About 3 alerts could not be handed over to http://alertmanager/api/v2/alerts in 5 minutes.",
    ),
    reloaded(
        "AlertmanagerConfigFailed",
        "alertmanager",
        "alertmanager_config_last_reload_successful",
        "Alertmanager alertmanager:1 runs on an old configuration",
        "The last reload was refused; the configuration from before goes on.",
    ),
    reloaded(
        "PrometheusConfigFailed",
        "prometheus",
        "prometheus_config_last_reload_successful",
        "Prometheus prometheus:1 runs on an old configuration",
        "The last reload was refused; the configuration and the rules from before go on.",
    ),
    reloaded(
        "VmalertConfigFailed",
        "vmalert",
        "vmalert_config_last_reload_successful",
        "vmalert vmalert:1 runs on old rules",
        "The last reload was refused; the rules from before go on.",
    ),
    reloaded(
        "VictoriaConfigFailed",
        "victoriametrics",
        "vm_promscrape_config_last_reload_successful",
        "VictoriaMetrics victoriametrics:1 scrapes by an old configuration",
        "The last reload was refused; the targets from before go on.",
    ),
    Fault(
        of_stack("StorageNearlyFull", "stack", "node_exporter", mountpoint="/data"),
        disk({0: 50, 30: 4, 390: 50}),
        fires=330,
        ends=390,
        never={
            "5 % left, and it stays": disk(5),
            "below 20 %, and it stays": disk(19),
            "it shrinks, but will last for more than a day": disk(lambda now: 19 - now / 5000),
            "it shrinks, but 20 % are left": disk(lambda now: 20 + max(0, 300 - now) / 10),
            "nobody can write to it": disk(4, readonly=1),
            "it is in memory": disk(4, fstype="tmpfs"),
        },
        summary="/data on node_exporter:1 is nearly full",
        description="4% is left, and that is below 5 % or will be gone within a day.",
        dashboard="ward-alerts",
    ),
    Fault(
        of_stack("VictoriaStorageNearlyFull", "victoriametrics", "victoriametrics"),
        storage({0: 50, 30: 9, 390: 50}, {0: 50, 30: 91, 390: 50}),
        fires=330,
        ends=390,
        never={"10 % left": storage(10, 90)},
        summary="The storage of VictoriaMetrics victoriametrics:1 is nearly full",
        description="9% of the space for its data is left; without any it stores nothing.",
        dashboard="ward-alerts",
    ),
    Fault(
        of_stack("StackPartDown", "stack", "alertmanager"),
        [up({0: 1, 30: 0, 150: 1}, "alertmanager")],
        fires=90,
        ends=150,
        never={
            "it was never up": [up(0, "alertmanager")],
            "for less than a minute": [up({0: 1, 30: 0, 90: 1}, "alertmanager")],
            "it is no part of the stack": [up({0: 1, 30: 0}, "something")],
        },
        summary="alertmanager alertmanager:1 does not answer",
        description="This part of the monitoring stack has answered no scrape for a minute or longer.",
        dashboard="ward-alerts",
    ),
)


def cases() -> Iterator[Case]:
    for fault in FAULTS:
        yield from fault.cases()
        yield fault.text()
    yield from _more()


def _more() -> Iterator[Case]:
    failing = of_stack("PrometheusNotificationsFailing", "prometheus", "prometheus")
    yield Case(
        "PrometheusNotificationsFailing: errors, of which none are dropped",
        [part("prometheus", "prometheus_notifications_errors_total", {0: 1, 30: 2}, alertmanager="http://a")],
        {15: [], 30: [failing], 315: [failing], 345: []},
        step=QUARTER,
    )
    yield Case(
        "NotificationsFailing: for several reasons",
        [
            part("alertmanager", FAILED, {0: 0, 30: count}, **NOTIFICATIONS, reason=reason)
            for reason, count in (("clientError", 2), ("serverError", 1), ("other", 0))
        ],
        texts=[
            Text(
                30,
                of_stack("NotificationsFailing", "alertmanager", "alertmanager", **NOTIFICATIONS),
                "Alertmanager alertmanager:1 cannot notify by email",
                "About 3 tries to notify by email failed in 5 minutes. Who waits there has not been told.",
                "ward-alerts",
            )
        ],
        world="reasons",
        step=QUARTER,
    )
    yield Case(
        "PrometheusNotificationsFailing: what fails is also dropped, and counts once",
        [
            part("prometheus", "prometheus_notifications_dropped_total", {0: 0, 30: 3}),
            part("prometheus", "prometheus_notifications_errors_total", {0: 0, 30: 2}, alertmanager="http://a"),
        ],
        texts=[
            Text(
                30,
                failing,
                "Prometheus prometheus:1 cannot reach Alertmanager",
                "About 3 alerts could not be handed over in 5 minutes.",
                "ward-alerts",
            )
        ],
        world="dropped",
        step=QUARTER,
    )
    yield Case(
        "StorageNearlyFull: it will be full within a day",
        disk(lambda now: 22 - 4 * now / HOUR),
        {HOUR // 2: [], HOUR: [of_stack("StorageNearlyFull", "stack", "node_exporter", mountpoint="/data")]},
        step=SLOW,
    )
    polled = of_stack("StackPartDown", "stack", "ward-exporter-snmp", instance=EXPORTER)

    def pages(course: Course, snmp: Course) -> list[Series]:
        return [up(course), Series("up", {"job": "ward-exporter-snmp", "instance": EXPORTER}, snmp)]

    yield Case(
        "StackPartDown: the page of SNMP alone fails",
        pages(1, {0: 1, 120: 0, 480: 1}),
        {330: [], 375: [polled], 465: [polled], 480: []},
        step=QUARTER,
    )
    yield Case(
        "StackPartDown: the page of SNMP is gone with its exporter",
        pages({0: 1, 120: 0, 480: 1}, {0: 1, 120: 0, 525: 1}),
        {450: [EXPORTER_DOWN], 495: [], 600: []},
        step=QUARTER,
    )
    part_down = of_stack("StackPartDown", "stack", "alertmanager")
    yield Case(
        "StackPartDown: after a day without it, it is no part any more",
        [up({0: 1, HOUR: 0}, "alertmanager")],
        {second: [part_down] for second in (2 * HOUR, DAY)} | {DAY + HOUR: []},
        step=HOUR,
    )
