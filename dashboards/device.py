"""Device: everything that is known of one."""

from __future__ import annotations

from dashboards import queries as q
from dashboards.board import Section, chosen, dashboard
from dashboards.isp import DASHED
from dashboards.look import GREEN, ORANGE, PORTS, RED, STATES, YELLOW, Json, limits, to
from dashboards.panels import (
    SNMP,
    Column,
    Query,
    firing,
    heatmap,
    matching,
    named,
    series,
    stat,
    table,
    timeline,
)

_WHERE = q.ONE_DEVICE
_NEUTRAL: Json = {"mode": "absolute", "steps": [{"value": None, "color": "blue"}]}
_AVAILABILITY = limits((0.99, ORANGE), (0.999, YELLOW), (0.9995, GREEN), below=RED)
_NO_SNMP = "not polled by SNMP"


def _gauge(metric: str) -> str:
    return f"max(ward_device_{metric}{{{_WHERE}}})"


def _rate(metric: str, of: str = "max") -> str:
    return f"{of}(rate(ward_device_{metric}_total{{{_WHERE}}}[$__rate_interval]))"


def _totals() -> list[Json]:
    rtt, loss = "rtt_seconds", "packet_loss_ratio"
    over_rtt = f"{_gauge(rtt)} / {_gauge('rtt_threshold_seconds')}"
    return [
        stat("State", "Of the device, now.", Query(q.state(_WHERE)), unit="none", states=STATES),
        stat(
            "In this state for",
            "Time since its last change, as the exporter saw it.",
            Query(f"time() - {_gauge('last_change_timestamp_seconds')}"),
            unit="s",
            decimals=0,
            thresholds=_NEUTRAL,
        ),
        stat(
            "RTT",
            "Mean over `probe.window` (60 s as shipped).",
            Query(_gauge(rtt)),
            unit="s",
            thresholds=_NEUTRAL,
            nothing="no reply",
        ),
        stat(
            "RTT, % of limit",
            "Above 100 % the device counts as slow.",
            Query(over_rtt),
            unit="percentunit",
            decimals=0,
            thresholds=limits((0.8, YELLOW), (1, ORANGE)),
            nothing="no reply",
        ),
        stat(
            "Loss",
            "Share of probes that were lost over `probe.window` (60 s as shipped).",
            Query(_gauge(loss)),
            unit="percentunit",
            decimals=1,
            thresholds=limits((0.01, YELLOW), (0.05, ORANGE), (0.5, RED)),
        ),
        stat(
            "Up, 24 hours",
            "Share of the time that it was up, from each scrape.",
            Query(q.available(_WHERE, "1d")),
            unit="percentunit",
            decimals=2,
            thresholds=_AVAILABILITY,
        ),
        stat(
            "Up, 7 days",
            "Share of the time that it was up, as far back as there is data.",
            Query(q.available(_WHERE, "7d")),
            unit="percentunit",
            decimals=2,
            thresholds=_AVAILABILITY,
        ),
        stat(
            "Up, 30 days",
            "Share of the time that it was up, as far back as there is data.",
            Query(q.available(_WHERE, "30d")),
            unit="percentunit",
            decimals=2,
            thresholds=_AVAILABILITY,
        ),
    ]


def _facts() -> Json:
    labels = {
        "Address": "address",
        "Host name": "hostname",
        "Site": "site",
        "Region": "region",
        "Provider": "provider",
        "Role": "role",
        "Priority": "priority",
        "Vendor": "vendor",
        "Model": "model",
        "Parent": "parent",
    }
    links = {"Site": [to("ward-site", site="__value.raw")], "Parent": [to("ward-device", device="__value.raw")]}
    return table(
        "What the inventory says",
        "Facts of the inventory. Round-trip time and loss above the two limits are alerts.",
        [
            *(Column(name, label=label, links=links.get(name, ())) for name, label in labels.items()),
            Column(
                "RTT limit",
                expr=f"max by (device) (ward_device_rtt_threshold_seconds{{{_WHERE}}})"
                f" * on (device) group_left ({', '.join(labels.values())}) topk by (device)"
                f" (1, max by (device, {', '.join(labels.values())}) (ward_device_info{{{_WHERE}}}))",
                unit="s",
            ),
            Column(
                "Loss limit",
                expr=f"max by (device) (ward_device_packet_loss_threshold_ratio{{{_WHERE}}})",
                unit="percentunit",
                decimals=0,
            ),
        ],
        sort="Address",
        size=(24, 3),
    )


def _history() -> list[Json]:
    return [
        timeline(
            "State",
            "Up, down, flapping or suppressed over time.",
            Query(q.state(_WHERE), "{{device}}"),
            STATES,
            size=(24, 4),
        ),
        timeline(
            "Why it was down",
            "The reason of its last lost probe while it was down, and reasons for which alerts were held back.",
            Query(
                f"max by (reason) (ward_device_down_reason{{{_WHERE}}})"
                f' or max by (reason) (label_replace(ward_device_suppressed{{{_WHERE}}} * 2, "reason", '
                '"held back: $1", "reason", "(.+)"))',
                "{{reason}}",
            ),
            {1: ("DOWN FOR THIS REASON", RED), 2: ("ALERTS HELD BACK", "blue")},
            size=(12, 6),
            nothing="it was up, and no alert was held back",
        ),
        firing(
            "Its alerts",
            "Alerts about this device, while they fired.",
            Query(
                f'max by (alertname, severity) (ALERTS{{alertstate="firing", {_WHERE}}})',
                "{{alertname}} ({{severity}})",
            ),
            size=(12, 6),
        ),
    ]


def _probes() -> list[Json]:
    late, doubled = _rate("late_replies"), _rate("duplicate_replies")
    changes = f"ward_device_path_changes_total{{{_WHERE}}}"
    return [
        series(
            "Round-trip time",
            "The band goes from the shortest to the longest over `probe.window` (60 s as shipped), the line is "
            "their mean, dashed is the limit.",
            [
                Query(_gauge("rtt_min_seconds"), "Min"),
                Query(_gauge("rtt_seconds"), "Mean"),
                Query(_gauge("rtt_max_seconds"), "Max"),
                Query(_gauge("rtt_threshold_seconds"), "RTT limit"),
            ],
            unit="s",
            size=(24, 9),
            overrides=[
                named(
                    "Max", custom__fillBelowTo="Min", custom__fillOpacity=25, custom__lineWidth=0, **_colour("blue")
                ),
                named("Min", custom__lineWidth=0, **_colour("blue")),
                named("Mean", custom__lineWidth=2, **_colour(GREEN)),
                DASHED,
            ],
            nothing="no reply in this time",
        ),
        heatmap(
            "Round-trip times of single probes",
            "How many replies a second fell into each range. Only for devices whose class has `histogram: true`.",
            Query(
                f"sum by (le) (rate(ward_device_rtt_histogram_seconds_bucket{{{_WHERE}}}[$__rate_interval]))",
                "{{le}}",
            ),
            unit="s",
        ),
        series(
            "Packet loss",
            "Share of probes that were lost over `probe.window` (60 s as shipped), and the exact share from the "
            "counters; dashed is the limit.",
            [
                Query(_gauge("packet_loss_ratio"), "Window"),
                Query(f"1 - {_rate('replies', 'sum')} / {_rate('probes_sent', 'sum')}", "Exact"),
                Query(_gauge("packet_loss_threshold_ratio"), "Loss limit"),
            ],
            unit="percentunit",
            most=1,
            legend="list",
            overrides=[DASHED],
        ),
        series(
            "Jitter",
            "Mean difference of consecutive round-trip times over `probe.window` (60 s as shipped).",
            [Query(_gauge("jitter_seconds"), "Jitter")],
            unit="s",
            legend="list",
            nothing="fewer than two replies",
        ),
        series(
            "Time to live of replies, and path changes",
            "A step of the time to live is another way back; changes are counted within the time range.",
            [
                Query(_gauge("reply_ttl"), "TTL"),
                Query(
                    f"max({changes} - min_over_time({changes}[$__range] @ end()))",
                    "Path changes",
                ),
            ],
            unit="none",
            decimals=0,
            legend="list",
        ),
        series(
            "Late and duplicate replies",
            "Replies after the timeout, whose probes are lost, and further replies to a probe that had one.",
            [Query(late, "Late"), Query(doubled, "Duplicate")],
            unit="cps",
            legend="list",
        ),
    ]


def _colour(colour: str) -> Json:
    return {"color": {"mode": "fixed", "fixedColor": colour}}


def _snmp() -> list[Json]:
    name = "{{ifName}}"
    return [
        stat(
            "CPU",
            "In use, whatever the vendor calls it.",
            Query(_gauge("cpu_ratio"), every=SNMP),
            unit="percentunit",
            size=(4, 4),
            decimals=0,
            thresholds=limits((0.8, YELLOW), (0.95, RED)),
            nothing=_NO_SNMP,
        ),
        stat(
            "Memory",
            "In use, whatever the vendor calls it.",
            Query(_gauge("memory_used_ratio"), every=SNMP),
            unit="percentunit",
            size=(4, 4),
            decimals=0,
            thresholds=limits((0.85, YELLOW), (0.95, RED)),
            nothing=_NO_SNMP,
        ),
        stat(
            "Uptime",
            "Since the device started.",
            Query(_gauge("uptime_seconds"), every=SNMP),
            unit="s",
            size=(4, 4),
            decimals=0,
            thresholds=limits((3600, GREEN), below=YELLOW),
            nothing=_NO_SNMP,
        ),
        series(
            "CPU and memory",
            "In use, by SNMP.",
            [
                Query(_gauge("cpu_ratio"), "CPU", SNMP),
                Query(_gauge("memory_used_ratio"), "Memory", SNMP),
            ],
            unit="percentunit",
            most=1,
            size=(12, 8),
            nothing=_NO_SNMP,
        ),
        table(
            "Interfaces",
            "State and speed of each interface, by SNMP.",
            [
                Column("Interface", label="ifName", links=[to("ward-interfaces", device="__data.fields.Device")]),
                Column("Description", label="ifAlias"),
                Column("Device", label="device"),
                Column(
                    "State",
                    expr=f"max by ({q.INTERFACE}) (ifOperStatus{{{_WHERE}}})",
                    every=SNMP,
                    states=PORTS,
                ),
                Column(
                    "Speed",
                    expr=f"max by ({q.INTERFACE}) (ifHighSpeed{{{_WHERE}}} > 0) * 1e6",
                    every=SNMP,
                    unit="bps",
                ),
            ],
            sort="Interface",
            size=(12, 14),
            nothing=_NO_SNMP,
        ),
        series(
            "Traffic",
            "Bits a second of the ten busiest interfaces: in is drawn up, out is drawn down.",
            [
                Query(q.busiest(q.bits("In", _WHERE), _WHERE), f"{name} in", SNMP),
                Query(q.busiest(q.bits("Out", _WHERE), _WHERE), f"{name} out", SNMP),
            ],
            unit="bps",
            size=(12, 10),
            least=None,
            overrides=[matching(" out$", custom__transform="negative-Y")],
            nothing=_NO_SNMP,
        ),
    ]


def build() -> Json:
    return dashboard(
        "ward-device",
        "One device: its state over time, its round-trip times, why it was down, and what it says of itself "
        "by SNMP.",
        [
            Section("", [*_totals(), _facts()]),
            Section("History", _history()),
            Section("Probes", _probes()),
            Section("SNMP", _snmp()),
        ],
        variables=[
            chosen("site", "Site", "ward_device_info, site"),
            chosen("role", "Role", 'ward_device_info{site=~"$site"}, role'),
            chosen("device", "Device", 'ward_device_info{site=~"$site", role=~"$role"}, device', one=True),
        ],
        where=_WHERE,
    )
