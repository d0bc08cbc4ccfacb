"""The shipped prometheus.yml, held against the programs that read it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.servers import Generation, generations, program

SHIPPED = Path(__file__).resolve().parent.parent / "prometheus.yml"
# What Prometheus itself evaluates and notifies by; with VictoriaMetrics this is vmalert's part.
ONLY_PROMETHEUS = ("rule_files", "alerting")
every_generation = pytest.mark.parametrize("generation", generations(), ids=lambda one: one.name)


def config() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load(SHIPPED.read_text())
    return parsed


def run(*command: str | Path) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def scraper(name: str, generation: Generation) -> list[str | Path]:
    needed = ["-remoteWrite.url=http://127.0.0.1:9/"] if name == "vmagent" else []
    return [program(name, generation), "-dryRun", *needed]


@every_generation
def test_promtool_accepts_it(generation: Generation) -> None:
    """Prometheus of every generation starts on the shipped file, whether or not there are rules yet."""
    run(program("promtool", generation), "check", "config", SHIPPED)


@every_generation
@pytest.mark.parametrize("name", ["vmagent", "victoria-metrics"])
def test_victoriametrics_accepts_it(generation: Generation, name: str) -> None:
    """VictoriaMetrics scrapes by the same file, with the flag that the file's head names."""
    flags = [f"-promscrape.config={SHIPPED}", "-promscrape.config.strictParse=false"]
    assert flags[1] in SHIPPED.read_text()
    run(*scraper(name, generation), *flags)


@every_generation
@pytest.mark.parametrize("name", ["vmagent", "victoria-metrics"])
def test_its_scraping_is_strictly_right(generation: Generation, name: str, tmp_path: Path) -> None:
    """That flag hides no mistake: without the keys for Prometheus alone the file passes the strict reading."""
    scraping = {key: value for key, value in config().items() if key not in ONLY_PROMETHEUS}
    del scraping["global"]["evaluation_interval"]
    (tmp_path / "scraping.yml").write_text(yaml.safe_dump(scraping))
    run(*scraper(name, generation), f"-promscrape.config={tmp_path / 'scraping.yml'}")


def test_it_scrapes_the_exporter_and_every_part_of_the_stack() -> None:
    """The jobs with fixed targets are the exporter and the parts of the stack, each once, and no others."""
    targets = {
        job["job_name"]: [target for group in job["static_configs"] for target in group["targets"]]
        for job in config()["scrape_configs"]
        if "static_configs" in job
    }
    assert targets == {
        "ward-exporter": ["exporter:9841"],
        "ward-exporter-snmp": ["exporter:9841"],
        "prometheus": ["prometheus:9090"],
        "victoriametrics": ["victoriametrics:8428"],
        "vmalert": ["vmalert:8880"],
        "alertmanager": ["alertmanager:9093"],
        "blackbox_exporter": ["blackbox-exporter:9115"],
        "node_exporter": ["node-exporter:9100"],
    }


def test_checks_are_of_the_inventory() -> None:
    """What blackbox_exporter checks comes from the exporter alone: a job for HTTP, and one for TCP."""
    checks = [job for job in config()["scrape_configs"] if "static_configs" not in job]
    assert [job["job_name"] for job in checks] == ["blackbox-http", "blackbox-tcp"]
    for job in checks:
        assert job["http_sd_configs"] == [{"url": "http://exporter:9841/sd"}]
        assert job["metrics_path"] == "/probe"


def test_a_page_can_be_out_in_time() -> None:
    """Devices are scraped, and rules evaluated, often enough for a page within 16 s of the last reply."""
    (exporter,) = (job for job in config()["scrape_configs"] if job["job_name"] == "ward-exporter")
    assert exporter["scrape_interval"] == "5s"
    assert config()["global"]["evaluation_interval"] == "5s"


def test_alerts_go_to_the_alertmanager() -> None:
    """Prometheus evaluates the rule pack and notifies the stack's Alertmanager."""
    assert config()["rule_files"] == ["rules/*.yml"]
    (group,) = config()["alerting"]["alertmanagers"]
    assert group["static_configs"] == [{"targets": ["alertmanager:9093"]}]
