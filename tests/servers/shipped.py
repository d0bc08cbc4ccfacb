"""The shipped prometheus.yml, rules and alertmanager.yml, with the addresses at which their parts run here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.servers.install import FLOOR, Generation

ROOT = Path(__file__).resolve().parents[2]
RULES = f"{ROOT / 'rules'}/*.yml"
#: Where the shipped routing sends everything: the receiver that needs no account.
_ALERT_LOG = "http://alert-log:9842/"


def scraping(targets: Mapping[str, str]) -> dict[str, Any]:
    """prometheus.yml as VictoriaMetrics needs it: the jobs that have an address in `targets`."""
    whole: dict[str, Any] = yaml.safe_load((ROOT / "prometheus.yml").read_text())
    jobs = [job for job in whole["scrape_configs"] if job["job_name"] in targets]
    for job in jobs:
        job["static_configs"] = [{"targets": [targets[job["job_name"]]]}]
    times = {key: whole["global"][key] for key in ("scrape_interval", "scrape_timeout")}
    return {"global": times, "scrape_configs": jobs}


def evaluating(targets: Mapping[str, str], alertmanager: str) -> dict[str, Any]:
    """prometheus.yml as Prometheus needs it: it also evaluates the rules, and tells `alertmanager`, an address."""
    config = scraping(targets)
    config["global"]["evaluation_interval"] = _evaluation_interval()
    config["rule_files"] = [RULES]
    config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
    return config


def vmalert_arguments(generation: Generation, database: str, alertmanager: str) -> list[str]:
    """What vmalert evaluates, and where: `database` and `alertmanager` are URLs."""
    arguments = [
        f"-rule={vmalert_rules(generation)}",
        f"-evaluationInterval={_evaluation_interval()}",
        f"-datasource.url={database}",
        f"-remoteWrite.url={database}",
        f"-remoteRead.url={database}",
        f"-notifier.url={alertmanager}",
        # An alert that is not heard of again ends after four times this, or else after four evaluations, which is
        # 4 s for ISP links: while a database restarts, all of them would be "resolved".
        "-rule.resendDelay=1m",
    ]
    # By default it evaluates what was 30 s ago. The oldest one does not know the flag.
    return arguments if generation is FLOOR else [*arguments, "-rule.evalDelay=0s"]


def vmalert_rules(generation: Generation) -> str:
    """The pattern of rule files for its vmalert: before 1.92 it does not know `keep_firing_for`."""
    if generation is not FLOOR:
        return RULES
    folder = ROOT / ".cache" / "rules-floor"
    folder.mkdir(parents=True, exist_ok=True)
    for path in (ROOT / "rules").glob("*.yml"):
        (folder / path.name).write_text(re.sub(r"(?m)^ *keep_firing_for: .*\n", "", path.read_text()))
    return f"{folder}/*.yml"


def routing(url: str, generation: Generation) -> dict[str, Any]:
    """alertmanager.yml with `url` in place of the alert log's.

    The oldest Alertmanager knows neither all channels nor all functions of the templates: it gets what is in use.
    """
    text = (ROOT / "alertmanager" / "alertmanager.yml").read_text()
    config: dict[str, Any] = yaml.safe_load(text.replace(_ALERT_LOG, url))
    config["templates"] = [str(ROOT / "alertmanager" / pattern) for pattern in config["templates"]]
    if generation is FLOOR:
        used = {route["receiver"] for route in routes(config["route"]) if "receiver" in route}
        config["receivers"] = [receiver for receiver in config["receivers"] if receiver["name"] in used]
        del config["templates"]
    return config


def routes(top: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A route, and all below it."""
    yield top
    for below in top.get("routes", ()):
        yield from routes(below)


def _evaluation_interval() -> str:
    whole = yaml.safe_load((ROOT / "prometheus.yml").read_text())
    return str(whole["global"]["evaluation_interval"])
