"""Messages about many alerts, and about odd ones, from the shipped templates by Alertmanager's own renderer."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.alertmanager.shipped import EXTERNAL, FILE, NEWEST, TEMPLATES
from tests.servers import Generation, program

STARTED, ENDED = "2025-03-26T23:12:45Z", "2025-03-26T23:14:10Z"
SINCE = "since 27 Mar 03:12:45 +04"
newest = pytest.mark.parametrize("generation", NEWEST, ids=lambda one: one.name)

Alert = dict[str, Any]


def firing(summary: str = "", **labels: str) -> Alert:
    annotations = {"summary": summary} if summary else {}
    times = {"startsAt": STARTED, "endsAt": "0001-01-01T00:00:00Z"}
    return {"status": "firing", "labels": {"alertname": "X"} | labels, "annotations": annotations, **times}


def resolved(summary: str = "", **labels: str) -> Alert:
    return firing(summary, **labels) | {"status": "resolved", "endsAt": ENDED}


def render(generation: Generation, folder: Path, template: str, alerts: Sequence[Alert]) -> str:
    """What `template` makes of a group of alerts."""
    first, *others = (set(alert["labels"].items()) for alert in alerts)
    data = {
        **{"version": "4", "receiver": "isp", "externalURL": EXTERNAL, "alerts": list(alerts)},
        "status": "firing" if any(alert["status"] == "firing" for alert in alerts) else "resolved",
        **{"groupLabels": {}, "commonLabels": dict(first.intersection(*others)), "commonAnnotations": {}},
    }
    path = folder / "data.json"
    path.write_text(json.dumps(data))
    done = subprocess.run(
        [
            *(program("amtool", generation), "template", "render"),
            *(f"--template.glob={TEMPLATES}", f"--template.data={path}"),
            f'--template.text={{{{ template "{template}" . }}}}',
            f"--template.type={'html' if template == 'ward.email' else 'text'}",
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert not re.search(r"no value|<nil>|%!|\{\{", done.stdout)
    return done.stdout.removesuffix("\n")


LINES: list[tuple[str, list[Alert]]] = [
    ("CRITICAL a: Link 1 is down, ", [firing("Link 1 is down", severity="critical", site="a", device="1")]),
    # The gravest first, and a whole site before its devices.
    (
        "CRITICAL a: Site a is cut off (+3 more), ",
        [
            firing("Switch 1 is down", severity="high", site="a", device="1"),
            firing("Link 2 is down", severity="critical", site="a", device="2"),
            firing("Site a is cut off", severity="critical", site="a"),
            firing("Redundancy lost", severity="high", site="a"),
            resolved("Link 3 is down", severity="critical", site="a", device="3"),
        ],
    ),
    (
        "HIGH: Disk full (+2 more), ",
        [
            firing("A path has changed", severity="low", site="a", device="1"),
            firing("Link is slow", severity="medium", site="b", device="2"),
            firing("Disk full", severity="high", component="stack"),
        ],
    ),
    # A user's own rules.
    ("PAGE: Y, ", [firing(severity="page", alertname="Y")]),
    ("ALERT: X, ", [firing()]),
    # One line, whatever the text.
    ("LOW a: two lines, ", [firing("two\nlines", severity="low", site="a")]),
]


@newest
@pytest.mark.parametrize(("expected", "alerts"), LINES, ids=[expected for expected, _ in LINES])
def test_the_line(generation: Generation, expected: str, alerts: list[Alert], tmp_path: Path) -> None:
    """The line tells of the gravest alert of a group, how grave, where, since when, and how many more there are."""
    assert render(generation, tmp_path, "ward.line", alerts) == expected + SINCE


@newest
def test_the_line_of_the_end(generation: Generation, tmp_path: Path) -> None:
    """Once nothing fires, the line says so and how long it lasted."""
    alerts = [resolved("Link 1 is down", severity="critical", site="a", device=name) for name in "12"]
    assert render(generation, tmp_path, "ward.line", alerts) == "RESOLVED a: Link 1 is down (+1 more), after 1m 25s"


@newest
@pytest.mark.parametrize("letter", ["x", "ქ"])
def test_the_line_fits_into_a_message(generation: Generation, letter: str, tmp_path: Path) -> None:
    """It has at most the 130 characters that Opsgenie takes, less than the 160 of an SMS, in any script, and is cut
    between letters."""
    alerts = [firing(letter * 300, severity="critical", site=letter * 30, device=str(one)) for one in range(1000)]
    line = render(generation, tmp_path, "ward.line", alerts)
    assert re.fullmatch(rf"CRITICAL {letter}{{30}}: {letter}{{49}} \(\+999 more\), {re.escape(SINCE)}", line)
    assert len(line) <= 130


def branch(generation: Generation, folder: Path, template: str) -> str:
    """A site in trouble: 26 alerts that fire and 22 that are resolved, with all that the rules give them."""
    alerts = []
    for number in range(48):
        name = f"tbilisi-vake-branch-01-access-switch-{number:02}"
        place = {"device": name, "address": f"10.101.201.{number}", "role": "switch", "priority": "3"}
        alert = (firing if number < 26 else resolved)(
            f"{name} (switch) is down",
            **{"severity": "high", "site": "tbilisi-vake-branch-01", "job": "ward-exporter"},
            **{"instance": "exporter.bank.example:9841", **place},
        )
        alert["annotations"] |= {
            "description": f"10.101.201.{number} at tbilisi-vake-branch-01 has not answered for more than 10 s. "
            * 2,
            "runbook_url": "https://runbooks.bank.example/DeviceDown",
            "dashboard_url": f"https://grafana.bank.example/d/ward-device?var-device={name}",
        }
        alerts.append(alert)
    del alerts[25]["labels"]["device"]
    alerts[25]["labels"]["severity"] = "critical"
    alerts[25]["annotations"]["summary"] = "The site is cut off"
    return render(generation, folder, template, alerts)


@newest
@pytest.mark.parametrize("template", ["ward.text", "ward.slack", "ward.teams", "ward.email"])
def test_many_alerts(generation: Generation, template: str, tmp_path: Path) -> None:
    """Of a large group the twenty gravest are told, and how many more there are; what is resolved stands behind."""
    found = branch(generation, tmp_path, template)
    heads = re.findall(r"(CRITICAL|HIGH|RESOLVED): (The site|\S+?-switch-\d\d)", found)
    assert [status for status, _ in heads] == ["CRITICAL"] + ["HIGH"] * 19 + ["RESOLVED"] * 20
    assert heads[0] == ("CRITICAL", "The site")
    assert heads[1][1].endswith("-00")
    assert len(set(heads)) == 40
    assert found.count("and 6 more") == found.count("and 2 more resolved") == 1
    assert found.index("-18 (switch)") < found.index("and 6 more") < found.index("RESOLVED")


@newest
def test_many_alerts_fit_into_the_services_bounds(generation: Generation, tmp_path: Path) -> None:
    """Opsgenie takes a description of 15,000 characters, and Teams a message of 28 KB: more would be no message."""
    assert len(branch(generation, tmp_path, "ward.text")) < 15_000
    assert len(json.dumps(branch(generation, tmp_path, "ward.teams"))) < 28_000


@newest
@pytest.mark.parametrize(
    ("severities", "color", "pagerduty", "opsgenie"),
    [
        (["critical"], "#c4162a", "critical", "P1"),
        (["medium", "critical", "high"], "#c4162a", "critical", "P1"),
        (["low", "high"], "#e8710a", "error", "P2"),
        (["medium"], "#c9a100", "warning", "P3"),
        (["low"], "#c9a100", "info", "P4"),
        (["page"], "#c9a100", "info", "P4"),
        ([], "#2e9e5b", "info", "P4"),
    ],
)
def test_severities(
    generation: Generation, severities: list[str], color: str, pagerduty: str, opsgenie: str, tmp_path: Path
) -> None:
    """A group is as grave as the gravest of its alerts that fire, in each service's own words."""
    alerts = [firing(severity=severity) for severity in severities] + [resolved(severity="critical", device="b")]
    templates = ("ward.color", "ward.pagerduty.severity", "ward.opsgenie.priority")
    found = [render(generation, tmp_path, template, alerts) for template in templates]
    assert found == [color, pagerduty, opsgenie]


PLACES: list[tuple[str, dict[str, str]]] = [
    ("a, b, 10.0.0.1, provider magti", {"site": "a", "device": "b", "address": "10.0.0.1", "provider": "magti"}),
    ("b, 10.0.0.1", {"device": "b", "address": "10.0.0.1", "instance": "exporter:9841"}),
    ("a", {"site": "a", "instance": "exporter:9841", "component": "exporter"}),
    ("provider magti", {"provider": "magti", "instance": "exporter:9841"}),
    ("exporter:9841", {"instance": "exporter:9841", "component": "exporter"}),
    ("stack", {"component": "stack"}),
    ("unknown", {}),
]


@newest
@pytest.mark.parametrize(("expected", "labels"), PLACES)
@pytest.mark.parametrize("template", ["ward.text", "ward.slack", "ward.teams", "ward.email"])
def test_places(
    generation: Generation, template: str, expected: str, labels: dict[str, str], tmp_path: Path
) -> None:
    """Where it is: from the site to the provider, or else the part of the monitoring; without an empty comma."""
    found = render(generation, tmp_path, template, [resolved("S", **labels)])
    assert re.search(rf"RESOLVED: S\W*(</b><br>)?\n+(Where: )?{re.escape(expected)}(<br>)?\n", found)


def test_every_template_is_used() -> None:
    """A template that nothing shows would go wrong unseen."""
    text = "".join(path.read_text() for path in sorted(Path(TEMPLATES).parent.iterdir()))
    defined = re.findall(r'\{\{ define "([^"]+)"', text)
    assert len(defined) == len(set(defined))
    assert set(defined) == set(re.findall(r'template "([^"]+)"', text + FILE.read_text()))


def test_all_channels_have_one_order() -> None:
    """The order of alerts is written once a channel, and is the same in all."""
    lists = {
        path.stem: re.findall(r"stringSlice (\"\^.*\") -", path.read_text())
        for path in Path(TEMPLATES).parent.iterdir()
    }
    assert lists["text"] == lists["slack"] == lists["teams"] == lists["email"]
    assert len(lists["text"]) == 1
