"""NOC overview: is anything wrong, and what is it?"""

from __future__ import annotations

from dashboards import queries as q
from dashboards.board import Section, chosen, dashboard
from dashboards.look import (
    ANSWERS,
    DOWN,
    FLAPPING,
    ORANGE,
    RED,
    SEVERITIES,
    SITE_STATES,
    STATES,
    SUPPRESSED,
    UP,
    Json,
    to,
)
from dashboards.panels import Column, Query, named, quiet, series, stat, table, timeline

_DEVICE = Column("Device", label="device", links=[to("ward-device", device="__value.raw")])
_SITE = Column("Site", label="site", links=[to("ward-site", site="__value.raw")])
_ROLE = Column("Role", label="role")
_SITES = 'site=~"$site"'
_SITE_STATE = q.site_state(_SITES)
_LINKS = 'role="isp", site=~"$site"'
_ALERTS = q.alerts(q.HERE)


def _totals() -> list[Json]:
    grid = [to("ward-grid")]
    where = q.EVERYWHERE
    return [
        stat(
            "Up",
            "Devices that are up and neither flap nor are suppressed.",
            Query(q.devices_in(UP, where)),
            unit="none",
            links=grid,
        ),
        stat(
            "Down",
            "Devices that are down and for which alerts are sent: suppressed ones are counted apart.",
            Query(q.devices_in(DOWN, where)),
            unit="none",
            thresholds=quiet(RED),
            links=grid,
        ),
        stat(
            "Flapping",
            "Devices that go up and down. Until one is steady this is its only alert.",
            Query(q.devices_in(FLAPPING, where)),
            unit="none",
            thresholds=quiet(ORANGE),
            links=grid,
        ),
        stat(
            "Suppressed",
            "Devices in maintenance, behind something that is down, or in a mass outage: their alerts are "
            "held back.",
            Query(q.devices_in(SUPPRESSED, where)),
            unit="none",
            thresholds=quiet("blue"),
            links=grid,
        ),
        stat(
            "ISP links down",
            "ISP links that are down and neither flap nor are suppressed, as on the dashboard ISP links.",
            Query(q.devices_in(DOWN, _LINKS)),
            unit="none",
            thresholds=quiet(RED),
            links=[to("ward-isp")],
        ),
        stat(
            "Sites cut off",
            "Sites whose ISP links are all down, unless maintenance or a mass outage explains it.",
            Query(f"count({q.cut_off(_SITES)}) or 0 * count(ward_site_info)"),
            unit="none",
            thresholds=quiet(RED),
            links=[to("ward-map")],
        ),
        stat(
            "Alerts firing",
            "All severities but the watchdog, which always fires. No data: nobody evaluates the rules.",
            Query(f'{q.how_many(_ALERTS)} or 0 * count(ALERTS{{alertname="Watchdog"}})'),
            unit="none",
            thresholds=quiet(ORANGE),
            links=[to("ward-alerts")],
        ),
        stat(
            "Exporter",
            "Whether the exporter answers. If not, nothing on this page is fresh, and the alert ExporterDown "
            "fires.",
            Query('min(up{job="ward-exporter"})'),
            unit="none",
            states=ANSWERS,
            links=[to("ward-exporter")],
        ),
    ]


def _now() -> list[Json]:
    where = q.EVERYWHERE
    return [
        table(
            "Firing alerts",
            "What Prometheus or vmalert holds as firing, the most severe first. First seen: when its condition "
            "was.",
            [
                Column("Severity", label="severity", states=SEVERITIES, width=90),
                Column("Alert", label="alertname"),
                _DEVICE,
                _SITE,
                Column("Provider", label="provider"),
                Column(
                    "First seen",
                    expr=f"{q.first_seen(q.HERE)} * 1000",
                    unit="dateTimeFromNow",
                ),
            ],
            ranked="rank",
            nothing="no alert fires",
        ),
        table(
            "Down devices",
            "Everything that does not answer, with the reason of the last lost probe; ISP links (priority 0) "
            "first.",
            [
                Column("Priority", label="priority", width=80),
                _DEVICE,
                _SITE,
                _ROLE,
                Column("Reason", label="reason"),
                Column(
                    "Since",
                    expr="topk by (device) (1, max by (device, site, role, priority, reason)"
                    " (ward_device_last_change_timestamp_seconds * on (job, instance, device) group_left (reason)"
                    f" ward_device_down_reason{{{where}}}) and on (device) {q.verdict(where)} == 0) * 1000",
                    unit="dateTimeFromNow",
                ),
            ],
            sort="Priority",
            nothing="every device answers",
        ),
        timeline(
            "ISP links with trouble",
            "Links that were down or flapped within the time range, 20 a page; links that were steady are not "
            "listed.",
            Query(q.troubled(q.state(_LINKS), _LINKS), "{{device}}"),
            STATES,
            links=[to("ward-device", device="__field.labels.device")],
            nothing="every link was steady",
        ),
    ]


def _worst() -> list[Json]:
    where = q.EVERYWHERE
    by = "by (device, site, role)"
    return [
        table(
            "Slowest devices",
            "Highest mean round-trip time over `probe.window` (60 s as shipped), beside the limit that alerts "
            "go by.",
            [
                _DEVICE,
                _SITE,
                Column(
                    "RTT",
                    expr=f"topk(10, max {by} (ward_device_rtt_seconds{{{where}}}))",
                    unit="s",
                ),
                Column(
                    "Limit",
                    expr=f"max {by} (ward_device_rtt_threshold_seconds{{{where}}}) and on (device)"
                    f" topk(10, max by (device) (ward_device_rtt_seconds{{{where}}}))",
                    unit="s",
                ),
            ],
            sort="RTT",
            descending=True,
            size=(8, 9),
        ),
        table(
            "Lossiest devices",
            "Highest share of lost probes over `probe.window` (60 s as shipped) among devices that are up, beside "
            "the limit.",
            [
                _DEVICE,
                _SITE,
                Column(
                    "Loss",
                    expr=f"topk(10, max {by} (ward_device_packet_loss_ratio{{{where}}} > 0"
                    " and on (job, instance, device) ward_device_up == 1))",
                    unit="percentunit",
                    decimals=1,
                ),
                Column(
                    "Limit",
                    expr=f"max {by} (ward_device_packet_loss_threshold_ratio{{{where}}}) and on (device)"
                    f" topk(10, max by (device) (ward_device_packet_loss_ratio{{{where}}} > 0"
                    " and on (job, instance, device) ward_device_up == 1))",
                    unit="percentunit",
                    decimals=0,
                ),
            ],
            sort="Loss",
            descending=True,
            size=(8, 9),
            nothing="no device loses probes",
        ),
        table(
            "Sites with trouble",
            "Sites that are cut off, have lost a link, or have a device that is down.",
            [
                _SITE,
                Column("State", expr=f"{_SITE_STATE} < 3", states=SITE_STATES),
                Column(
                    "Devices down",
                    expr=f"{q.devices_down(_SITES)} and on (site) {_SITE_STATE} < 3",
                ),
            ],
            sort="State",
            size=(8, 9),
            nothing="every site is up",
        ),
    ]


def _history() -> list[Json]:
    return [
        series(
            "Devices that are not up",
            "How many were in each state; the height is how much was wrong.",
            [Query(f'count_values("state", {q.state(q.EVERYWHERE)} < {UP})', "{{state}}")],
            unit="none",
            stacked=True,
            decimals=0,
            overrides=[
                named(str(state), displayName=text.capitalize(), color={"mode": "fixed", "fixedColor": colour})
                for state, (text, colour) in STATES.items()
            ],
            nothing="every device was up",
        ),
        series(
            "Lost probes by role",
            "Exact share of probes that were lost, from the counters of all devices of a role.",
            [
                Query(
                    f"1 - sum by (role) (rate(ward_device_replies_total{{{q.EVERYWHERE}}}[$__rate_interval]))"
                    f" / sum by (role) (rate(ward_device_probes_sent_total{{{q.EVERYWHERE}}}[$__rate_interval]))",
                    "{{role}}",
                )
            ],
            unit="percentunit",
        ),
    ]


def build() -> Json:
    return dashboard(
        "ward-overview",
        "What a NOC screen shows: how many devices are up, what is wrong now, and what it was in the last hours.",
        [
            Section("", _totals()),
            Section("Now", _now()),
            Section("Worst", _worst()),
            Section("History", _history()),
        ],
        variables=[
            chosen("site", "Site", "ward_device_info, site"),
            chosen("role", "Role", 'ward_device_info{site=~"$site"}, role'),
        ],
        where=_SITES,
    )
