"""docs/migration.md: the settings, names and examples that it promises are those that ship."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path

from exporter import values
from exporter.config import load_settings
from exporter.tools.check import check
from tests.docs.pages import DOCS, read, rules, severities

PAGE = read(DOCS / "migration.md")


def row(first: str) -> list[str]:
    """The cells of the one table row that begins with this."""
    (found,) = re.findall(rf"^\| {re.escape(first)} \| (.*) \|$", PAGE.prose, re.MULTILINE)
    return [cell.strip() for cell in found.split(" | ")]


def shipped() -> list[Mapping[str, float]]:
    """The limits of the shipped classes: ISP links, all others."""
    isp, default = load_settings(None).classes
    assert (isp.name, default.name) == ("isp", "default")
    return [isp.limits, default.limits]


def test_the_thresholds_are_the_shipped_ones() -> None:
    """Whoever has never changed a threshold need not do so here: each number is that of the shipped class."""
    isp, default = shipped()
    rtt, loss, flaps = row("Latency above"), row("Packet loss above"), row("Flapping: changes in 5 min")
    assert [values.seconds(cell.replace(" ", "")) for cell in rtt[:2]] == [isp["rtt"], default["rtt"]]
    assert [values.ratio(cell.replace(" ", "")) for cell in loss[:2]] == [isp["loss"], default["loss"]]
    assert [int(cell) for cell in flaps[:2]] == [isp["flap_changes"], default["flap_changes"]]
    assert load_settings(None).flapping.window == values.seconds("5m")
    assert load_settings(None).probe.window == values.seconds("60s")


def test_down_is_after_ten_seconds_as_before() -> None:
    """The 10 s that the page promises are those of the rules, and come after the verdict's own losses."""
    assert row("Down after")[:2] == ["10 s", "10 s"]
    for rule in rules():
        if rule.get("alert") in ("IspLinkDown", "DeviceDown"):
            assert re.search(r"last_reply_timestamp_seconds\{[^}]*\} > 10\b", rule["expr"])
            assert "for" not in rule
    probe = load_settings(None).probe
    assert f"{probe.down_after} losses, {probe.interval:g} s apart" in PAGE.prose
    assert probe.down_after * probe.interval < 10


def test_each_threshold_leads_to_its_alerts() -> None:
    """The alerts beside a threshold are those that compare with it, for ISP links and for the rest."""
    read_by = {
        "Latency above": "ward_device_rtt_threshold_seconds",
        "Packet loss above": "ward_device_packet_loss_threshold_ratio",
        "Flapping: changes in 5 min": "ward_device_flapping",
        "Down after": "ward_device_last_reply_timestamp_seconds{role",
    }
    for first, series in read_by.items():
        named = set(re.findall(r"`(\w+)`", row(first)[3]))
        alerts = {rule["alert"] for rule in rules() if "alert" in rule and series in rule["expr"]}
        of_devices = {alert for alert in alerts if alert.startswith(("IspLink", "Device"))}
        assert named == of_devices, first


def test_every_severity_is_named() -> None:
    """The severities on the page are those that the rules have."""
    assert set(re.findall(r"`(\w+)`", row("Severity of a rule")[0])) == {
        *severities().values(),
        "severity",
        "Watchdog",
    }


def test_the_old_names_are_those_that_are_recorded() -> None:
    """The table of old series is rules/compat.yml: names, what they come from, and their factor."""
    table = re.findall(r"^\| `(device_\w+)` \| `(\w+)` \| (\S+)", PAGE.prose, re.MULTILINE)
    factors = {"1": "", "milliseconds;": " * 1000", "percent,": " * 100"}
    said = {name: source + factors[unit] for name, source, unit in table}
    assert said == {
        rule["record"]: rule["expr"] for rule in rules() if str(rule.get("record")).startswith("device_")
    }


def test_the_four_roles_have_a_row() -> None:
    """Nobody who had a role before is forgotten."""
    for role in ("Admin", "Manager", "Technician", "Viewer"):
        assert row(role)[0]


def test_the_example_files_pass_the_check(tmp_path: Path) -> None:
    """The CSV and the ward.yml of the page, saved as they stand, are an inventory of an ISP link and a switch."""
    (tmp_path / "devices.csv").write_text("\n".join([*PAGE.lines("csv"), ""]))
    (tmp_path / "ward.yml").write_text("\n".join([*PAGE.lines("yaml"), ""]))
    said = io.StringIO()
    assert check(tmp_path / "ward.yml", said) == 0
    assert said.getvalue() == "OK: 2 devices, 1 site, 1 ISP link\n"
