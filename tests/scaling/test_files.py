"""deploy/scaling: what ships there is read by the programs that it is for, and is what docs/scaling.md says."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.cli import parser
from tests.docs.pages import metrics, read, severities
from tests.servers import TRIXIE, Generation, generations, program
from tests.servers.shipped import ROOT

FOLDER = ROOT / "deploy" / "scaling"
PAGE = (ROOT / "docs" / "scaling.md").read_text()
every_generation = pytest.mark.parametrize("generation", generations(), ids=lambda one: one.name)
#: Programs of the cluster that Debian does not package, beside the one that has the most of their flags.
NOT_PACKAGED = {"vminsert", "vmselect", "vmstorage"}
#: Their own flags: nothing here can vouch for these.
OF_THE_CLUSTER = {"-storageNode", "-replicationFactor"}


def run(*command: str | Path) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@cache
def services() -> Mapping[str, Mapping[str, Any]]:
    """docker-compose.yml as Compose reads it."""
    command = [program("docker-compose", TRIXIE), "--env-file=/dev/null", f"--file={FOLDER / 'docker-compose.yml'}"]
    done = subprocess.run(
        [*command, "config", "--format=json"],
        env={"PATH": os.environ["PATH"]},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found: Mapping[str, Mapping[str, Any]] = json.loads(done.stdout)["services"]
    return found


def config(name: str) -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return parsed


@pytest.mark.parametrize("name", ["pair.yml", "vantage.yml"])
@every_generation
def test_prometheus_and_victoriametrics_take_them(name: str, generation: Generation) -> None:
    """The pair and the vantage points are scraped by either, from the oldest version on."""
    run(program("promtool", generation), "check", "config", FOLDER / name)
    flags = [f"-promscrape.config={FOLDER / name}", "-promscrape.config.strictParse=false"]
    run(program("vmagent", generation), "-dryRun", "-remoteWrite.url=http://127.0.0.1:9/", *flags)
    run(program("victoria-metrics", generation), "-dryRun", *flags)


@every_generation
@pytest.mark.parametrize("name", ["vmagent-0", "vmagent-1", "vmagent-2", "vmalert"])
def test_programs_take_their_flags(name: str, generation: Generation) -> None:
    """vmagent and vmalert start on the flags of the file, and read the files that these name."""
    flags = [
        flag.replace("/etc/vmagent.yml", str(FOLDER / "vmagent.yml"))
        .replace("/etc/vmalert-notifier.yml", str(FOLDER / "vmalert-notifier.yml"))
        .replace("/etc/prometheus/rules", str(ROOT / "rules"))
        for flag in services()[name]["command"]
        # Those that the floor does not have are on docs/alerts.md.
        if generation is TRIXIE or not flag.startswith(("-rule", "-search"))
    ]
    rules = [] if name != "vmalert" or generation is TRIXIE else [f"-rule={ROOT}/rules/compat.yml"]
    run(program(name.partition("-")[0], generation), "-dryRun", *flags, *rules)


@pytest.mark.parametrize("name", ["vminsert", "vmselect", "vmstorage-0", "vmstorage-1"])
def test_flags_of_the_cluster_are_those_of_the_single_node(name: str) -> None:
    """What the programs of the cluster share with the single node is spelt as there; two flags are theirs alone."""
    asked = [program("victoria-metrics", TRIXIE), "--help"]
    said = subprocess.run(asked, check=False, capture_output=True, text=True)
    known = set(re.findall(r"(?m)^  (-[\w.]+)", said.stdout + said.stderr))
    flags = {flag.partition("=")[0] for flag in services()[name]["command"]}
    assert flags - known <= OF_THE_CLUSTER
    assert services()[name]["image"].startswith(f"victoriametrics/{name.partition('-')[0]}:v1.")


def test_the_cluster_is_of_one_mind() -> None:
    """One version; members are numbered and counted; who writes finds who stores; a sample that is kept once is one
    of a scrape."""
    commands = {name: service["command"] for name, service in services().items()}
    images = [service["image"].removesuffix("-cluster") for service in services().values()]
    assert len({image.rpartition(":")[2] for image in images}) == 1
    members = [name for name in commands if name.startswith("vmagent")]
    for number, name in enumerate(members):
        assert f"-promscrape.cluster.membersCount={len(members)}" in commands[name]
        assert f"-promscrape.cluster.memberNum={number}" in commands[name]
        assert [flag for flag in commands[name] if "memberNum" not in flag] == [
            flag for flag in commands[members[0]] if "memberNum" not in flag
        ]
    interval = next(job["scrape_interval"] for job in config("vmagent.yml")["scrape_configs"])
    stores = [name for name in commands if name.startswith("vmstorage")]
    for name in (*stores, "vmselect"):
        assert f"-dedup.minScrapeInterval={interval}" in commands[name]
    for name, port in (("vminsert", 8400), ("vmselect", 8401)):
        assert [flag for flag in commands[name] if "storageNode" in flag] == [
            f"-storageNode={store}:{port}" for store in stores
        ]


def test_every_exporter_is_scraped_once_and_whole() -> None:
    """Eight exporters, at the intervals of the shipped prometheus.yml, and all parts of /metrics/snmp."""
    shipped = {
        job["job_name"]: job for job in yaml.safe_load((ROOT / "prometheus.yml").read_text())["scrape_configs"]
    }
    exporters = [f"exporter-{number}:9841" for number in range(8)]
    for name, parts in (("vmagent.yml", 4), ("pair.yml", 0), ("vantage.yml", 0)):
        for job in config(name)["scrape_configs"]:
            if not job["job_name"].startswith("ward-exporter"):
                continue
            like = shipped[job["job_name"]]
            for key in ("scrape_interval", "scrape_timeout", "metrics_path"):
                assert job.get(key) == like.get(key), (name, key)
            groups = job["static_configs"]
            if parts and job["job_name"] == "ward-exporter-snmp":
                labels = [{"part": str(part), "__param_shard": f"{part}/{parts}"} for part in range(parts)]
                assert groups == [{"targets": exporters, "labels": found} for found in labels]
            elif parts:
                assert groups == [{"targets": exporters}]
    assert "--shard=0/8" in PAGE


def test_every_file_is_on_the_page() -> None:
    """docs/scaling.md leads to each of them, and to nothing that is not there."""
    linked = set(re.findall(r"\]\(\.\./deploy/scaling/([\w.-]+)\)", PAGE))
    assert linked == {path.name for path in FOLDER.iterdir()}


def test_what_the_page_names_exists() -> None:
    """Metrics, alerts, tests, links and commands on the page are there."""
    page = read(ROOT / "docs" / "scaling.md")
    assert set(re.findall(r"\b(?:device:)?ward_[a-z_]+(?::\w+)?\b", page.text)) <= metrics()
    assert {span for span in page.spans if re.fullmatch(r"(?:[A-Z][a-z]+){2,}", span)} <= severities().keys()
    assert [
        span for span in page.spans if span.startswith(("tests/", "rules/")) and not (ROOT / span).exists()
    ] == []
    for path, anchor in page.links():
        target = (page.path.parent / path).resolve() if path else page.path
        assert target.exists(), path
        assert not anchor or anchor in read(target).anchors(), f"{path}#{anchor}"
    commands = re.findall(r"(?m)^ward-exporter ([^#\n]+)", page.text)
    assert len(commands) == 2
    for words in commands:
        parser().parse_args(words.split())
