"""Several exporters under a file of deploy/scaling, scraped and judged twice over: by two Prometheus servers, and
by VictoriaMetrics with two vmalerts, each way with one Alertmanager and its webhook. Times are shortened, so that
seconds are enough."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.servers import Alertmanager, Prometheus, Server, VictoriaMetrics, Vmalert, generations
from tests.servers.shipped import ROOT
from tests.simnet import Simnet
from tests.stack.inside import place, until
from tests.stack.notified import Sink, sink

GENERATION = generations()[-1]
FILES = ROOT / "deploy" / "scaling"
#: Between two scrapes of an exporter, seconds.
INTERVAL = 1.0
#: What the rules wait for, and what here: a fifth, as the scrapes are a fifth apart.
SHORTER = {
    "> 10": "> 2",
    "keep_firing_for: 10s": "keep_firing_for: 2s",
    "for: 10s": "for: 2s",
    "for: 1m": "for: 3s",
    "[15s]": "[3s]",
    "[10s] offset 5s": "[2s] offset 1s",
}
#: After so many scrapes of each target, the first one can be found.
ROUNDS = 4
#: One of each alert.
ROUTING = """
route: {{receiver: hook, group_by: [alertname, device], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers: [{{name: hook, webhook_configs: [{{url: "{url}", send_resolved: true}}]}}]
"""


@dataclass(frozen=True)
class Way:
    """One way from the exporters to a webhook; `evaluators` are two that look at the same rules."""

    database: Prometheus | VictoriaMetrics
    evaluators: Sequence[Server]
    sink: Sink

    def told(self) -> Counter[str]:
        """How often each alert was told to fire (`+`) and to be over (`-`); what is repeated unchanged is not."""
        found: Counter[str] = Counter()
        state: dict[str, str] = {}
        for one in list(self.sink.notifications):
            now = dict.fromkeys(one.firing, "+") | dict.fromkeys(one.resolved, "-")
            found.update(f"{sign}{alert}" for alert, sign in now.items() if state.get(alert) != sign)
            state |= now
        return Counter({alert: count for alert, count in found.items() if "Watchdog" not in alert})

    def until_told(self, what: str) -> None:
        """Until it has been told. Raises AssertionError after half a minute."""
        assert self.sink.wait_for(lambda: self.told()[what] > 0, 30), f"{what}: {self.told()}"

    def value(self, query: str) -> float:
        """Of the first series found, or 0."""
        found = self.database.query(query)
        return found[0].value if found else 0

    def samples(self, selector: str, seconds: int) -> list[tuple[dict[str, str], list[float]]]:
        """The series of a selector with the times of their samples, oldest first."""
        asked = self.database._ask("query", {"query": f"{selector}[{seconds}s]"})["result"]
        return [(series["metric"], [float(at) for at, _ in series["values"]]) for series in asked]


def shipped(folder: Path, name: str, exporters: Mapping[str, int], rules: Sequence[str]) -> dict[str, Any]:
    """A file for exporters at these ports by their names in it, a second between scrapes; the rules go into the
    folder."""
    text = (FILES / name).read_text()
    for exporter, port in exporters.items():
        assert f"{exporter}:9841" in text
        text = text.replace(f"{exporter}:9841", f"127.0.0.1:{port}")
    config: dict[str, Any] = yaml.safe_load(text)
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config["scrape_configs"] = [job for job in config["scrape_configs"] if job["job_name"] == "ward-exporter"]
    for job in config["scrape_configs"]:
        job |= {"scrape_interval": "1s", "scrape_timeout": "1s"}
    for one in rules:
        text = (ROOT / "rules" / f"{one}.yml").read_text()
        for long, short in SHORTER.items():
            text = text.replace(long, short)
        (folder / f"{one}.yml").write_text(re.sub(r"(?m)^ *interval: .*\n", "", text))
    return config


@contextmanager
def ways(
    net: Simnet, folder: Path, name: str, exporters: Mapping[str, int], rules: Sequence[str]
) -> Iterator[dict[str, Way]]:
    """Both, by the name of what stores the samples."""
    config = shipped(folder, name, exporters, rules)
    pattern = f"{folder}/*.yml"
    with ExitStack() as running:
        first = _notifying(net, running, 9100)
        whole = config | {"rule_files": [pattern]}
        whole["alerting"] = config["alerting"] | {
            "alertmanagers": [{"static_configs": [{"targets": ["127.0.0.1:9101"]}]}]
        }
        two = [
            running.enter_context(Prometheus(yaml.safe_dump(whole), generation=GENERATION, **place(net, port)))
            for port in (9102, 9103)
        ]
        second = _notifying(net, running, 9200)
        scraping = {key: config[key] for key in ("global", "scrape_configs")}
        del scraping["global"]["evaluation_interval"]
        database = running.enter_context(
            VictoriaMetrics(
                yaml.safe_dump(scraping),
                generation=GENERATION,
                arguments=[f"-dedup.minScrapeInterval={INTERVAL:g}s"],
                **place(net, 9202),
            )
        )
        # Asked before it has anything it would say for 10 s that there is nothing: to vmalert, too.
        until(lambda: _scrapes(database) >= ROUNDS * len(exporters), "VictoriaMetrics has scraped")
        notifier = folder / "notifier.yaml"
        notifier.write_text(
            (FILES / "vmalert-notifier.yml").read_text().replace("alertmanager:9093", "127.0.0.1:9201")
        )
        arguments = [
            f"-rule={pattern}",
            "-evaluationInterval=1s",
            f"-datasource.url={database.url}",
            f"-remoteWrite.url={database.url}",
            f"-remoteRead.url={database.url}",
            f"-notifier.config={notifier}",
            "-rule.resendDelay=1m",
            "-rule.evalDelay=0s",
        ]
        judges = [
            running.enter_context(Vmalert(generation=GENERATION, arguments=arguments, **place(net, port)))
            for port in (9203, 9204)
        ]
        yield {"prometheus": Way(two[1], two, first), "victoriametrics": Way(database, judges, second)}


def _scrapes(database: VictoriaMetrics) -> int:
    page = database.get("/metrics")[2].decode()
    return sum(map(int, re.findall(r"(?m)^vm_promscrape_scrape_requests_total (\d+)$", page)))


def _notifying(net: Simnet, running: ExitStack, port: int) -> Sink:
    hook = running.enter_context(sink(net, port))
    config = ROUTING.format(url=hook.url)
    running.enter_context(Alertmanager(config, generation=GENERATION, **place(net, port + 1)))
    return hook
