"""The whole way from a cut link to a notification, twice over the same exporter: with Prometheus, and with
VictoriaMetrics and vmalert, each with an Alertmanager and a webhook of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import yaml

from bench.exporter import SIMNET_PORT
from tests.servers import (
    Alertmanager,
    Prometheus,
    Server,
    VictoriaMetrics,
    Vmalert,
    generations,
)
from tests.servers.shipped import evaluating, routes, routing, scraping, vmalert_arguments
from tests.simnet import Simnet
from tests.stack.inside import place, until
from tests.stack.notified import Sink, sink

#: The newest that this machine has: the routing is written for it.
GENERATION = generations()[-1]
BACKENDS = ("prometheus", "victoriametrics")
#: The jobs of parts that do not run here are scraped all the same: a part that was never there is no alert.
_NOWHERE = "127.0.0.1:9"
_PARTS = (
    *("prometheus", "victoriametrics", "vmalert", "alertmanager"),
    *("blackbox_exporter", "node_exporter"),
)

Routing = dict[str, Any]


@dataclass(frozen=True)
class Stack:
    """One way to a webhook; `servers` are all of its programs, and `evaluator` is the one that looks at rules."""

    name: str
    sink: Sink
    alertmanager: Alertmanager
    evaluator: Server
    database: Prometheus | VictoriaMetrics
    servers: Mapping[str, Server]

    def ready(self) -> bool:
        """Whether the exporter's devices are there, and who evaluates the rules knows of the Alertmanager.

        Prometheus finds it after five seconds, and says what fired before that a minute later.
        """
        metrics = self.evaluator.get("/metrics")[2].decode()
        knows = self.name != "prometheus" or "\nprometheus_notifications_alertmanagers_discovered 1\n" in metrics
        return knows and bool(self.database.query("ward_device_up"))

    def firing(self) -> set[str]:
        """Names of the alerts that Alertmanager holds as firing."""
        answer = json.loads(self.alertmanager.get("/api/v2/alerts?silenced=false&inhibited=false")[2])
        return {alert["labels"]["alertname"] for alert in answer}

    def rule_errors(self) -> list[str]:
        """What the evaluator last could not evaluate."""
        groups = json.loads(self.evaluator.get("/api/v1/rules")[2])["data"]["groups"]
        return [rule["lastError"] for group in groups for rule in group["rules"] if rule.get("lastError")]


def as_shipped(routing: Routing) -> Routing:
    return routing


def shortened(routing: Routing) -> Routing:
    """Waits of seconds where the shipped ones are minutes; ISP links and the watchdog keep theirs."""
    for route in routes(routing["route"]):
        if route.get("receiver") not in ("isp", "deadman") and "group_wait" in route:
            route["group_wait"], route["group_interval"] = "3s", "10s"
    return routing


@contextmanager
def stacks(net: Simnet, changed: Callable[[Routing], Routing] = shortened) -> Iterator[dict[str, Stack]]:
    """Both, by name, inside the network."""
    with ExitStack() as cleanup:
        yield {
            "prometheus": _prometheus(net, cleanup, changed),
            "victoriametrics": _victoriametrics(net, cleanup, changed),
        }


def _notifying(
    net: Simnet, cleanup: ExitStack, changed: Callable[[Routing], Routing], port: int
) -> tuple[Sink, Alertmanager]:
    webhook = cleanup.enter_context(sink(net, port))
    config = changed(routing(webhook.url, GENERATION))
    alertmanager = Alertmanager(yaml.safe_dump(config), generation=GENERATION, **place(net, port + 1))
    return webhook, cleanup.enter_context(alertmanager)


def _prometheus(net: Simnet, cleanup: ExitStack, changed: Callable[[Routing], Routing]) -> Stack:
    webhook, alertmanager = _notifying(net, cleanup, changed, 9100)
    config = evaluating(_targets(prometheus=9102, alertmanager=9101), "127.0.0.1:9101")
    prometheus = cleanup.enter_context(
        Prometheus(yaml.safe_dump(config), generation=GENERATION, **place(net, 9102))
    )
    servers = {"alertmanager": alertmanager, "prometheus": prometheus}
    return Stack("prometheus", webhook, alertmanager, prometheus, prometheus, servers)


def _victoriametrics(net: Simnet, cleanup: ExitStack, changed: Callable[[Routing], Routing]) -> Stack:
    webhook, alertmanager = _notifying(net, cleanup, changed, 9200)
    config = scraping(_targets(victoriametrics=9202, vmalert=9203, alertmanager=9201))
    database = cleanup.enter_context(
        VictoriaMetrics(yaml.safe_dump(config), generation=GENERATION, **place(net, 9202))
    )
    # It takes VictoriaMetrics up to 10 s to find what is new to it: until then the exporter is absent to rules.
    until(lambda: database.query('up{job="ward-exporter"}'), "the exporter is there")
    arguments = vmalert_arguments(GENERATION, database.url, alertmanager.url)
    vmalert = cleanup.enter_context(Vmalert(arguments=arguments, generation=GENERATION, **place(net, 9203)))
    servers = {"alertmanager": alertmanager, "victoriametrics": database, "vmalert": vmalert}
    return Stack("victoriametrics", webhook, alertmanager, vmalert, database, servers)


def _targets(**ports: int) -> dict[str, str]:
    """Addresses of all jobs of the shipped prometheus.yml."""
    running = {job: f"127.0.0.1:{port}" for job, port in ports.items()}
    return {"ward-exporter": f"127.0.0.1:{SIMNET_PORT}"} | dict.fromkeys(_PARTS, _NOWHERE) | running
