"""Queries that several dashboards share, in what PromQL and MetricsQL have in common.

All group by labels, so that two exporters that probe the same devices are one row and not two.
"""

from __future__ import annotations

from dashboards.look import SEVERITIES

#: The matchers that the variables of a dashboard make.
EVERYWHERE = 'site=~"$site", role=~"$role"'
CHOSEN = f'{EVERYWHERE}, device=~"$device"'
LINKS = 'role="isp", site=~"$site", device=~"$device"'
ONE_SITE = 'site="$site"'
ONE_DEVICE = 'device="$device"'
#: Alerts may lack a label. `.+|` would say the same, but in VictoriaMetrics it finds no series without the label.
HERE = 'site=~"$site", role=~"($role)?"'
#: How a device is named by its label in `and on (device)`, which keeps the links of the chosen providers.
OF_PROVIDER = 'and on (device) ward_device_info{provider=~"$provider"}'
#: The provider of each device: one, also when two exporters do not agree on it.
PROVIDERS = "topk by (device) (1, max by (device, provider) (ward_device_info))"
#: What an interface is told by, in a legend or a row.
INTERFACE = "device, ifIndex, ifName, ifAlias"
#: What alerts are told apart by: two exporters that say the same are one.
ALERT = "severity, alertname, device, site, role, provider, component"
#: Spans for which availability asks for every sample.
RECENT = ("$__range", "1d")
#: A vantage point in a mass outage of its own has no vote, as in rules/several.yml.
SEEING = 'unless on (job, instance) ward_mass_outage{vantage!=""} == 1'
_DEVICE = "by (device, site, role)"
_QUORUM = "device:ward_device_up:quorum"


def verdict(where: str) -> str:
    """1 or 0 for each device: what most of the vantage points say, or else the worst that any exporter says."""
    return f"(max {_DEVICE} ({_QUORUM}{{{where}}}) or on (device) min {_DEVICE} (ward_device_up{{{where}}}))"


def _most(told: str, where: str) -> str:
    """The devices of which more than half of the exporters that know them tell this."""
    votes = f"count by (device) (ward_device_info{{{where}}} {SEEING})"
    return f"(count {_DEVICE} ({told} {SEEING}) > on (device) group_left () {votes} / 2)"


def suppressed(where: str, reasons: str = 'reason!="flapping"') -> str:
    """The devices whose alerts are held back for these reasons."""
    each = "max by (job, instance, device, site, role)"
    return _most(f"{each} (ward_device_suppressed{{{reasons}, {where}}})", where)


def flapping(where: str) -> str:
    """The devices that flap."""
    return _most(f"ward_device_flapping{{{where}}} == 1", where)


def state(where: str) -> str:
    """What a device is, as a number: see look.STATES. Suppression other than by flapping goes before all else."""
    return (
        f"({suppressed(where)} * 0 + 3"
        f" or on (device) {flapping(where)} * 0 + 1"
        f" or on (device) {verdict(where)} * 4"
        f" or on (device) max {_DEVICE} (ward_device_info{{{where}}}) * 2)"
    )


def devices_in(number: int, where: str) -> str:
    """How many devices are in a state; 0 for none, and nothing at all while the exporter is silent."""
    return f"sum({state(where)} == bool {number})"


def cut_off(where: str) -> str:
    """The sites that are cut off, as the alert SiteIsolated sees it: not by maintenance, nor by a mass outage."""
    isolated = f"ward_site_isolated{{{where}}}"
    links = f'role="isp", {where}'
    held_back = suppressed(links, 'reason=~"maintenance|mass_outage"')
    return (
        f"(count by (site) ({isolated} == 1 {SEEING}) > on (site) count by (site) ({isolated} {SEEING}) / 2"
        f" and on (site) ({verdict(links)} unless on (device) {held_back}))"
    )


def site_state(where: str) -> str:
    """What a site is, as a number: see look.SITE_STATES. What is suppressed is no trouble, but it is not up."""
    links = f'role="isp", {where}'
    held_back = suppressed(links, 'reason=~"maintenance|mass_outage"')
    return (
        f"({cut_off(where)} * 0"
        f" or on (site) count by (site) ({verdict(links)} == 0 unless on (device) {held_back}) * 0 + 1"
        f" or on (site) count by (site) ({verdict(where)} == 0 unless on (device) {suppressed(where)}) * 0 + 2"
        f" or on (site) count by (site) ({verdict(where)} == 0) * 0 + 3"
        f" or on (site) max by (site) (ward_site_info{{{where}}}) * 4)"
    )


def devices_down(where: str) -> str:
    """How many devices of each site do not answer, suppressed or not."""
    return f"sum by (site) ({verdict(where)} == bool 0)"


def with_provider(expr: str) -> str:
    """The label `provider` beside those that `expr` has."""
    return f"{expr} * on (device) group_left (provider) {PROVIDERS}"


def available(where: str, span: str) -> str:
    """Share of the time that a device was up.

    The verdict counts and not the share of answered probes: a link that loses 3 % is lossy all day, but never out.
    Every sample counts as much as any other, also when the device was another series for a part of the time: with
    another address, or another role. 30 days are half a million samples of each, so weeks are of recorded means.
    """

    def share(series: str) -> str:
        samples = f"{series}{{{where}}}[{span}]"
        return f"sum by (device) (sum_over_time({samples})) / sum by (device) (count_over_time({samples}))"

    if span in RECENT:
        return f"({share(_QUORUM)} or on (device) {share('ward_device_up')})"
    return f"({share('device:ward_device_up:avg1m')})"


def worst(expr: str, ranked: str, most: int = 10) -> str:
    """Of `expr` the devices whose `ranked`, a gauge, was highest within the time range."""
    return f"{expr} and on (device) topk({most}, max by (device) (max_over_time({ranked}[$__range] @ end())))"


def troubled(expr: str, where: str) -> str:
    """Of `expr` the devices that were down within the time range, or changed their state."""
    alone = f'{where}, vantage=""'
    return (
        f"{expr} and on (device) (min_over_time({_QUORUM}{{{where}}}[$__range] @ end()) == 0"
        f" or min_over_time(ward_device_up{{{alone}}}[$__range] @ end()) == 0"
        f" or max_over_time(ward_device_flapping{{{alone}}}[$__range] @ end()) == 1)"
    )


def bits(direction: str, where: str, span: str = "$__rate_interval") -> str:
    """Bits a second of each interface, `In` or `Out`."""
    return f"max by ({INTERFACE}) (rate(ifHC{direction}Octets{{{where}}}[{span}])) * 8"


def busiest(expr: str, where: str, most: int = 10) -> str:
    """Of `expr` the interfaces with most octets, both ways, within the time range."""
    total = " + ".join(
        f"max by (device, ifIndex) (rate(ifHC{way}Octets{{{where}}}[$__range] @ end()))" for way in ("In", "Out")
    )
    return f"{expr} and on (device, ifIndex) topk({most}, {total})"


def alerts(where: str) -> str:
    """The alerts that fire, but for the watchdog, which always does."""
    return f'ALERTS{{alertstate="firing", severity!="none", {where}}}'


def how_many(found: str, by: str = "") -> str:
    """How many alerts these are, or of each kind."""
    return f"count{f' by ({by})' if by else ''} (count by ({ALERT}) ({found}))"


def first_seen(where: str) -> str:
    """When what fires now began, in seconds, with a label `rank` to sort by: the most severe first.

    Prometheus records when each alert was first seen, and so does vmalert; an old one only of rules that wait. Of
    others it is when they were first seen firing within the time range; the last branch is for those that no step
    of that has met yet. In VictoriaMetrics timestamp() also finds what has ended, so each branch is asked for what
    fires.
    """
    found = alerts(where)
    recorded = f'ALERTS_FOR_STATE{{severity!="none", {where}}} and ignoring (alertstate) {found}'
    met = f"min_over_time(timestamp({found})[$__range:$__interval]) and {found}"
    ranked = f"min by ({ALERT}) (({recorded}) or ignoring (alertstate) ({met} or timestamp({found}) and {found}))"
    for rank, severity in enumerate((".*", *reversed(SEVERITIES))):
        ranked = f'label_replace({ranked}, "rank", "{len(SEVERITIES) - rank}", "severity", "{severity}")'
    return ranked
