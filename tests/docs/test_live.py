"""The commands and queries of the pages, run against the exporter and the real stack."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.docs.pages import DOCS, PROGRAMS, ROOT, metrics, read, runbooks
from tests.servers import (
    FLOOR,
    Alertmanager,
    Generation,
    Prometheus,
    Server,
    Snmpd,
    VictoriaMetrics,
    Vmalert,
    free_port,
    generations,
    program,
)
from tests.servers.shipped import vmalert_rules
from tests.serving import FAST, Serving, until

PAGES = [*runbooks(), read(DOCS / "migration.md")]
#: The devices of the examples, one of which is down: nothing can be sent to a broadcast address. One is polled by
#: SNMP, and one is asked where nobody listens.
INVENTORY = """
sites: {tbilisi-01: {region: Tbilisi}}
devices:
  - {name: tbilisi-01-isp-a, address: 127.0.1.5, site: tbilisi-01, provider: magti}
  - {name: tbilisi-01-isp-b, address: 127.255.255.255, role: isp, site: tbilisi-01, provider: magti}
  - {name: tbilisi-01-sw1, address: 127.0.0.1, site: tbilisi-01, role: switch, snmp: {auth: branch, port: 161}}
  - {name: tbilisi-01-atm1, address: 127.0.1.21, site: tbilisi-01, role: atm, parent: tbilisi-01-sw1,
     snmp: {auth: branch, port: 9}}
"""
SNMP = "snmp: {interval: 1s, timeout: 200ms, auths: {branch: {version: 2, community: public}}}\n"
#: How long VictoriaMetrics keeps what it was given before queries see it, and more.
VISIBLE_SECONDS = 60
#: vmalert counts for each rule: one is enough for its series to be there.
VMALERT_RULES = "groups: [{name: one, interval: 1s, rules: [{alert: Always, expr: vector(1)}]}]\n"
#: Series that the floor's VictoriaMetrics does not have yet, as the page on them says.
NEWER = {
    "vm_promscrape_config_last_reload_successful",
    "vm_promscrape_config_last_reload_success_timestamp_seconds",
}


@dataclass(frozen=True)
class Stack:
    """All that a page may ask, by the host that pages call it."""

    generation: Generation
    exporter: Serving
    servers: dict[str, Server]

    @property
    def stores(self) -> list[Prometheus | VictoriaMetrics]:
        return [one for one in self.servers.values() if isinstance(one, Prometheus | VictoriaMetrics)]


@pytest.fixture(scope="module", params=generations(), ids=lambda one: one.name)
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    generation: Generation = request.param
    folder = tmp_path_factory.mktemp("exporter")
    with ExitStack() as everything:
        exporter = everything.enter_context(Serving(folder))
        exporter.configure(FAST + SNMP)
        agent = everything.enter_context(Snmpd())
        (folder / "devices.yml").write_text(INVENTORY.replace("161", str(agent.port)))
        exporter.start_ready()
        alertmanager = everything.enter_context(
            Alertmanager("route: {receiver: log}\nreceivers: [{name: log}]\n", generation=generation)
        )
        port = free_port()
        scraping = _scraping(
            {
                "ward-exporter": exporter.port,
                "ward-exporter-snmp": exporter.port,
                "alertmanager": alertmanager.port,
                "victoriametrics": port,
            }
        )
        victoria = everything.enter_context(
            VictoriaMetrics(yaml.safe_dump(scraping), generation=generation, port=port)
        )
        prometheus = everything.enter_context(
            Prometheus(yaml.safe_dump(scraping | _alerting(alertmanager)), generation=generation)
        )
        to = [f"-datasource.url={victoria.url}", f"-notifier.url={alertmanager.url}"]
        vmalert = everything.enter_context(Vmalert(VMALERT_RULES, generation=generation, arguments=to))
        found = Stack(
            generation,
            exporter,
            {
                "prometheus:9090": prometheus,
                "victoriametrics:8428": victoria,
                "alertmanager:9093": alertmanager,
                "vmalert:8880": vmalert,
            },
        )
        for store in found.stores:
            until(partial(_holds, store, "ward_device_down_reason"), VISIBLE_SECONDS)
        until(partial(_holds, prometheus, "device_ping_status"), VISIBLE_SECONDS)
        yield found


def _holds(store: Prometheus | VictoriaMetrics, query: str) -> bool:
    return bool(store.query(query))


def _scraping(ports: dict[str, int]) -> dict[str, Any]:
    jobs = [
        {
            "job_name": job,
            "metrics_path": "/metrics/snmp" if job == "ward-exporter-snmp" else "/metrics",
            "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
        }
        for job, port in ports.items()
    ]
    return {"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}


def _alerting(alertmanager: Alertmanager) -> dict[str, Any]:
    """With the shipped rules, each second, so that the series exist that count what becomes of them."""
    targets = [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager.port}"]}]}]
    timing = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    return {"global": timing, "rule_files": [str(ROOT / "rules" / "*.yml")], "alerting": {"alertmanagers": targets}}


def queries() -> list[str]:
    return sorted({query for page in PAGES for query in page.queries()})


def commands(name: str) -> list[list[str]]:
    """Each command line of this program on the pages, once."""
    return sorted({tuple(words): words for page in PAGES for words in page.commands() if words[0] == name}.values())


def test_every_query_runs(stack: Stack) -> None:
    """Prometheus and VictoriaMetrics evaluate each query of the pages on real series: no join has two partners."""
    for store in stack.stores:
        for query in queries():
            store.query(query)


def test_what_queries_select_is_there(stack: Stack) -> None:
    """Each selector of the exporter's series finds some: its labels are theirs, the examples are of one site."""
    selectors = {
        found
        for query in queries()
        for found in re.findall(r"\b\w+(?:\{[^}]*\})?", query)
        # The old platform's own series are none that anything here has.
        if found.partition("{")[0] in metrics() and 'job!="ward-exporter"' not in found
    }
    assert len(selectors) > 40
    (prometheus,) = (store for store in stack.stores if isinstance(store, Prometheus))

    def missing() -> list[str]:
        # Link a is up, and b is down.
        return [
            one
            for one in selectors
            if not prometheus.series(one) and not prometheus.series(one.replace("-isp-a", "-isp-b"))
        ]

    try:
        until(lambda: not missing(), VISIBLE_SECONDS)
    except AssertionError:
        pytest.fail(f"no series: {missing()}")


def test_metrics_of_other_programs_exist(stack: Stack) -> None:
    """Each series of Prometheus, Alertmanager, VictoriaMetrics or vmalert on a page is one that a program shows."""
    shown = "".join(server.get("/metrics")[2].decode() for server in stack.servers.values())
    there = {line.split("{")[0].split(" ")[0] for line in shown.splitlines() if not line.startswith("#")}
    named = re.compile(r"\b(?:prometheus|alertmanager|vmalert|vm)_[a-z_]+_(?:total|successful|seconds|bytes)\b")
    on_pages = {name for page in PAGES for name in named.findall(page.text)}
    assert on_pages - there <= (NEWER if stack.generation is FLOOR else set())


def test_every_address_answers(stack: Stack) -> None:
    """Each `curl` of the pages is answered, and not with an error, by the program that it asks."""
    for words in commands("curl"):
        (url,) = (urlsplit(word) for word in words if word.startswith("http://"))
        path = f"{url.path}?{url.query}" if url.query else url.path
        if url.netloc == "exporter:9841":
            status = stack.exporter.ask(path, "POST" if "POST" in words else "GET").status
        else:
            server = stack.servers[url.netloc]
            there = [word.replace(f"http://{url.netloc}", server.url) for word in words]
            done = subprocess.run(
                [*there, "-s", "-o", "/dev/null", "-w", "%{http_code}"], check=True, capture_output=True, text=True
            )
            status = int(done.stdout)
        assert status in (200, 204), words


def test_silences_and_queries_are_taken(stack: Stack) -> None:
    """Alertmanager takes each `amtool` line of the pages as it stands, but for its address."""
    server = stack.servers["alertmanager:9093"]
    asked = [words for words in commands("amtool") if words[1] != "check-config"]
    silence = ""
    for words in asked:
        told = [word.replace("http://alertmanager:9093", server.url).replace("ID", silence) for word in words[1:]]
        done = subprocess.run(
            [program("amtool", stack.generation), *told], check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{shlex.join(words)}: {done.stdout}{done.stderr}"
        silence = done.stdout.strip() if words[1:3] == ["silence", "add"] else silence
    added, expired = (sum(words[1:3] == ["silence", verb] for words in asked) for verb in ("add", "expire"))
    said = subprocess.run(
        [program("amtool", stack.generation), f"--alertmanager.url={server.url}", "silence", "query", "-q"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert len(said.stdout.split()) == added - expired


@pytest.mark.parametrize("generation", generations(), ids=lambda one: one.name)
@pytest.mark.parametrize("name", ["promtool", "vmalert", "victoria-metrics", "amtool"])
def test_checks_of_files_pass(name: str, generation: Generation) -> None:
    """The commands that check a file pass on the files that ship; of the rules, on what that vmalert gets."""
    if name == "amtool":
        # The shipped file is for Alertmanager 0.28 and later.
        generation = generations()[-1]
    found = [words for words in commands(name) if name != "amtool" or words[1] == "check-config"]
    assert found
    for words in found:
        own = [
            word.replace("rules/*.yml", vmalert_rules(generation)) if name == "vmalert" else word for word in words
        ]
        files = [str(file) for word in own[1:] for file in _expanded(word)]
        called = PROGRAMS[name]
        assert called is not None
        done = subprocess.run(
            [program(called, generation), *files], check=False, capture_output=True, text=True, cwd=ROOT
        )
        assert done.returncode == 0, f"{shlex.join(words)}: {done.stdout}{done.stderr}"


def _expanded(word: str) -> list[str | Path]:
    """What the shell makes of a word; a flag's pattern it leaves alone."""
    if "*" in word and not word.startswith("-"):
        return sorted(ROOT.glob(word))
    return [word]


def test_the_examples_are_one_inventory() -> None:
    """The devices that the tests above probe are those of the pages' examples."""
    names = {device["name"] for device in yaml.safe_load(INVENTORY)["devices"]}
    for page in PAGES:
        assert set(re.findall(r'device="([^"]+)"', page.text)) <= names
