"""Queries that several dashboards share, in what PromQL and MetricsQL have in common.

All group by labels, so that two exporters that probe the same devices are one row and not two.
"""

from __future__ import annotations

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
#: Spans for which availability asks for every sample.
RECENT = ("$__range", "1d")


def state(where: str) -> str:
    """What a device is, as a number: see look.STATES. Suppression other than by flapping goes before all else."""
    by = "by (device, site, role)"
    return (
        f'(max {by} (ward_device_suppressed{{reason!="flapping", {where}}}) * 0 + 3'
        f" or on (device) max {by} (ward_device_flapping{{{where}}} == 1)"
        f" or on (device) min {by} (ward_device_up{{{where}}}) * 4"
        f" or on (device) max {by} (ward_device_info{{{where}}}) * 2)"
    )


def devices_in(number: int, where: str) -> str:
    """How many devices are in a state; 0 for none, and nothing at all while the exporter is silent."""
    return f"sum({state(where)} == bool {number})"


def site_state(where: str) -> str:
    """What a site is, as a number: see look.SITE_STATES."""
    return (
        f"(max by (site) (ward_site_isolated{{{where}}} == 1) * 0"
        f' or on (site) count by (site) (ward_device_up{{role="isp", {where}}} == 0) * 0 + 1'
        f" or on (site) count by (site) (ward_device_up{{{where}}} == 0) * 0 + 2"
        f" or on (site) max by (site) (ward_site_info{{{where}}}) * 4)"
    )


def with_provider(expr: str) -> str:
    """The label `provider` beside those that `expr` has."""
    return f"{expr} * on (device) group_left (provider) max by (device, provider) (ward_device_info)"


def available(where: str, span: str) -> str:
    """Share of the time that a device was up.

    The verdict counts and not the share of answered probes: a link that loses 3 % is lossy all day, but never out.
    Every sample counts. 30 days are half a million of each device, so weeks are the mean of recorded means.
    """
    series = "ward_device_up" if span in RECENT else "device:ward_device_up:avg1m"
    return f"avg by (device) (avg_over_time({series}{{{where}}}[{span}]))"


def worst(expr: str, ranked: str, most: int = 10) -> str:
    """Of `expr` the devices whose `ranked`, a gauge, was highest within the time range."""
    return f"{expr} and on (device) topk({most}, max by (device) (max_over_time({ranked}[$__range] @ end())))"


def troubled(expr: str, where: str) -> str:
    """Of `expr` the devices that were down within the time range, or changed their state."""
    return (
        f"{expr} and on (device) (min_over_time(ward_device_up{{{where}}}[$__range] @ end()) == 0"
        f" or max_over_time(ward_device_flapping{{{where}}}[$__range] @ end()) == 1)"
    )


def bits(direction: str, where: str) -> str:
    """Bits a second of interfaces, `In` or `Out`."""
    return f"rate(ifHC{direction}Octets{{{where}}}[$__rate_interval]) * 8"


def busiest(expr: str, where: str, most: int = 10) -> str:
    """Of `expr` the interfaces with most octets, both ways, within the time range."""
    total = " + ".join(f"rate(ifHC{way}Octets{{{where}}}[$__range] @ end())" for way in ("In", "Out"))
    return f"{expr} and on (device, ifIndex) topk({most}, {total})"


def first_seen(alerts: str, by: str) -> str:
    """When alerts that fire now were first seen firing within the time range, in seconds.

    The second branch is for those that no step of the first has met yet.
    """
    seen = f"min_over_time(timestamp({alerts})[$__range:$__interval])"
    return f"min by ({by}) ({seen} and {alerts} or timestamp({alerts}))"
