"""Whether the monitoring itself works: panels for two dashboards."""

from __future__ import annotations

from dashboards.look import ACCEPTED, ANSWERS, Json
from dashboards.panels import STACK, Query, series, timeline

_CONFIGURED = ("ward", "alertmanager", "prometheus", "vmalert", "vm_promscrape")


def parts() -> list[Json]:
    """What answers, and what runs on the configuration that it should."""
    accepted = " or ".join(f"min by (job) ({part}_config_last_reload_successful)" for part in _CONFIGURED)
    return [
        timeline(
            "Parts of the stack",
            "Whether each part answered its scrapes. A part that has not been there for a day is not listed.",
            Query("min by (job) (up and max_over_time(up[1d]) == 1)", "{{job}}", STACK),
            ANSWERS,
            size=(12, 8),
        ),
        timeline(
            "Configuration",
            "Whether each part runs on the configuration that it was given last. VictoriaMetrics says so from "
            "1.80 on.",
            Query(accepted, "{{job}}", STACK),
            ACCEPTED,
            size=(12, 8),
        ),
    ]


def rules() -> list[Json]:
    """From a rule to a notification."""
    every = "[$__rate_interval]"
    return [
        series(
            "Rules that could not be evaluated",
            "Failed evaluations a second; above 0 alerts may be missing.",
            [
                Query(f"sum by (job) (rate(prometheus_rule_evaluation_failures_total{every}))", "{{job}}", STACK),
                Query(f"sum by (job) (rate(vmalert_execution_errors_total{every}))", "{{job}}", STACK),
            ],
            unit="cps",
            legend="list",
        ),
        series(
            "Time that a group of rules takes",
            "The last evaluation of each group in Prometheus, and the slowest of vmalert's. It must stay "
            "below the group's "
            "interval, which is 1 s for ISP links and sites.",
            [
                Query(
                    "max by (job, group) (label_replace("
                    'prometheus_rule_group_last_duration_seconds, "group", "$1", "rule_group", ".*;(.+)"))',
                    "{{job}} {{group}}",
                    STACK,
                ),
                Query(
                    'max by (job, group) (vmalert_iteration_duration_seconds{quantile="0.99"})',
                    "{{job}} {{group}}",
                    STACK,
                ),
            ],
            unit="s",
        ),
        series(
            "Alerts handed to Alertmanager",
            "A second, by who evaluates; failed ones are those that Alertmanager never heard of.",
            [
                Query(f"sum by (job) (rate(prometheus_notifications_sent_total{every}))", "{{job}}", STACK),
                Query(f"sum by (job) (rate(vmalert_alerts_sent_total{every}))", "{{job}}", STACK),
                Query(
                    f"sum by (job) (rate(prometheus_notifications_errors_total{every}))"
                    f" + sum by (job) (rate(prometheus_notifications_dropped_total{every}))",
                    "{{job}} failed",
                    STACK,
                ),
                Query(f"sum by (job) (rate(vmalert_alerts_send_errors_total{every}))", "{{job}} failed", STACK),
            ],
            unit="cps",
            legend="list",
        ),
        series(
            "Notifications",
            "A second, by the way in which people are told; failed ones reached nobody.",
            [
                Query(
                    f"sum by (integration) (rate(alertmanager_notifications_total{every}))"
                    " and on (integration) sum by (integration) (alertmanager_notifications_total) > 0",
                    "{{integration}}",
                    STACK,
                ),
                Query(
                    f"sum by (integration) (rate(alertmanager_notification_requests_failed_total{every}))"
                    " and on (integration) sum by (integration) (alertmanager_notifications_total) > 0",
                    "{{integration}} failed",
                    STACK,
                ),
            ],
            unit="cps",
            legend="list",
        ),
    ]


def storage() -> list[Json]:
    return [
        series(
            "Space that is left",
            "For VictoriaMetrics' data, and on the file systems of the machine where node_exporter runs.",
            [
                Query("min by (job, instance) (vm_free_disk_space_bytes)", "{{job}} {{instance}}", STACK),
                Query(
                    "min by (instance, mountpoint) ("
                    'node_filesystem_avail_bytes{fstype!~"tmpfs|ramfs|squashfs|iso9660"})',
                    "{{instance}} {{mountpoint}}",
                    STACK,
                ),
            ],
            unit="bytes",
        ),
        series(
            "Space that samples take",
            "On disk, of VictoriaMetrics and of Prometheus' blocks.",
            [
                Query("sum by (job) (vm_data_size_bytes)", "{{job}}", STACK),
                Query("sum by (job) (prometheus_tsdb_storage_blocks_bytes)", "{{job}}", STACK),
            ],
            unit="bytes",
        ),
    ]
