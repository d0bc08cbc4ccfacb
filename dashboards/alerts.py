"""Alerts: what fires, what has fired, who flaps, what suppression has saved, and which limits count."""

from __future__ import annotations

from dashboards import health
from dashboards import queries as q
from dashboards.board import Section, chosen, dashboard
from dashboards.look import BLUE, GREY, ORANGE, RED, SEVERITIES, Json, to
from dashboards.panels import Column, Query, firing, named, quiet, series, stat, table

_HERE = q.HERE
_FIRING = q.alerts(_HERE)
_WRONG = f"max by (device) ({q.verdict(q.EVERYWHERE)} == 0 or on (device) {q.flapping(q.EVERYWHERE)})"
_SUPPRESSED = f"ward_device_suppressed{{{q.EVERYWHERE}}} {q.SEEING}"
_HELD = f"max by (device, reason) ({_SUPPRESSED}) and on (device) {_WRONG}"


def _totals() -> list[Json]:
    size = (4, 4)
    # 0 where rules are evaluated and none fires, nothing where nobody evaluates them.
    none = '0 * count(ALERTS{alertname="Watchdog"})'
    found = [
        stat(
            severity.capitalize(),
            f"Alerts of severity {severity} that fire now.",
            Query(f"{q.how_many(q.alerts(f'severity={_quoted(severity)}, {_HERE}'))} or {none}"),
            unit="none",
            size=size,
            thresholds=quiet(colour),
        )
        for severity, (_, colour) in SEVERITIES.items()
    ]
    return [
        *found,
        stat(
            "Held back",
            "Devices that are down or flap, and whose alerts are suppressed for one reason or another.",
            Query(f"count(count by (device) ({_HELD})) or 0 * count(ward_device_up)"),
            unit="none",
            size=size,
            thresholds=quiet(BLUE),
        ),
        stat(
            "Time without an alert of its own",
            "Of all the time that devices were down or flapped in the time range, the share that made no "
            "alert of its own.",
            Query(
                f"sum_over_time((count(count by (device) ({_HELD})) or vector(0))[$__range:$__interval])"
                f" / (sum_over_time((count({_WRONG}) or vector(0))[$__range:$__interval]) > 0)"
            ),
            unit="percentunit",
            decimals=0,
            size=size,
            thresholds={"mode": "absolute", "steps": [{"value": None, "color": BLUE}]},
            nothing="all was well",
        ),
    ]


def _quoted(text: str) -> str:
    return f'"{text}"'


def _now() -> list[Json]:
    return [
        table(
            "Firing now",
            "Each alert that Prometheus or vmalert holds as firing, the most severe first. First seen: when its "
            "condition was. Who was told is Alertmanager's business.",
            [
                Column("Severity", label="severity", states=SEVERITIES, width=90),
                Column("Alert", label="alertname"),
                Column("Device", label="device", links=[to("ward-device", device="__value.raw")]),
                Column("Site", label="site", links=[to("ward-site", site="__value.raw")]),
                Column("Role", label="role"),
                Column("Provider", label="provider"),
                Column("Part", label="component"),
                Column("First seen", expr=f"{q.first_seen(_HERE)} * 1000", unit="dateTimeFromNow"),
            ],
            ranked="rank",
            size=(24, 11),
            nothing="no alert fires",
        )
    ]


def _history() -> list[Json]:
    return [
        series(
            "Alerts that fired",
            "How many at a time, by severity.",
            [Query(q.how_many(_FIRING, "severity"), "{{severity}}")],
            unit="none",
            stacked=True,
            decimals=0,
            size=(24, 8),
            overrides=[
                named(severity, color={"mode": "fixed", "fixedColor": colour})
                for severity, (_, colour) in SEVERITIES.items()
            ],
            nothing="nothing fired",
        ),
        firing(
            "By rule",
            "When each alert fired for anything at all, 20 a page.",
            Query(f"max by (alertname) ({_FIRING})", "{{alertname}}"),
            size=(12, 11),
        ),
        firing(
            "By site",
            "When anything fired about each site, 20 a page.",
            Query(f'max by (site) (ALERTS{{alertstate="firing", site!="", {_HERE}}})', "{{site}}"),
            size=(12, 11),
            links=[to("ward-site", site="__field.labels.site")],
        ),
    ]


def _noise() -> list[Json]:
    # The difference of the counter itself: increase() extrapolates on Prometheus and does not on VictoriaMetrics.
    changes = (
        f"max_over_time(ward_device_status_changes_total{{{q.EVERYWHERE}}}[$__range])"
        f" - min_over_time(ward_device_status_changes_total{{{q.EVERYWHERE}}}[$__range])"
    )
    return [
        table(
            "Top flappers",
            "Devices whose verdict changed most often within the time range.",
            [
                Column("Device", label="device", links=[to("ward-device", device="__value.raw")]),
                Column("Site", label="site", links=[to("ward-site", site="__value.raw")]),
                Column("Role", label="role"),
                Column("Changes", expr=f"topk(15, max by (device, site, role) ({changes}) > 0)", decimals=0),
            ],
            sort="Changes",
            descending=True,
            nothing="no device changed its state",
        ),
        series(
            "Noise saved by suppression",
            "Devices that were down or flapped: those that alerts told of, and those held back, by reason.",
            [
                Query(f"count({_WRONG} unless on (device) ({_SUPPRESSED}))", "told"),
                Query(f"count by (reason) ({_HELD})", "{{reason}}"),
            ],
            unit="none",
            stacked=True,
            decimals=0,
            size=(12, 10),
            overrides=[
                named("told", color={"mode": "fixed", "fixedColor": RED}),
                named("flapping", color={"mode": "fixed", "fixedColor": ORANGE}),
                named("shadowed", color={"mode": "fixed", "fixedColor": BLUE}),
                named("maintenance", color={"mode": "fixed", "fixedColor": GREY}),
            ],
            nothing="all was well",
        ),
    ]


def _limits() -> Json:
    def of(extreme: str, metric: str) -> str:
        return f"{extreme} by (role) (ward_device_{metric}{{{q.EVERYWHERE}}})"

    rtt, loss = "rtt_threshold_seconds", "packet_loss_threshold_ratio"
    return table(
        "Limits in force",
        "What rules compare round-trip time and loss with, from the exporter's own configuration: the lowest "
        "and the "
        "highest of each role.",
        [
            Column("Role", label="role"),
            Column(
                "Devices", expr=f"count by (role) (max by (device, role) (ward_device_{rtt}{{{q.EVERYWHERE}}}))"
            ),
            Column("RTT from", expr=of("min", rtt), unit="s"),
            Column("RTT to", expr=of("max", rtt), unit="s"),
            Column("Loss from", expr=of("min", loss), unit="percentunit", decimals=1),
            Column("Loss to", expr=of("max", loss), unit="percentunit", decimals=1),
        ],
        sort="Role",
        size=(24, 8),
    )


def build() -> Json:
    return dashboard(
        "ward-alerts",
        "What fires and what has fired, what was held back as noise, the limits in force, and whether "
        "alerting works.",
        [
            Section("", _totals()),
            Section("Now", _now()),
            Section("History", _history()),
            Section("Noise", _noise()),
            Section("Limits", [_limits()]),
            Section("Does alerting itself work?", [*health.parts(), *health.rules(), *health.storage()]),
        ],
        variables=[
            chosen("site", "Site", "ward_device_info, site"),
            chosen("role", "Role", 'ward_device_info{site=~"$site"}, role'),
        ],
        where=_HERE,
        since="now-24h",
    )
