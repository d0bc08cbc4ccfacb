"""The rules load in every program that they are for, and ask the stack for metrics that it has."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

import pytest

from tests.rules.running import RULES, rules
from tests.servers import (
    FLOOR,
    Alertmanager,
    Generation,
    Prometheus,
    Server,
    VictoriaMetrics,
    Vmalert,
    generations,
    program,
)
from tests.servers.shipped import vmalert_rules

FILES = sorted(RULES.glob("*.yml"))
every_generation = pytest.mark.parametrize("generation", generations(), ids=lambda one: one.name)
OF_THE_STACK = r"\b(?:prometheus|alertmanager|vm|vmalert)_[a-z_]+"
# VictoriaMetrics tells of a refused configuration in its log alone until later.
NOT_IN_THE_FLOOR = {"vm_promscrape_config_last_reload_successful"}


@every_generation
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_prometheus_takes_it(generation: Generation, file: Path) -> None:
    """promtool finds no fault, and no two rules of one file that are the same."""
    command: list[str | Path] = [
        program("promtool", generation),
        "check",
        "rules",
        "--lint=all",
        "--lint-fatal",
        file,
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@every_generation
def test_vmalert_takes_them(generation: Generation) -> None:
    """vmalert parses every expression and every template; the oldest one without `keep_firing_for`."""
    command = [program("vmalert", generation), "-dryRun", f"-rule={vmalert_rules(generation)}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@every_generation
def test_the_stack_has_the_metrics_that_rules_ask_for(generation: Generation) -> None:
    """An alert about a metric that no part of the stack exposes would be silent for ever."""
    asked = {name for _, rule in rules("exporter.yml") for name in re.findall(OF_THE_STACK, rule["expr"])}
    assert len(asked) == 12
    with Alertmanager("{route: {receiver: one}, receivers: [{name: one}]}", generation=generation) as alertmanager:
        address = alertmanager.url.removeprefix("http://")
        notified = f"alertmanagers: [{{static_configs: [{{targets: ['{address}']}}]}}]"
        config = f"rule_files: ['{RULES}/exporter.yml']\nalerting: {{{notified}}}\n"
        arguments = [f"-datasource.url={alertmanager.url}", f"-notifier.url={alertmanager.url}"]
        with (
            Prometheus(config, generation=generation) as prometheus,
            VictoriaMetrics("scrape_configs: []", generation=generation) as victoriametrics,
            Vmalert((RULES / "exporter.yml").read_text(), generation=generation, arguments=arguments) as vmalert,
        ):
            servers = [alertmanager, prometheus, victoriametrics, vmalert]
            deadline = time.monotonic() + 30
            # Some are there only after the first discovery of an Alertmanager.
            while (missing := asked - exposed(servers)) - NOT_IN_THE_FLOOR and time.monotonic() < deadline:
                time.sleep(0.2)
    assert missing == (NOT_IN_THE_FLOOR if generation is FLOOR else set())


def exposed(servers: list[Server]) -> set[str]:
    pages = [server.get("/metrics")[2].decode() for server in servers]
    return {name for page in pages for name in re.findall(r"^(\w+)[ {]", page, re.MULTILINE)}
