"""Which alert goes to which receiver, asked of amtool; and that the shipped file is accepted."""

from __future__ import annotations

import math
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.alertmanager.shipped import (
    CHANNELS,
    FILE,
    NEWEST,
    SECRETS,
    TEMPLATES,
    WAITS,
    Config,
    config,
    receivers,
    routes,
    seconds,
    text,
    turn_on,
)
from tests.servers import FLOOR, Generation, generations, program

ROOT = FILE.parents[1]
PAGE = ROOT / "docs" / "alertmanager.md"
every_generation = pytest.mark.parametrize("generation", generations(), ids=lambda one: one.name)
newest = pytest.mark.parametrize("generation", NEWEST, ids=lambda one: one.name)

ISP = {"role": "isp", "priority": "0", "site": "tbilisi-01", "device": "tbilisi-01-isp-a", "provider": "magti"}
SITE = {"role": "isp", "priority": "0", "site": "tbilisi-01"}
ROLES = {"router": "1", "firewall": "2", "switch": "3", "server": "4", "atm": "5"}
DEVICES = [{"role": role, "priority": priority, "site": "a", "device": "b"} for role, priority in ROLES.items()]
#: Labels, and the receivers that an alert with them reaches, in their order.
TABLE: list[tuple[dict[str, str], str]] = [
    ({"alertname": "Watchdog", "severity": "none"}, "deadman"),
    # priority 0 comes before all severities but the lowest.
    *(({"alertname": "X", "severity": severity} | ISP, "isp") for severity in ("critical", "high", "medium")),
    ({"alertname": "PathChanged", "severity": "low"} | ISP, "digest"),
    ({"alertname": "DeviceDown", "severity": "high", "role": "router", "priority": "0", "site": "a"}, "isp"),
    ({"alertname": "SiteIsolated", "severity": "critical"} | SITE, "isp"),
    ({"alertname": "SiteRedundancyLost", "severity": "high"} | SITE, "isp"),
    ({"alertname": "ProviderOutage", "severity": "critical", "provider": "magti", "priority": "0"}, "isp"),
    ({"alertname": "MassOutage", "severity": "critical"}, "isp"),
    # What polls bring of an ISP link goes the same way; what can wait for weeks does not.
    ({"alertname": "InterfaceDown", "severity": "medium", "ifName": "Gi0/1", "ifAlias": "magti"} | ISP, "isp"),
    ({"alertname": "InterfaceHighUtilisation", "severity": "medium", "direction": "out"} | ISP, "isp"),
    ({"alertname": "UtilisationForecast", "severity": "low", "direction": "out"} | ISP, "digest"),
    *(
        ({"alertname": "InterfaceDown", "severity": "medium", "ifName": "Gi0/1"} | device, "chat")
        for device in DEVICES
    ),
    *(({"alertname": "UtilisationForecast", "severity": "low"} | device, "digest") for device in DEVICES),
    # The rest goes by severity, whatever the role and priority.
    *(({"alertname": "X", "severity": "critical"} | device, "pager") for device in DEVICES),
    *(({"alertname": "DeviceDown", "severity": "high"} | device, "team") for device in DEVICES),
    *(({"alertname": "DeviceFlapping", "severity": "medium"} | device, "chat") for device in DEVICES),
    *(({"alertname": "X", "severity": "low"} | device, "digest") for device in DEVICES),
    # After an hour somebody else hears of it as well.
    ({"alertname": "DeviceDownProlonged", "severity": "critical", "tier": "1"} | DEVICES[0], "pager"),
    ({"alertname": "DeviceDownProlonged", "severity": "critical", "tier": "2"} | DEVICES[0], "manager,pager"),
    ({"alertname": "DeviceDownProlonged", "severity": "critical", "tier": "1"} | ISP, "isp"),
    ({"alertname": "DeviceDownProlonged", "severity": "critical", "tier": "2"} | ISP, "manager,isp"),
    # The monitoring itself.
    ({"alertname": "ExporterDown", "severity": "critical", "component": "exporter"}, "pager"),
    ({"alertname": "StorageNearlyFull", "severity": "high", "component": "stack"}, "team"),
    ({"alertname": "ScrapeTooLarge", "severity": "medium", "component": "exporter"}, "chat"),
    # A user's own rules: what no route knows is logged.
    ({"alertname": "X"}, "log"),
    ({"alertname": "X", "severity": "page"}, "log"),
    ({"alertname": "X", "severity": "none"}, "log"),
]


def amtool(generation: Generation, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [program("amtool", generation), *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def written(of: Config, folder: Path) -> Path:
    path = folder / "alertmanager.yml"
    path.write_text(text(of))
    return path


def route(generation: Generation, file: Path, labels: dict[str, str], expected: str) -> None:
    pairs = [f"{name}={value}" for name, value in labels.items()]
    done = amtool(
        generation, "config", "routes", "test", f"--config.file={file}", f"--verify.receivers={expected}", *pairs
    )
    assert done.returncode == 0, f"{labels}: {done.stdout} {done.stderr}"


@newest
def test_amtool_accepts_the_file_as_it_is(generation: Generation) -> None:
    """The file is right as it lies there, with its templates."""
    done = amtool(generation, "check-config", FILE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(config()['receivers'])} receivers" in done.stdout
    assert "1 templates" in done.stdout


@every_generation
def test_amtool_accepts_each_generations_variant(generation: Generation, tmp_path: Path) -> None:
    """The oldest Alertmanager takes the file too, but for Teams, url_file and templates, which came later."""
    done = amtool(generation, "check-config", written(config(generation), tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr


@every_generation
def test_routes(generation: Generation, tmp_path: Path) -> None:
    """Each severity, role, priority and tier reaches the receivers that it should, and only these."""
    file = written(config(generation), tmp_path)
    for labels, expected in TABLE:
        route(generation, file, labels, expected)
    reached = {name for _, expected in TABLE for name in expected.split(",")}
    assert reached == {one["receiver"] for one in routes(config()) if "receiver" in one}


def test_every_alert_of_the_pack_is_routed(tmp_path: Path) -> None:
    """No alert of the rules falls through to the log: each has a receiver by its labels."""
    file = written(config(FLOOR), tmp_path)
    by_severity = {"critical": "pager", "high": "team", "medium": "chat", "low": "digest"}
    seen = 0
    for path in sorted((ROOT / "rules").glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                if "alert" not in rule or rule["alert"] == "Watchdog":
                    continue
                labels = {"alertname": rule["alert"], **rule["labels"]}
                if rule["alert"].startswith("IspLink"):
                    labels |= ISP
                network = labels.get("priority") == "0" or rule["alert"] == "MassOutage"
                expected = "isp" if network else by_severity[labels["severity"]]
                route(FLOOR, file, labels, f"manager,{expected}" if labels.get("tier") == "2" else expected)
                seen += 1
    assert seen > 30


@newest
@pytest.mark.parametrize("channel", [*CHANNELS, "heartbeat"])
def test_every_channel_can_be_turned_on(generation: Generation, channel: str, tmp_path: Path) -> None:
    """A channel is accepted beside the log and as the receiver of a route, and then gets its alerts."""
    changed = config()
    if channel in CHANNELS:
        turn_on(changed, "isp", channel)
    changed["route"]["routes"][0]["receiver"] = channel
    file = written(changed, tmp_path)
    done = amtool(generation, "check-config", file)
    assert done.returncode == 0, done.stdout + done.stderr
    route(generation, file, {"alertname": "Watchdog"}, channel)


def integrations(of: Config) -> list[tuple[str, dict[str, Any]]]:
    """Every integration of every receiver, with the receiver's name."""
    return [
        (name, integration)
        for name, receiver in receivers(of).items()
        for key, listed in receiver.items()
        if key != "name"
        for integration in listed
    ]


def test_without_an_account_all_is_logged() -> None:
    """As it is shipped, every route ends at alert-log and needs no secret: no missing account breaks anything."""
    known = receivers(config())
    for name in {one["receiver"] for one in routes(config()) if "receiver" in one}:
        (webhook,) = known[name]["webhook_configs"]
        assert set(known[name]) == {"name", "webhook_configs"}
        assert webhook["url"] == "http://alert-log:9842/"


def test_resolved_is_sent_by_all_but_the_watchdogs() -> None:
    """Some integrations do not send "resolved" unless told to; a dead-man's switch must not."""
    for name, integration in integrations(config()):
        assert integration["send_resolved"] is (name not in ("deadman", "heartbeat"))


def test_secrets_are_in_files_alone() -> None:
    """Each channel reads its secret from a file that the page names; none stands in the configuration."""
    found = set()
    for _, integration in integrations(config()):
        secret = {key: value for key, value in integration.items() if key.endswith("_file")}
        assert len(secret) == ("url" not in integration)
        assert not {"api_url", "webhook_url", "routing_key", "service_key", "api_key", "auth_password"} & set(
            integration
        )
        found |= set(secret.values())
    assert len(found) == len(CHANNELS) + 1
    assert all(path.startswith(f"{SECRETS}/") for path in found)
    named = re.findall(r"^\|[^|]*\|[^|]*`(\w+)`", PAGE.read_text(), re.MULTILINE)
    assert {path.removeprefix(f"{SECRETS}/") for path in found} <= set(named)


def test_nothing_is_inhibited() -> None:
    """An alert that is inhibited after it was sent would never send its "resolved": the rules subtract instead."""
    assert "inhibit_rules" not in config()


def test_the_shortest_waits_are_for_isp_links() -> None:
    """An ISP link is told of within 2 s of its alert, and no other route is as quick; the digest takes hours."""
    root = config()["route"]
    waits = {one["receiver"]: one.get("group_wait", root["group_wait"]) for one in root["routes"]}
    assert waits == {
        **{"deadman": "0s", "isp": "2s", "pager": "10s", "team": "30s", "manager": "30s"},
        **{"chat": "1m", "digest": "5m"},
    }
    (digest,) = (one for one in root["routes"] if one["receiver"] == "digest")
    assert digest["group_interval"] == "2h"
    assert digest["active_time_intervals"] == ["business-hours"]


def test_the_page_tells_the_same_times() -> None:
    """The table of routes has each route of the file in its order, with its receiver and its three times."""
    root = config()["route"]
    expected = []
    for one in (*root["routes"], root):
        wait, interval, repeat = (seconds(one.get(key, root[key])) for key in WAITS)
        # A repeat is due when a group is looked at.
        expected.append((one["receiver"], wait, interval, math.ceil(repeat / interval) * interval))
    rows = re.findall(r"^\| .* \| `(\w+)`[^|]* \| (.*) \| (.*) \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    units = {"min": "m", "day": "d"}
    times = [
        (name, *(seconds("".join(units.get(word, word) for word in time.split(",")[0].split())) for time in told))
        for name, *told in rows
    ]
    assert times == expected


def test_templates_lie_beside_the_file() -> None:
    """The path of the templates is relative to the file, so the folder can be put anywhere."""
    assert yaml.safe_load(FILE.read_text())["templates"] == ["templates/*.tmpl"]
    assert len(list(Path(TEMPLATES).parent.glob("*.tmpl"))) == 5
