"""ISP links: how each of them is, how it has been, and how the providers compare."""

from __future__ import annotations

from dashboards import queries as q
from dashboards.board import Section, chosen, dashboard
from dashboards.look import DOWN, FLAPPING, ORANGE, RED, STATES, UP, YELLOW, Json, limits, to
from dashboards.panels import Column, Query, matching, quiet, series, stat, table, timeline

_WHERE = q.LINKS
_STATE = f"({q.state(_WHERE)} {q.OF_PROVIDER})"
_TO_DEVICE = [to("ward-device", device="__field.labels.device")]
_AVAILABILITY = limits((0.99, ORANGE), (0.999, YELLOW), (0.9995, "green"), below=RED)
_SLOW = "ward_device_rtt_seconds > ward_device_rtt_threshold_seconds"
_LOSSY = "ward_device_packet_loss_ratio > ward_device_packet_loss_threshold_ratio"


def _over(condition: str) -> str:
    """How many links that are up are over their limit."""
    there = f"ward_device_up{{{_WHERE}}} {q.OF_PROVIDER}"
    over = f"({there}) == 1 and on (job, instance, device) ({condition})"
    return f"count(max by (device) ({over})) or 0 * count({there})"


def _totals() -> list[Json]:
    size = (4, 4)
    return [
        stat(
            "All links",
            "ISP links of the chosen sites and providers.",
            Query(f"count({_STATE})"),
            unit="none",
            size=size,
        ),
        stat(
            "Up",
            "Links that answer and neither flap nor are suppressed.",
            Query(f"sum({_STATE} == bool {UP})"),
            unit="none",
            size=size,
        ),
        stat(
            "Down",
            "Links that are down and neither flap nor are suppressed.",
            Query(f"sum({_STATE} == bool {DOWN})"),
            unit="none",
            size=size,
            thresholds=quiet(RED),
        ),
        stat(
            "Flapping",
            "Links that flap and are not suppressed otherwise: from `limits.flap_changes` changes of state within "
            "`flapping.window` on, until the window holds none.",
            Query(f"sum({_STATE} == bool {FLAPPING})"),
            unit="none",
            size=size,
            thresholds=quiet(ORANGE),
        ),
        stat(
            "Slow",
            "Links that are up, with a round-trip time over their limit.",
            Query(_over(_SLOW)),
            unit="none",
            size=size,
            thresholds=quiet(ORANGE),
        ),
        stat(
            "Lossy",
            "Links that are up and lose more than their limit.",
            Query(_over(_LOSSY)),
            unit="none",
            size=size,
            thresholds=quiet(ORANGE),
        ),
    ]


def _a_row_a_link() -> Json:
    def gauge(metric: str) -> str:
        return f"(max by (device) ({metric}{{{_WHERE}}}) {q.OF_PROVIDER})"

    def availability(name: str, span: str) -> Column:
        return Column(
            name,
            expr=f"{q.available(_WHERE, span)} {q.OF_PROVIDER}",
            unit="percentunit",
            decimals=2,
            thresholds=_AVAILABILITY,
        )

    return table(
        "Links",
        "A row a link. Availability is the share of the time that the link was up: today since midnight, "
        "and over 7 and 30 days as far back as there is data. The time range above does not count here.",
        [
            Column("Link", label="device", links=[to("ward-device", device="__value.raw")]),
            Column("Site", label="site", links=[to("ward-site", site="__value.raw")]),
            Column("Provider", label="provider"),
            Column("State", expr=q.with_provider(_STATE), states=STATES, width=120),
            Column("RTT", expr=gauge("ward_device_rtt_seconds"), unit="s"),
            Column("Loss", expr=gauge("ward_device_packet_loss_ratio"), unit="percentunit", decimals=1),
            availability("Today", "$__range"),
            availability("7 days", "7d"),
            availability("30 days", "30d"),
            Column(
                "State since",
                expr=f"{gauge('ward_device_last_change_timestamp_seconds')} * 1000",
                unit="dateTimeFromNow",
            ),
        ],
        sort="State",
        size=(24, 14),
        since="now/d",
    )


def _history() -> list[Json]:
    rtt, loss = f"ward_device_rtt_seconds{{{_WHERE}}}", f"ward_device_packet_loss_ratio{{{_WHERE}}}"
    ranked_rtt, ranked_loss = (f"({one} {q.OF_PROVIDER})" for one in (rtt, loss))
    return [
        timeline(
            "State of links",
            "Every chosen link, 20 a page. Choose a site, a provider or links above to see fewer.",
            Query(_STATE, "{{device}}"),
            STATES,
            size=(24, 13),
            links=_TO_DEVICE,
        ),
        series(
            "Round-trip time and its limit",
            "Mean over `probe.window` (60 s as shipped). The ten links that were slowest within the time range; "
            "limits are dashed.",
            [
                Query(q.worst(f"max by (device) {ranked_rtt}", rtt), "{{device}}"),
                Query(
                    q.worst(
                        f"max by (device) (ward_device_rtt_threshold_seconds{{{_WHERE}}} {q.OF_PROVIDER})", rtt
                    ),
                    "{{device}} limit",
                ),
            ],
            unit="s",
            size=(24, 10),
            overrides=[DASHED],
            links=_TO_DEVICE,
        ),
        series(
            "Packet loss",
            "Over `probe.window` (60 s as shipped). The ten links that lost most within the time range; limits are "
            "dashed.",
            [
                Query(q.worst(f"max by (device) {ranked_loss}", loss), "{{device}}"),
                Query(
                    q.worst(
                        f"max by (device) (ward_device_packet_loss_threshold_ratio{{{_WHERE}}} {q.OF_PROVIDER})",
                        loss,
                    ),
                    "{{device}} limit",
                ),
            ],
            unit="percentunit",
            most=1,
            size=(24, 10),
            overrides=[DASHED],
            links=_TO_DEVICE,
        ),
    ]


#: Limits are drawn as one dashed line and not listed.
DASHED = matching(
    " limit$",
    custom__lineStyle={"fill": "dash", "dash": [8, 8]},
    custom__hideFrom={"legend": True, "tooltip": True, "viz": False},
    color={"mode": "fixed", "fixedColor": RED},
)


def _providers() -> list[Json]:
    where = 'provider=~"$provider"'
    their = f'max by (device, provider) (ward_device_info{{provider!="", {where}}})'
    known = f"({q.verdict('')} * on (device) group_left (provider) topk by (device) (1, {their}))"
    long_up, long_count = (
        f"sum by (provider) (sum_over_time(provider:ward_device_up:{one}{{{where}}}[$__range]))"
        for one in ("sum", "count")
    )
    replies, sent = (
        f"sum by (provider) (provider:ward_device_{one}:rate5m{{{where}}})" for one in ("replies", "probes_sent")
    )
    info = f'ward_device_info{{role="isp", {where}}}'

    def rate(metric: str) -> str:
        # Of all exporters, each with its own inventory: of one its probes and of another its replies is no share.
        each = f'rate({metric}{{role="isp"}}[$__rate_interval])'
        return f"sum by (provider) ({each} * on (job, instance, device) group_left (provider) {info})"

    return [
        table(
            "Providers",
            "All devices with a provider, at every site. Availability is that of all its devices together, "
            "within the "
            "time range, from recorded series.",
            [
                Column("Provider", label="provider"),
                Column("Devices", expr=f"count by (provider) ({known})"),
                Column("Down", expr=f"sum by (provider) ({known} == bool 0)", thresholds=quiet(RED)),
                Column(
                    "Availability",
                    expr=f"{long_up} / {long_count}",
                    unit="percentunit",
                    decimals=2,
                    thresholds=_AVAILABILITY,
                ),
                Column("Lost probes", expr=f"1 - {replies} / {sent}", unit="percentunit", decimals=2),
            ],
            sort="Availability",
            size=(24, 6),
        ),
        series(
            "Round-trip time by provider",
            "Exact mean of all answered probes to a provider's links, from counters.",
            [
                Query(
                    f"{rate('ward_device_rtt_seconds_total')} / {rate('ward_device_replies_total')}", "{{provider}}"
                )
            ],
            unit="s",
        ),
        series(
            "Lost probes by provider",
            "Exact share of probes to a provider's links that were lost, from counters.",
            [
                Query(
                    f"1 - {rate('ward_device_replies_total')} / {rate('ward_device_probes_sent_total')}",
                    "{{provider}}",
                )
            ],
            unit="percentunit",
        ),
    ]


def build() -> Json:
    return dashboard(
        "ward-isp",
        "Every ISP link with its state, round-trip time, loss and availability, and a comparison of the providers.",
        [
            Section("", _totals()),
            Section("Links", [_a_row_a_link()]),
            Section("History", _history()),
            Section("Providers", _providers()),
        ],
        variables=[
            chosen("site", "Site", 'ward_device_info{role="isp"}, site'),
            chosen("provider", "Provider", 'ward_device_info{role="isp", site=~"$site"}, provider'),
            chosen("device", "Link", 'ward_device_info{role="isp", site=~"$site", provider=~"$provider"}, device'),
        ],
        # Thirty days of every link are a second or more of the database's time.
        refresh="30s",
        where='role="isp", site=~"$site", device=~"($device)?"',
    )
