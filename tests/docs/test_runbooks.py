"""docs/runbooks against rules/, both ways; test_pages.py holds what the pages name against the project."""

from __future__ import annotations

import re

import pytest

from exporter.config import load_settings
from tests.docs.pages import RUNBOOKS, Page, read, rules, runbooks, severities

SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]
INDEX = read(RUNBOOKS / "README.md")
every_runbook = pytest.mark.parametrize("page", runbooks(), ids=lambda page: page.path.stem)


def test_every_alert_has_its_page_and_every_page_its_alert() -> None:
    """Whoever is paged finds the page, and no page speaks of an alert that is gone."""
    assert {page.path.stem for page in runbooks()} == set(severities())


def test_every_alert_links_to_its_page() -> None:
    """The last part of an alert's runbook_url is the name of its page."""
    for rule in rules():
        if "alert" in rule:
            assert rule["annotations"]["runbook_url"].rpartition("/")[2] == rule["alert"]


def test_the_index_has_every_alert_once_with_its_severity() -> None:
    """The table of README.md is that of the rules: names, links, severities."""
    rows = re.findall(r"^\| \[(\w+)\]\((\w+)\.md\) \| (\w+) \| \S.* \|$", INDEX.prose, re.MULTILINE)
    assert all(name == linked for name, linked, _ in rows)
    assert len(rows) == len({name for name, _, _ in rows})
    assert {name: severity for name, _, severity in rows} == severities()


@every_runbook
def test_a_page_has_the_four_sections(page: Page) -> None:
    """Each page is called like its alert, and has the same four parts in the same order, none of them empty."""
    title, *parts = re.split(r"^## ", page.text, flags=re.MULTILINE)
    assert title.strip() == f"# {page.path.stem}"
    assert [part.partition("\n")[0] for part in parts] == SECTIONS
    assert all(part.partition("\n")[2].strip() for part in parts)


@every_runbook
def test_a_page_is_short_and_complete(page: Page) -> None:
    """Sixty lines at most, with a query or a command to look with, and what a false alarm looks like."""
    assert len(page.text.splitlines()) <= 60
    _, _, diagnosis = page.text.partition("## Diagnosis")
    assert re.search(r"```(sh|promql)", diagnosis.partition("## Mitigation")[0])
    assert "\nFalse alarm: " in page.text


@every_runbook
def test_a_page_says_when_to_silence_and_where_the_limit_stands(page: Page) -> None:
    """Every page has its silence (the watchdog's: none at all), and names the file or the keys of its limits."""
    if page.path.stem == "Watchdog":
        assert "Never silence it." in page.text
    else:
        (silence,) = (words for words in page.commands() if words[:3] == ["amtool", "silence", "add"])
        assert any(word.startswith("--duration=") for word in silence)
    _, _, mitigation = page.text.partition("## Mitigation")
    assert re.search(r"`(ward\.yml|rules/\w+\.yml|(classes|devices)\[\]\.limits\.\w+)`", mitigation)


#: How pages write the times that rules have.
WRITTEN = {
    **{"10s": "10 s", "1m": "a minute", "2m": "2 min", "5m": "5 min", "10m": "10 min", "15m": "15 min"},
    **{"1h": "1 h", "900": "15 min", "3600": "1 h"},
}


@pytest.mark.parametrize("alert", sorted(severities()))
def test_times_on_a_page_are_those_of_its_rule(alert: str) -> None:
    """What a rule waits for, and how far back it looks for failures, is what its page says under Meaning."""
    meaning = _meaning(alert)
    for rule in (rule for rule in rules() if rule.get("alert") == alert):
        times = [rule["for"]] if "for" in rule else []
        times += re.findall(r"rate\([^()]*\[(\w+)\]\)", rule["expr"])
        times += re.findall(r"last_change_timestamp_seconds(?:\{[^}]*\})? >= (\d+)", rule["expr"])
        assert [time for time in times if WRITTEN[time] not in meaning] == []
        if "tier" in rule["labels"]:
            assert re.search(rf"{WRITTEN[times[0]]} \((label )?`tier` is `{rule['labels']['tier']}`\)", meaning)


def test_limits_on_the_pages_are_the_shipped_ones() -> None:
    """The limits, windows and counts that pages speak of are those of the shipped settings."""
    settings = load_settings(None)
    probes = settings.probe.window / settings.probe.interval
    for kind, entry in zip(("IspLink", "Device"), settings.classes, strict=True):
        limits = entry.limits
        assert f"last {settings.probe.window:g} s" in _meaning(f"{kind}HighLatency")
        assert f" {1000 * limits['rtt']:g} ms " in _meaning(f"{kind}HighLatency")
        loss = _meaning(f"{kind}PacketLoss")
        assert f"More than {100 * limits['loss']:g} % of the last {settings.probe.window:g} s" in loss
        assert f" {int(limits['loss'] * probes) + 1} of {probes:g} and more" in loss
        flapping = _meaning(f"{kind}Flapping")
        assert f"at least {limits['flap_changes']:g} times" in flapping
        assert f"within {settings.flapping.window / 60:g} min (`flapping.window`)" in flapping
    down = _meaning("IspLinkDown")
    assert f"after {settings.probe.down_after} losses in a row" in down
    assert f"after {settings.probe.up_after} replies in a row" in down


def _meaning(alert: str) -> str:
    """The section, as one line."""
    page = read(RUNBOOKS / f"{alert}.md")
    return " ".join(page.text.partition("## Meaning")[2].partition("## Impact")[0].split())
