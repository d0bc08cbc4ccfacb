"""Site: its links, its devices, what is left of its redundancy, and its traffic."""

from __future__ import annotations

from dashboards import queries as q
from dashboards.board import Section, chosen, dashboard
from dashboards.isp import DASHED
from dashboards.look import ORANGE, RED, SITE_STATES, STATES, YELLOW, Json, limits, to
from dashboards.panels import SNMP, Column, Query, firing, matching, quiet, series, stat, table, timeline

_WHERE = q.ONE_SITE
_LINKS = f'role="isp", {_WHERE}'
_OTHERS = f'role!="isp", {_WHERE}'
_TO_DEVICE = [to("ward-device", device="__field.labels.device")]
_UP_LINKS = f"sum({q.verdict(_LINKS)})"
_ALL_LINKS = f"count({q.verdict(_LINKS)})"


def _totals() -> list[Json]:
    size, isolated = (4, 4), f"ward_site_isolated{{{_WHERE}}}[$__range]"
    # 0 is also what an exporter says of a site of which it knows no link.
    linked = f"on (job, instance) last_over_time(ward_device_info{{{_LINKS}}}[$__range])"
    return [
        stat(
            "Site",
            "The worst that is wrong here.",
            Query(q.site_state(_WHERE)),
            unit="none",
            size=size,
            states=SITE_STATES,
        ),
        stat(
            "Links up",
            "ISP links that answer. One is a site without a second way out; no data is a site without links.",
            Query(_UP_LINKS),
            unit="none",
            size=size,
            thresholds=limits((1, ORANGE), (2, "green"), below=RED),
            nothing="no links",
        ),
        stat(
            "Links down",
            "ISP links that do not answer.",
            Query(f"{_ALL_LINKS} - {_UP_LINKS}"),
            unit="none",
            size=size,
            thresholds=quiet(RED),
            nothing="no links",
        ),
        stat(
            "Devices down",
            "Everything here that does not answer, suppressed or not.",
            Query(f"sum({q.verdict(_WHERE)} == bool 0)"),
            unit="none",
            size=size,
            thresholds=quiet(RED),
        ),
        stat(
            "Devices",
            "Everything at this site that is probed.",
            Query(f"count(max by (device) (ward_device_info{{{_WHERE}}}))"),
            unit="none",
            size=size,
            thresholds={"mode": "absolute", "steps": [{"value": None, "color": "blue"}]},
        ),
        stat(
            "Reachable",
            "Share of the time range in which the site was not cut off: one link at least was up.",
            Query(
                f"1 - sum(sum_over_time({isolated}) and {linked}) / sum(count_over_time({isolated}) and {linked})"
            ),
            unit="percentunit",
            decimals=2,
            size=size,
            thresholds=limits((0.99, ORANGE), (0.999, YELLOW), (0.9995, "green"), below=RED),
            nothing="no links",
        ),
    ]


def _now() -> list[Json]:
    def gauge(metric: str, where: str) -> str:
        return f"max by (device) ({metric}{{{where}}})"

    def rows(title: str, about: str, where: str, *more: Column) -> Json:
        return table(
            title,
            about,
            [
                Column("Device", label="device", links=[to("ward-device", device="__value.raw")]),
                *more,
                Column("RTT", expr=gauge("ward_device_rtt_seconds", where), unit="s"),
                Column("Loss", expr=gauge("ward_device_packet_loss_ratio", where), unit="percentunit", decimals=1),
                Column(
                    "State since",
                    expr=f"{gauge('ward_device_last_change_timestamp_seconds', where)} * 1000",
                    unit="dateTimeFromNow",
                ),
            ],
            sort="State",
            nothing="none here",
        )

    links = q.with_provider(q.state(_LINKS))
    return [
        rows(
            "ISP links",
            "The site's ways out, with their providers.",
            _LINKS,
            Column("Provider", label="provider"),
            Column("State", expr=links, states=STATES, width=120),
        ),
        rows(
            "Devices behind them",
            "Everything else at this site.",
            _OTHERS,
            Column("Role", label="role"),
            Column("State", expr=q.state(_OTHERS), states=STATES, width=120),
        ),
    ]


def _history() -> list[Json]:
    return [
        timeline(
            "State of all devices",
            "Links and what stands behind them, 20 a page.",
            Query(q.state(_WHERE), "{{device}}"),
            STATES,
            size=(24, 12),
            links=_TO_DEVICE,
        ),
        series(
            "Redundancy",
            "ISP links of the site, and how many of them are up. At one, the next outage cuts the site off.",
            [Query(_UP_LINKS, "Links up"), Query(_ALL_LINKS, "Links limit")],
            unit="none",
            decimals=0,
            legend="list",
            overrides=[DASHED],
            nothing="no links",
        ),
        firing(
            "Alerts of this site",
            "Alerts that carry the site's name, while they fired.",
            Query(
                f'max by (alertname, device) (ALERTS{{alertstate="firing", {_WHERE}}})', "{{alertname}} {{device}}"
            ),
            size=(12, 8),
        ),
        series(
            "Round-trip time",
            "Mean over `probe.window` (60 s as shipped), of the ten devices that were slowest within "
            "the time range.",
            [Query(_worst("ward_device_rtt_seconds"), "{{device}}")],
            unit="s",
            links=_TO_DEVICE,
        ),
        series(
            "Packet loss",
            "Over `probe.window` (60 s as shipped), of the ten devices that lost most within the time range.",
            [Query(_worst("ward_device_packet_loss_ratio"), "{{device}}")],
            unit="percentunit",
            most=1,
            links=_TO_DEVICE,
        ),
    ]


def _worst(metric: str) -> str:
    selector = f"{metric}{{{_WHERE}}}"
    return q.worst(f"max by (device) ({selector})", selector)


def _traffic() -> list[Json]:
    links = [to("ward-interfaces", device="__field.labels.device")]
    return [
        series(
            "Traffic of the busiest interfaces",
            "Bits a second by SNMP of the ten interfaces with most traffic: in is drawn up, out is drawn down.",
            [
                Query(q.busiest(q.bits("In", _WHERE), _WHERE), "{{device}} {{ifName}} in", SNMP),
                Query(q.busiest(q.bits("Out", _WHERE), _WHERE), "{{device}} {{ifName}} out", SNMP),
            ],
            unit="bps",
            size=(24, 8),
            least=None,
            overrides=[matching(" out$", custom__transform="negative-Y")],
            links=links,
            nothing="no device here is polled by SNMP",
        )
    ]


def build() -> Json:
    return dashboard(
        "ward-site",
        "One site: its links and devices, what is left of its redundancy, its history and its traffic.",
        [
            Section("", _totals()),
            Section("Now", _now()),
            Section("History", _history()),
            Section("Traffic", _traffic()),
        ],
        variables=[chosen("site", "Site", "ward_site_info, site", one=True)],
        where=_WHERE,
    )
