"""Every alert fires when it should and at no other time, on each tool: the same stories told to all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.rules import (
    device_cases,
    exporter_cases,
    forecast_cases,
    pack_cases,
    poller_cases,
    recorded_cases,
    several_cases,
    site_cases,
    snmp_cases,
    snmp_stories,
    stack_cases,
    vital_cases,
)
from tests.rules.running import Tool, tools

every_tool = pytest.mark.parametrize("tool", tools(), ids=lambda tool: f"{tool.name}-{tool.generation.name}")


@every_tool
def test_devices(tool: Tool, tmp_path: Path) -> None:
    """Alerts about devices: in time, at the limit, over a silent exporter, suppressed, of one role alone."""
    passed, said = tool.run(["devices.yml"], device_cases.cases(), tmp_path)
    assert passed, said


@every_tool
def test_sites(tool: Tool, tmp_path: Path) -> None:
    """Alerts about sites, providers and our own side: likewise, and one link of several is no isolated site."""
    passed, said = tool.run(["sites.yml"], site_cases.cases(), tmp_path)
    assert passed, said


@every_tool
def test_exporter(tool: Tool, tmp_path: Path) -> None:
    """Alerts about the exporter itself: in time, at the limit, and over after the fault."""
    passed, said = tool.run(["exporter.yml"], exporter_cases.cases(), tmp_path)
    assert passed, said


@every_tool
def test_stack(tool: Tool, tmp_path: Path) -> None:
    """Alerts about the stack around it: likewise, and none about failures of long ago or parts that never ran."""
    passed, said = tool.run(["exporter.yml"], stack_cases.cases(), tmp_path)
    assert passed, said


@every_tool
def test_polls(tool: Tool, tmp_path: Path) -> None:
    """Alerts about interfaces by what devices answer to SNMP: likewise, and over polls that are lost, partial, or
    late."""
    stories = [*snmp_cases.cases(), *snmp_stories.cases(), *forecast_cases.cases()]
    passed, said = tool.run(["snmp.yml"], stories, tmp_path)
    assert passed, said


@every_tool
def test_polled_devices(tool: Tool, tmp_path: Path) -> None:
    """Alerts about answers, restarts, load and memory of devices, and about polling as a whole: likewise."""
    passed, said = tool.run(["snmp.yml"], [*vital_cases.cases(), *poller_cases.cases()], tmp_path)
    assert passed, said


@every_tool
def test_all_alerts_together(tool: Tool, tmp_path: Path) -> None:
    """One event sets off its own alerts and no others: a cut link, a site or our own uplink cut, maintenance."""
    passed, said = tool.run(["devices.yml", "sites.yml", "exporter.yml"], pack_cases.cases(), tmp_path)
    assert passed, said


@every_tool
def test_several_exporters(tool: Tool, tmp_path: Path) -> None:
    """Vantage points vote, and a blind or silent one is an alert of its own; shards and pairs miss nothing."""
    files = ["devices.yml", "sites.yml", "exporter.yml", "several.yml"]
    passed, said = tool.run(files, [*several_cases.cases(), *several_cases.alone()], tmp_path)
    assert passed, said


@every_tool
def test_recording_rules(tool: Tool, tmp_path: Path) -> None:
    """What is recorded for panels is right, of devices, sites, roles and providers."""
    passed, said = tool.run(["recording.yml"], recorded_cases.recorded(), tmp_path)
    assert passed, said


@every_tool
def test_names_of_the_former_platform(tool: Tool, tmp_path: Path) -> None:
    """Old panels find the metrics they ask for, in milliseconds and percent, with all labels."""
    passed, said = tool.run(["compat.yml"], recorded_cases.compat(), tmp_path)
    assert passed, said


def test_every_story_is_told() -> None:
    """No file of stories is left out above, which nobody would see: what is not told does not fail."""
    here = Path(__file__)
    files = {path.stem for end in ("cases", "stories") for path in here.parent.glob(f"*_{end}.py")}
    assert set(re.findall(r"\b(\w+_(?:cases|stories))\.\w+\(\)", here.read_text())) == files
