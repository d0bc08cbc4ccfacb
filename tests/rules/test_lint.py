"""What every rule has, whoever wrote it; and docs/alerts.md beside them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from exporter.exposition import families, snmp
from exporter.snmp.modules import shipped
from tests.rules import quorum
from tests.rules.running import DASHBOARDS, RULES, RUNBOOKS, rules

FILES = sorted(path.name for path in RULES.glob("*.yml"))
ALL = [(file, group, rule) for file in FILES for group, rule in rules(file)]
ALERTS = [(file, rule) for file, _, rule in ALL if "alert" in rule]
EXPRESSIONS = [rule["expr"] for _, _, rule in ALL]
ABOUT_DEVICES = [rule for file, rule in ALERTS if file in {"devices.yml", "sites.yml"}]
ABOUT_POLLS = [rule for file, rule in ALERTS if file == "snmp.yml"]
#: And about a device, not the exporter's polling of all of them.
ABOUT_ANSWERS = [rule for rule in ABOUT_POLLS if "component" not in rule["labels"]]
#: Of these, the ones that need more than one poll to know.
OF_RATES = {"InterfaceHighUtilisation", "InterfaceErrors", "InterfaceDiscards"}
#: Look at several exporters together, of one inventory.
OF_SEVERAL = {"ExporterDown", "ExporterPeerDown", "ProviderOutage", "ShardMissing", "VantageBlind"}
SEVERITIES = {"critical", "high", "medium", "low", "none"}
UIDS = {f"ward-{name}" for name in ("overview", "isp", "site", "device", "interfaces", "alerts", "exporter")}
PAGE = (RULES.parent / "docs" / "alerts.md").read_text()

every_alert = pytest.mark.parametrize("rule", [rule for _, rule in ALERTS], ids=lambda rule: rule["alert"])


def without_strings(expression: str) -> str:
    return re.sub(r'"[^"]*"', '""', expression)


def test_the_files_are_these() -> None:
    """No rule file is outside of these tests."""
    names = "compat devices exporter recording several sites snmp"
    assert [f"{name}.yml" for name in names.split()] == FILES


def test_several_exporters_are_asked_what_one_is() -> None:
    """The rules for vantage points are those for one exporter, by most of them. PathChanged alone is left out:
    every vantage point has a path of its own."""
    assert (RULES / "several.yml").read_text() == quorum.text()
    assert {rule["alert"] for rule in ABOUT_DEVICES} - quorum.TEXTS.keys() == {"PathChanged"}


@every_alert
def test_labels_and_annotations(rule: dict[str, Any]) -> None:
    """Each alert has a severity that routes know, a text, its own runbook, and a dashboard that is to be there."""
    assert re.fullmatch(r"([A-Z][a-z]+)+", rule["alert"])
    assert rule["labels"]["severity"] in SEVERITIES
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url", "dashboard_url"}
    assert rule["annotations"]["runbook_url"] == RUNBOOKS + rule["alert"]
    address = rule["annotations"]["dashboard_url"]
    assert address.startswith(DASHBOARDS)
    assert re.split(r"[/?]", address.removeprefix(DASHBOARDS))[0] in UIDS


@every_alert
def test_labels_put_into_an_address_are_escaped(rule: dict[str, Any]) -> None:
    """A name with a space or an ampersand breaks no link."""
    for label in re.findall(r"{{(.*?)}}", rule["annotations"]["dashboard_url"]):
        assert re.fullmatch(r" \$labels\.\w+ \| urlquery ", label)


def test_only_the_exporter_and_the_stack_have_components_and_only_they_have_no_place() -> None:
    """Alerts about the monitoring say about which part; those about sites and providers go the way of ISP links."""
    for file, rule in ALERTS:
        if file == "exporter.yml" or rule["alert"].startswith("SnmpPoll"):
            assert ("component" in rule["labels"]) == (rule["alert"] != "Watchdog")
            assert not {"site", "priority", "role"} & rule["labels"].keys()
        elif file == "sites.yml" and rule["alert"] != "MassOutage":
            assert rule["labels"] == {"severity": rule["labels"]["severity"], "role": "isp", "priority": "0"}


@pytest.mark.parametrize("rule", ABOUT_DEVICES, ids=lambda rule: rule["alert"])
def test_a_silent_exporter_ends_no_alert(rule: dict[str, Any]) -> None:
    """Each alert about devices and sites goes on by its own name, and drops every label that the rule adds."""
    held = re.search(
        r"or on \(job, instance(?:, \w+)?\)\s+-max without \(([^)]*)\) \(\s+ALERTS\{([^}]*)\}\s+\)"
        r" and on \(job, instance\) max by \(job, instance\) \(up\) == 0"
        r"(?:\s+unless on \(job, instance, device\) last_over_time\(ward_device_up\{[^}]*\}\[1m\]\) == 1)?\s*$",
        rule["expr"],
    )
    assert held
    assert set(held[1].split(", ")) == {"alertname", "alertstate", "alertgroup", *rule["labels"]}
    tier = [f'tier="{rule["labels"]["tier"]}"'] if "tier" in rule["labels"] else []
    assert held[2].split(", ") == [f'alertname="{rule["alert"]}"', 'alertstate="firing"', *tier]


#: How every alert of snmp.yml ends: what it is told apart by, its own name, and what is known of it now.
TAIL = re.compile(
    r"""
  or on \((?P<own>[^)]*)\)
  -max without \(alertname, alertstate, alertgroup, severity\) \(
    ALERTS\{alertname="(?P<name>\w+)", alertstate="firing"\}
  \) and on \(instance, device\) \(
    (?P<answers>[^-]+?)
    and on \(instance, device\) sum_over_time\(ward_snmp_up\[1h\]\) > sum_over_time\(ward_snmp_partial\[1h\]\)
    or ward_device_up and on \(instance\) min_over_time\(up\{job="ward-exporter-snmp"\}\[5m\]\) == 0
  \)
  unless on \((?P<known>[^)]*)\) [^-]+
\)
and on \(instance, device\) ward_device_up == 1
unless on \(instance, device\) ward_device_suppressed
or on \((?P=own)\)
-max without \(alertname, alertstate, alertgroup, severity\) \(
  ALERTS\{alertname="(?P=name)", alertstate="firing"\}
\) and on \(instance\) max by \(instance, job\) \(up\{job=~"ward-exporter\(-snmp\)\?"\}\) == 0
$"""
)


#: What is no news: for five minutes no whole answer. A rate needs five minutes of nothing else.
NO_NEWS = {
    False: [
        "max_over_time(ward_snmp_up[5m]) == 0",
        "sum_over_time(ward_snmp_up[5m]) <= sum_over_time(ward_snmp_partial[5m])",
    ],
    True: ["min_over_time(ward_snmp_up[5m]) == 0", "max_over_time(ward_snmp_partial[5m]) == 1"],
}


@pytest.mark.parametrize("rule", ABOUT_ANSWERS, ids=lambda rule: rule["alert"])
def test_neither_a_silent_exporter_nor_a_silent_device_ends_an_alert(rule: dict[str, Any]) -> None:
    """An alert about what polls bring goes on while nothing is known, by its own name, and waits for a device."""
    tail = TAIL.search(rule["expr"])
    assert tail
    assert tail["name"] == rule["alert"]
    assert tail["own"].removesuffix(", direction") == tail["known"]
    assert re.split(r"\s+or ", tail["answers"]) == NO_NEWS[rule["alert"] in OF_RATES]
    assert ("direction" in tail["own"]) == ("$labels.direction" in rule["annotations"]["summary"])
    assert set(rule["labels"]) == {"severity"}


def test_two_exporters_do_not_mix() -> None:
    """Every join and every sum of the exporter's series keeps job and instance apart; of its two jobs, instance.
    Left out are the rules that are about several exporters."""
    for file, _, rule in ALL:
        if file == "several.yml" or rule.get("alert") in OF_SEVERAL:
            continue
        of_both = file == "snmp.yml" or rule.get("alert") == "StackPartDown"
        start = "instance" if of_both else "job, instance"
        for labels in re.findall(r"\b(?:on|by) \(([^)]*)\)", rule["expr"]):
            assert labels.startswith(start), rule


def test_what_polls_bring_is_looked_for_over_minutes() -> None:
    """No rule takes a series that comes once a minute as it is at one moment: a range is around it."""
    polled = r"\b(?:if[A-Z]\w+|ward_snmp_\w+|ward_device_(?:cpu|memory|uptime)_\w+)"
    for rule in ABOUT_POLLS:
        left = re.sub(r"\b(?:on|by|ignoring) \([^)]*\)", "", without_strings(rule["expr"]))
        left = re.sub(polled + r"(?:\{[^}]*\})?\[[\w:]+\]", "", left)
        # The innermost brackets of a subquery, and those around them.
        while left != (less := re.sub(r"\((?:[^()]|\([^()]*\))*\)\[\w+:\w+\]", "", left)):
            left = less
        assert not re.search(polled, left), left


def test_traffic_is_compared_with_a_speed_that_can_be_told() -> None:
    """No rule asks for ifSpeed, which ends at 4.29 Gbit/s, nor for counters of octets that wrap within a minute."""
    for rule in ABOUT_POLLS:
        assert not re.search(r"\b(?:ifSpeed|ifInOctets|ifOutOctets)\b", rule["expr"])


def test_what_rules_ask_of_devices_is_polled() -> None:
    """Each metric of devices that a rule asks for is one of the shipped module of interfaces."""
    known = {metric.name for metric in shipped()["if_mib"].metrics} | {"ifType_info"}
    asked = {name for rule in ABOUT_POLLS for name in re.findall(r"\bif[A-Z]\w+(?=[\[{])", rule["expr"])}
    assert len(asked) > 10
    assert asked <= known


def test_limits_of_rtt_and_loss_are_the_devices_own() -> None:
    """Round-trip time and loss are compared with the limits of the same device, and with no number."""
    compared = [
        re.findall(r"ward_device_(?:rtt|packet_loss)\w*(?:\{[^}]*\})?\s*(?:[<>]=?|==|!=)\s*(\S+)", expression)
        for expression in EXPRESSIONS
    ]
    found = [right for one in compared for right in one]
    # Of ISP links and of the rest; of one exporter and of several.
    assert len(found) == 2 * 2 * 2
    assert all(
        re.match(r"ward_device_(rtt_threshold_seconds|packet_loss_threshold_ratio)\{", right) for right in found
    )


def test_no_function_that_misses_what_is_between_scrapes() -> None:
    """Flapping is the exporter's count of its own verdicts; `changes` and `resets` see scrapes alone, which is what
    `up` is about."""
    assert not [one for one in EXPRESSIONS if re.search(r"\b(changes|resets)\((?!up\{)", one)]


def test_the_exporters_metrics_exist() -> None:
    """A rule that asks for a metric that the exporter does not have would be silent for ever."""
    known = {family.name for family in (*families.ALL, *snmp.ALL)}
    for _, _, rule in ALL:
        asked = set(re.findall(r"(?<![:\w])ward_\w+", without_strings(rule["expr"])))
        assert asked <= known, rule


def test_no_alert_builds_on_a_recording_rule() -> None:
    """vmalert writes what it records with a delay, and an alert would be late by it."""
    recorded = {rule["record"] for _, _, rule in ALL if "record" in rule}
    for _, rule in ALERTS:
        assert not recorded & set(re.findall(r"[\w:]+", rule["expr"]))


def test_names_of_recorded_series() -> None:
    """They are level:metric:operations, but for the old platform's names, and no name is there twice."""
    recorded = [(file, rule["record"]) for file, _, rule in ALL if "record" in rule]
    for file, name in recorded:
        if file == "compat.yml":
            assert name in {"device_ping_status", "device_ping_rtt_ms", "device_packet_loss"}
        else:
            assert re.fullmatch(r"(device|site|role|provider):ward_\w+:[a-z0-9_]+", name)
    assert len(recorded) == len({name for _, name in recorded})


def test_no_group_has_a_limit() -> None:
    """A group's limit that is exceeded clears every alert of its rules: silence in the worst hour."""
    for file in FILES:
        assert "limit:" not in (RULES / file).read_text()


def test_links_and_sites_are_looked_at_each_second() -> None:
    """What pages within 15 s is evaluated each second, whatever the global interval."""
    for file, group, rule in ALL:
        text = (RULES / file).read_text()
        quick = re.search(rf"- name: {group}\n    interval: 1s\n", text) is not None
        of_sites = file == "sites.yml" or group == "vantage-sites"
        assert quick == (rule.get("alert", "").startswith("IspLink") or of_sites)


def rows() -> dict[str, tuple[str, str]]:
    """The alerts of the page's table, each with its severity and its wait."""
    found = re.findall(r"^\| `(\w+)` \| \S[^|]* \| (\w+) \| (\w*) ?\| [^|]*\|$", PAGE, re.MULTILINE)
    assert len(found) == len({name for name, _, _ in found})
    assert len(found) == len(re.findall(r"^\| `", PAGE, re.MULTILINE))
    return {name: (severity, wait) for name, severity, wait in found}


def test_the_page_has_every_alert_and_no_other() -> None:
    """docs/alerts.md names each alert once, with the severity and the wait that it has."""
    assert rows() == {rule["alert"]: (rule["labels"]["severity"], rule.get("for", "")) for _, rule in ALERTS}


def test_the_page_knows_which_alerts_are_suppressed() -> None:
    """The column "Held back by" is empty where the rule subtracts no suppression, and only there."""
    held = dict(re.findall(r"^\| `(\w+)` \|.*\| ([^|]*)\|$", PAGE, re.MULTILINE))
    for _, rule in ALERTS:
        assert bool(held[rule["alert"]].strip()) == ("ward_device_suppressed" in rule["expr"])


def test_one_command_sets_the_addresses(tmp_path: Path) -> None:
    """The page's sed leaves none of the two example hosts behind, and changes nothing else."""
    (command,) = re.findall(r"^```\n(sed .*?)```$", PAGE, re.MULTILINE | re.DOTALL)
    shutil.copytree(RULES, tmp_path / "rules")
    subprocess.run(["sh", "-c", command], check=True, cwd=tmp_path)
    for file in FILES:
        before, after = (folder.joinpath(file).read_text() for folder in (RULES, tmp_path / "rules"))
        assert "runbooks.example" not in after
        assert "grafana.example" not in after
        back = after.replace("https://wiki.bank.example/runbooks", RUNBOOKS[:-1])
        assert back.replace("grafana.bank.example", "grafana.example") == before
