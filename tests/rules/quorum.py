"""rules/several.yml, worked out from the rules for one exporter: each asks of most of the vantage points what its
original asks of one.

`python -m tests.rules.quorum` writes the file anew, after a change of devices.yml or sites.yml.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tests.rules.running import DASHBOARDS, RULES, RUNBOOKS, rules

Rule = dict[str, Any]


class Kind(NamedTuple):
    """What a rule is about: the labels of one alert, those by which votes are compared, and who votes."""

    labels: str
    by: str
    voters: str


SEES = 'unless on (job, instance) ward_mass_outage{vantage!=""} == 1'
DEVICE = Kind("job, device, address, site, role, priority", "job, device", f'ward_device_up{{vantage!=""}}\n{SEES}')
SITE = Kind("job, site", "job, site", f'ward_site_isolated{{vantage!=""}}\n{SEES}')
PROVIDER = Kind("job, provider", "job", 'count by (job, vantage) (ward_mass_outage{vantage!=""} == 0)')
OWN_SIDE = Kind("job", "job", 'ward_mass_outage{vantage!=""}')

_WHERE = "{{ $labels.address }}{{ with $labels.site }} at {{ . }}{{ end }}"
#: What each says; the values of the originals are those of one exporter, here they count votes.
TEXTS: Mapping[str, str] = {
    "IspLinkDown": f"{_WHERE} has not answered for more than 10 s.",
    "IspLinkFlapping": f"{_WHERE} goes up and down. Until it is steady this is its only alert.",
    "IspLinkHighLatency": f"The mean round-trip time to {_WHERE} is over the link's limit.",
    "IspLinkPacketLoss": f"More of the pings to {_WHERE} are lost than the link's limit.",
    "DeviceDown": f"{_WHERE} has not answered for more than 10 s.",
    "DeviceFlapping": f"{_WHERE} goes up and down. Until it is steady this is its only alert.",
    "DeviceHighLatency": f"The mean round-trip time to {_WHERE} is over the device's limit.",
    "DevicePacketLoss": f"More of the pings to {_WHERE} are lost than the device's limit.",
    "DeviceDownProlonged": f"{_WHERE} is still down.",
    "SiteIsolated": "All ISP links of {{ $labels.site }} are down. Alerts of what is behind them are held back.",
    "SiteRedundancyLost": "Some ISP links of {{ $labels.site }} are down. It hangs on what is left.",
    "ProviderOutage": "Links of {{ $labels.provider }} at three or more sites are down at once.",
    "MassOutage": (
        "More than half of the devices do not answer. So much at once, from everywhere, is a fault at the centre: "
        "a core device, or what all vantage points share. Alerts of single devices are held back."
    ),
}
_MASS_SUMMARY = "More than half of the inventory is down, seen from most of the vantage points"

HEAD = """\
# Several vantage points: the alerts of devices.yml and sites.yml once more, for exporters that are scraped with a
# label `vantage` (docs/scaling.md). Something is down when more than half of those say so that see anything at all:
# one that is silent, or in a mass outage of its own, has no vote. Without that label nothing here ever fires.
#
# `python -m tests.rules.quorum` writes this file from those two, and a test fails where they differ: change them.
groups:
  # By most of the vantage points 1 or 0, for panels; 1 where as many say so as say no.
  - name: vantage-points
    rules:
      - record: device:ward_device_up:quorum
        expr: |
          2 * sum by (job, device, address, site, role, priority) (
            ward_device_up{vantage!=""} unless on (job, instance) ward_mass_outage{vantage!=""} == 1
          )
          >= bool
          count by (job, device, address, site, role, priority) (
            ward_device_up{vantage!=""} unless on (job, instance) ward_mass_outage{vantage!=""} == 1
          )
"""


def kind_of(rule: Rule) -> Kind:
    match rule["alert"]:
        case "MassOutage":
            return OWN_SIDE
        case "ProviderOutage":
            return PROVIDER
        case "SiteIsolated" | "SiteRedundancyLost":
            return SITE
    has_provider = "group_left (provider)" in rule["expr"]
    return DEVICE._replace(labels=f"{DEVICE.labels}, provider") if has_provider else DEVICE


def expression(rule: Rule) -> str:
    """The original's condition, of the vantage points; how many see it; and how many there must be."""
    kind = kind_of(rule)
    condition, _, held = rule["expr"].partition("\nor on (job, ")
    # Of each metric only what vantage points have: elsewhere there is then nothing to look at.
    condition = condition.replace(', vantage=""', "").replace('{vantage=""}', "")
    condition = re.sub(r"\b(ward_\w+|up)\b(?:\{([^}]*)\})?(?=[ \n)\[]|$)", _of_vantage, condition)
    assert condition.count('vantage!=""') > 1, condition
    if kind is PROVIDER:
        # Of all exporters of a vantage point together: they may divide the inventory among them.
        condition = condition.replace("job, instance, provider", "job, vantage, provider")
    # What is of no exporter alone, or is about the mass outage, has its voters without this.
    blind = [f"    {SEES}"] if kind not in (PROVIDER, OWN_SIDE) else []
    without = re.search(r'-max without \(([^)]*)\) \(\n\s+(ALERTS\{[^}]*?)(?:, instance="")?\}', held)
    assert without
    return "\n".join(
        [
            "(",
            f"  count by ({kind.labels}) (",
            textwrap.indent(condition, "    "),
            *blind,
            "  )",
            f"  > on ({kind.by}) group_left ()",
            f"  count by ({kind.by}) (",
            textwrap.indent(kind.voters, "    "),
            "  ) / 2",
            ")",
            f"or on ({kind.labels.partition(', address')[0]})",
            f"-max without ({without[1]}) (",
            f'  {without[2]}, instance=""}}',
            ') and on (job) max by (job) (up{vantage!=""}) == 0',
        ]
    )


def _of_vantage(found: re.Match[str]) -> str:
    inside = f"{found[2]}, " if found[2] else ""
    return f'{found[1]}{{{inside}vantage!=""}}'


def derived() -> Iterator[tuple[str, str, Rule]]:
    """Group, interval and rule, in the order of the originals."""
    for file in ("devices.yml", "sites.yml"):
        for group, rule in rules(file):
            if rule.get("alert") in TEXTS:
                quick = file == "sites.yml" or group == "isp-links"
                yield f"vantage-{group}", "1s" if quick else "", rule


def text() -> str:
    """The whole file."""
    lines = [HEAD.rstrip("\n")]
    former = ""
    for group, interval, rule in derived():
        if group != former:
            lines += ["", f"  - name: {group}", *([f"    interval: {interval}"] if interval else []), "    rules:"]
            former = group
        lines += [*_yaml(rule), ""]
    return "\n".join(lines)


def _yaml(rule: Rule) -> Iterator[str]:
    name, labels, annotations = rule["alert"], rule["labels"], rule["annotations"]
    yield f"      - alert: {name}"
    yield "        expr: |"
    yield textwrap.indent(expression(rule), " " * 10)
    for key in ("for", "keep_firing_for"):
        if key in rule:
            yield f"        {key}: {rule[key]}"
    yield "        labels:"
    for label, value in labels.items():
        yield f"          {label}: " + (f'"{value}"' if value.isdigit() else value)
    yield "        annotations:"
    description = (
        f"{{{{ if lt $value 0.0 }}}}The vantage points are silent; last known: {{{{ end -}}}} {TEXTS[name]}"
        "{{ if gt $value 0.0 }} Vantage points that say so: {{ $value | humanize }}.{{ end }}"
    )
    summary = _MASS_SUMMARY if name == "MassOutage" else annotations["summary"]
    for key, words in (("summary", summary), ("description", description)):
        yield f"          {key}: >-"
        yield from _folded(words)
    yield f"          runbook_url: {RUNBOOKS}{name}"
    yield f"          dashboard_url: {annotations['dashboard_url']}"
    assert annotations["dashboard_url"].startswith(DASHBOARDS)


def _folded(words: str) -> list[str]:
    """Lines that YAML joins with single blanks."""
    whole = re.sub(r"{{.*?}}", lambda action: action[0].replace(" ", "\0"), words)
    indent = " " * 12
    lines = textwrap.wrap(
        whole, 116, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return [line.replace("\0", " ") for line in lines]


if __name__ == "__main__":
    (RULES / "several.yml").write_text(text())
    sys.exit(0)
