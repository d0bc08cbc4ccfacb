"""Every alert fires when it should and at no other time, on each tool: the same stories told to all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
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
from tests.rules.conftest import Telling, Told
from tests.rules.running import tools
from tests.rules.world import Case


def stories(files: Sequence[str], *cases: Callable[[], Iterable[Case]]) -> pytest.MarkDecorator:
    """A test of what became of these stories, once for each tool."""
    tellings = [Telling(tool, files, cases) for tool in tools()]
    names = [f"{tool.name}-{tool.generation.name}" for tool in tools()]
    return pytest.mark.parametrize("stories_told", tellings, ids=names, indirect=True)


@stories(["devices.yml"], device_cases.cases)
def test_devices(stories_told: Told) -> None:
    """Alerts about devices: in time, at the limit, over a silent exporter, suppressed, of one role alone."""
    passed, said = stories_told
    assert passed, said


@stories(["sites.yml"], site_cases.cases)
def test_sites(stories_told: Told) -> None:
    """Alerts about sites, providers and our own side: likewise, and one link of several is no isolated site."""
    passed, said = stories_told
    assert passed, said


@stories(["exporter.yml"], exporter_cases.cases)
def test_exporter(stories_told: Told) -> None:
    """Alerts about the exporter itself: in time, at the limit, and over after the fault."""
    passed, said = stories_told
    assert passed, said


@stories(["exporter.yml"], stack_cases.cases)
def test_stack(stories_told: Told) -> None:
    """Alerts about the stack around it: likewise, and none about failures of long ago or parts that never ran."""
    passed, said = stories_told
    assert passed, said


@stories(["snmp.yml"], snmp_cases.cases, snmp_stories.cases, forecast_cases.cases)
def test_polls(stories_told: Told) -> None:
    """Alerts about interfaces by what devices answer to SNMP: likewise, and over polls that are lost, partial, or
    late."""
    passed, said = stories_told
    assert passed, said


@stories(["snmp.yml"], vital_cases.cases, poller_cases.cases)
def test_polled_devices(stories_told: Told) -> None:
    """Alerts about answers, restarts, load and memory of devices, and about polling as a whole: likewise."""
    passed, said = stories_told
    assert passed, said


@stories(["devices.yml", "sites.yml", "exporter.yml"], pack_cases.cases)
def test_all_alerts_together(stories_told: Told) -> None:
    """One event sets off its own alerts and no others: a cut link, a site or our own uplink cut, maintenance."""
    passed, said = stories_told
    assert passed, said


@stories(["devices.yml", "sites.yml", "exporter.yml", "several.yml"], several_cases.cases, several_cases.alone)
def test_several_exporters(stories_told: Told) -> None:
    """Vantage points vote, and a blind or silent one is an alert of its own; shards and pairs miss nothing."""
    passed, said = stories_told
    assert passed, said


@stories(["recording.yml"], recorded_cases.recorded)
def test_recording_rules(stories_told: Told) -> None:
    """What is recorded for panels is right, of devices, sites, roles and providers."""
    passed, said = stories_told
    assert passed, said


@stories(["compat.yml"], recorded_cases.compat)
def test_names_of_the_former_platform(stories_told: Told) -> None:
    """Old panels find the metrics they ask for, in milliseconds and percent, with all labels."""
    passed, said = stories_told
    assert passed, said


def test_every_story_is_told() -> None:
    """No file of stories is left out above, which nobody would see: what is not told does not fail."""
    here = Path(__file__)
    files = {path.stem for end in ("cases", "stories") for path in here.parent.glob(f"*_{end}.py")}
    assert set(re.findall(r"\b(\w+_(?:cases|stories))\.\w+", here.read_text())) == files
