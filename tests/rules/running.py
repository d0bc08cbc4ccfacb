"""Stories as unit tests of promtool or vmalert-tool.

Each story is of an exporter of its own, and many happen at once: one evaluation of the rules serves them all, and
shows in passing that no rule mixes exporters.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from tests.rules.world import LOOKBACK, Alert, Answer, Case, Labels, Text
from tests.servers import TRIXIE, Generation, generations, program

RULES = Path(__file__).resolve().parents[2] / "rules"
# vmalert adds the group to the labels.
FIRING = 'max without (alertgroup) (ALERTS{{alertstate="firing", instance=~"{number}-.*", {matching}}})'
# Longer ones have a world apart, so that the others are not evaluated for nothing.
SHORT = 420
RUNBOOKS, DASHBOARDS = "https://runbooks.example/", "https://grafana.example/d/"


def rules(file: str) -> list[tuple[str, dict[str, Any]]]:
    """The rules of one file, each with the name of its group."""
    groups = yaml.safe_load((RULES / file).read_text())["groups"]
    return [(group["name"], rule) for group in groups for rule in group["rules"]]


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that runs unit tests of rules."""

    generation: Generation
    name: str

    def run(self, files: Sequence[str], cases: Iterable[Case], folder: Path) -> tuple[bool, str]:
        """Whether the rules of these files do what the cases say, and if not, what is wrong with which."""
        numbered = [_numbered(*pair) for pair in enumerate(cases)]
        arguments: list[str | Path] = ["test", "rules"] if self.name == "promtool" else ["unittest"]
        for step in sorted({case.step for case in numbered}):
            worlds: defaultdict[tuple[str, bool], list[Case]] = defaultdict(list)
            for case in numbered:
                if case.step == step:
                    worlds[case.world, case.end > SHORT].append(case)
            path = folder / f"every-{step}s.yml"
            document = {
                "rule_files": [str(RULES / file) for file in files],
                "evaluation_interval": f"{step}s",
                "tests": [self._test(files, world) for world in worlds.values()],
            }
            path.write_text(json.dumps(document))
            arguments += [path] if self.name == "promtool" else ["--files", path]
        command = [program(self.name, self.generation), *arguments]
        if self.name == "vmalert-tool":
            # It listens on a fixed port, which another run of it or a vmalert of this machine may hold.
            command = ["unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$0" "$@"', *command]
        # It also has one folder of a fixed name for its data: two runs at once must not share it.
        environment = {**os.environ, "TMPDIR": str(folder)}
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=900, cwd=folder, env=environment
        )
        said = done.stdout + done.stderr
        wrong = sorted({int(number) for number in re.findall(r'"(\d+)-', said)})
        return done.returncode == 0, "\n".join([said, *(f"{number}: {numbered[number].name}" for number in wrong)])

    def _test(self, files: Sequence[str], cases: Sequence[Case]) -> dict[str, Any]:
        is_promtool = self.name == "promtool"
        groups = {rule["alert"]: group for file in files for group, rule in rules(file) if "alert" in rule}
        texts: defaultdict[tuple[int, str], list[Text]] = defaultdict(list)
        for text in (text for case in cases for text in case.texts):
            texts[text.second, text.alert.name].append(text)
        return {
            "interval": f"{min(cases[0].step, LOOKBACK)}s",
            "input_series": [
                {
                    "series": one.name + _selector(one.labels),
                    "values": " ".join(one.values(case.end, min(case.step, LOOKBACK))),
                }
                for case in cases
                for one in case.series
            ],
            "promql_expr_test" if is_promtool else "metricsql_expr_test": [
                {
                    "expr": one.expression,
                    "eval_time": f"{one.second}s",
                    "exp_samples": [{"labels": _selector(labels), "value": value} for labels, value in one.samples],
                }
                for case in cases
                for one in case.gives
            ],
            "alert_rule_test": [
                {
                    "alertname": name,
                    "eval_time": f"{second}s",
                    "exp_alerts": [_annotated(text) for text in found],
                    **({} if is_promtool else {"groupname": groups[name]}),
                }
                for (second, name), found in texts.items()
            ],
        }


def tools() -> list[Tool]:
    """The newest promtool that is here, and vmalert-tool, which came after the floor."""
    newest = [Tool(generations()[-1], "promtool")]
    return [*newest, Tool(TRIXIE, "vmalert-tool")] if TRIXIE in generations() else newest


def _numbered(number: int, case: Case) -> Case:
    """The case as of exporters that carry its number, and what should fire as questions."""

    def own(labels: Labels) -> dict[str, str]:
        return {**labels, "instance": f"{number}-{labels['instance']}"} if "instance" in labels else dict(labels)

    def firing(alerts: Iterable[Alert]) -> list[tuple[Labels, float]]:
        return [({"alertname": one.name, "alertstate": "firing", **own(one.labels)}, 1) for one in alerts]

    expression = FIRING.format(number=number, matching=case.matching)
    return replace(
        case,
        series=[replace(one, labels=own(one.labels)) for one in case.series],
        gives=[
            *(Answer(second, expression, firing(alerts)) for second, alerts in case.fires.items()),
            *(replace(one, samples=[(own(labels), value) for labels, value in one.samples]) for one in case.gives),
        ],
        texts=[_own_text(one, own(one.alert.labels)) for one in case.texts],
    )


def _own_text(text: Text, labels: Labels) -> Text:
    shared, own = text.alert.labels.get("instance", ""), labels.get("instance", "")
    summary, description = (
        words.replace(shared, own) if shared else words for words in (text.summary, text.description)
    )
    return replace(text, alert=Alert(text.alert.name, labels), summary=summary, description=description)


def _annotated(text: Text) -> Mapping[str, Mapping[str, str]]:
    return {
        "exp_labels": text.alert.labels,
        "exp_annotations": {
            "summary": text.summary,
            "description": text.description,
            "runbook_url": RUNBOOKS + text.alert.name,
            "dashboard_url": DASHBOARDS + text.dashboard,
        },
    }


def _selector(labels: Labels) -> str:
    return "{" + ",".join(f"{name}={json.dumps(value)}" for name, value in labels.items()) + "}"
