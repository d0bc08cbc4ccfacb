"""What the servers that scrape have stored: six views of the same exporter."""

from __future__ import annotations

import json
import math
import re
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from bench.exporter import SIMNET_PORT
from tests.servers import (
    Generation,
    Prometheus,
    Sample,
    Server,
    ServersError,
    VictoriaMetrics,
    Vmagent,
    generations,
)
from tests.simnet import Simnet
from tests.stack.inside import place
from tests.stack.script import Moment

SHIPPED = Path(__file__).parents[2] / "prometheus.yml"
JOB = "ward-exporter"
#: Roles whose devices Prometheus discovers from the exporter's /sd.
DISCOVERED = ("isp", "router")
#: The job that the discovered devices are a part of; nothing listens on the port that it is told to scrape.
_NOWHERE = "127.0.0.1:9"
_FIRST_PORT = 9090
#: What every server may be asked for: all samples since the start.
_SINCE = "15m"

#: Names of the views, for the parameters of tests.
NAMES = tuple(
    f"{program}-{generation.name}"
    for generation in generations()
    for program in ("prometheus", "victoria-metrics", "vmagent")
)


def config(*, agent: bool = False, discover: bool = False) -> str:
    """The shipped prometheus.yml, its one job for the exporter with the target where it runs here.

    What is not scraped here is left out: the other jobs, and what evaluates and notifies. `discover` adds a job for
    what the exporter's /sd lists; `agent` a label that tells vmagent's samples from those of the database that it
    writes to.
    """
    whole: dict[str, Any] = yaml.safe_load(SHIPPED.read_text())
    (job,) = (job for job in whole["scrape_configs"] if job["job_name"] == JOB)
    (group,) = job["static_configs"]
    group["targets"] = [f"127.0.0.1:{SIMNET_PORT}"]
    scraping = {"global": {key: whole["global"][key] for key in ("scrape_interval", "scrape_timeout")}}
    if agent:
        scraping["global"]["external_labels"] = {"agent": "vmagent"}
    jobs = [job]
    for role in DISCOVERED if discover else ():
        jobs.append(
            {
                "job_name": f"discovered-{role}",
                "scrape_interval": "1h",
                "http_sd_configs": [{"url": f"http://127.0.0.1:{SIMNET_PORT}/sd?role={role}"}],
                "relabel_configs": [
                    {"source_labels": ["__address__"], "target_label": "address"},
                    {"target_label": "__address__", "replacement": _NOWHERE},
                ],
            }
        )
    return yaml.safe_dump(scraping | {"scrape_configs": jobs})


@dataclass
class View:
    """What one scraping program has stored; `store` answers for it, `scraper` is the program itself."""

    name: str
    scraper: Server
    store: Prometheus | VictoriaMetrics
    matcher: str
    #: Samples up to this Unix time count; None for now.
    end: float | None = None

    def raw(self, metric: str) -> list[Sample]:
        """All samples of a metric, as they were stored. Raises ServersError."""
        expression = f'{metric}{{job="{JOB}",{self.matcher}}}[{_SINCE}]'
        asked = {"query": expression} | ({} if self.end is None else {"time": str(self.end)})
        status, _, body = self.store.get(f"/api/v1/query?{urllib.parse.urlencode(asked)}")
        if status != 200:
            raise ServersError(f"{self.name} answered {status} to {expression}: {body.decode()}")
        found = []
        for row in json.loads(body)["data"]["result"]:
            points = ((float(at), float(value)) for at, value in row["values"])
            # VictoriaMetrics may show the mark that ends a series, which is a NaN.
            found.append(Sample(row["metric"], tuple(point for point in points if not math.isnan(point[1]))))
        return found

    def one(self, metric: str) -> dict[float, float]:
        """The samples of a metric that has a single series, by time."""
        (series,) = self.raw(metric)
        return dict(series.points)

    def by_device(self, metric: str) -> dict[str, dict[float, float]]:
        """The samples of a metric that has a series a device, by time."""
        found = self.raw(metric)
        devices = {series.labels["device"]: dict(series.points) for series in found}
        assert len(devices) == len(found), f"{self.name}: {metric} has several series for one device"
        return devices

    def query(self, expression: str) -> list[Sample]:
        """Evaluate, with `SELECT` in place of the matchers that choose this view's samples."""
        return self.store.query(expression.replace("SELECT", f'job="{JOB}",{self.matcher}'), self.end)

    @cached_property
    def scrapes(self) -> dict[float, Moment]:
        """Each scrape, and how long the exporter may have been at its page."""
        lasted = self.one("scrape_duration_seconds")
        return {at: Moment(at, at + seconds) for at, seconds in lasted.items()}

    def own_metrics(self, pattern: str) -> dict[str, float]:
        """Series of the scraping program's own /metrics whose names match, whole."""
        page = self.scraper.get("/metrics")[2].decode()
        found = re.findall(rf"^((?:{pattern})(?:\{{[^\n]*\}})?) (\S+)$", page, re.MULTILINE)
        return {name: float(value) for name, value in found}

    def complaints(self) -> list[str]:
        """Lines of the scraping program's log that are more than information."""
        lines = self.scraper.log_text().splitlines()
        return [line for line in lines if not re.search(r"\tinfo\t|\blevel=info\b", line) and line.strip()]

    def targets(self, job: str) -> list[Mapping[str, str]]:
        """Labels of the active targets of a job; Prometheus alone."""
        found = json.loads(self.scraper.get("/api/v1/targets?state=active")[2])["data"]["activeTargets"]
        return [target["labels"] for target in found if target["labels"]["job"] == job]


@contextmanager
def scraping(net: Simnet) -> Iterator[dict[str, View]]:
    """Prometheus, VictoriaMetrics, and vmagent writing to it, each of every generation, all scraping at once."""
    views: dict[str, View] = {}
    ports = iter(range(_FIRST_PORT, _FIRST_PORT + 100))
    with ExitStack() as stack:
        for generation in generations():
            for view in _generation(net, generation, ports, stack):
                views[view.name] = view
        yield views


def _generation(net: Simnet, generation: Generation, ports: Iterator[int], stack: ExitStack) -> Iterator[View]:
    prometheus = stack.enter_context(
        Prometheus(config(discover=True), generation=generation, **place(net, next(ports)))
    )
    yield View(f"prometheus-{generation.name}", prometheus, prometheus, "")
    victoria = stack.enter_context(VictoriaMetrics(config(), generation=generation, **place(net, next(ports))))
    yield View(f"victoria-metrics-{generation.name}", victoria, victoria, 'agent=""')
    write = f"-remoteWrite.url={victoria.url}/api/v1/write"
    agent = stack.enter_context(
        Vmagent(config(agent=True), generation=generation, arguments=[write], **place(net, next(ports)))
    )
    yield View(f"vmagent-{generation.name}", agent, victoria, 'agent="vmagent"')
