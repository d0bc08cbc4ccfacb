"""Prometheus and VictoriaMetrics of every generation over the same exporter, with the shipped rules."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import yaml

from bench.exporter import SIMNET_PORT
from dashboards.preview.filling import Span, Values, fill
from tests.dashboards.reading import BOARDS, Asked
from tests.servers import (
    Alertmanager,
    Generation,
    Prometheus,
    Sample,
    Server,
    VictoriaMetrics,
    Vmalert,
    generations,
)
from tests.servers.shipped import evaluating, routing, scraping, vmalert_arguments
from tests.simnet import Simnet
from tests.stack.inside import place, until
from tests.stack.notified import sink

Store = Prometheus | VictoriaMetrics
#: The range that panels show here: longer than what there is.
_SHOWN_SECONDS = 300
NEWEST = generations()[-1]
#: The shipped intervals are up to a minute; rates take two scrapes.
_EVERY = "2s"
_SINK, _ALERTMANAGER, _NODE, _FIRST = 9300, 9301, 9302, 9310


class NodeExporter(Server):
    """node_exporter, with what a dashboard asks for."""

    PROGRAM = "prometheus-node-exporter"
    READY = "/metrics"
    ARGUMENTS = (
        "--web.listen-address=127.0.0.1:{port}",
        "--collector.disable-defaults",
        "--collector.filesystem",
    )
    CONFIG_ARGUMENT = "--web.config.file={config}"


#: The second exporter: who scrapes two knows it as another one, which does not agree with the first on this.
SECOND = "second"
_DISAGREES = [
    {
        "source_labels": ["instance", "__name__", named],
        "regex": f"{SECOND};{metric};{value}",
        "target_label": label,
        "replacement": other,
    }
    for metric, named, value, label, other in (
        ("ward_device_info", "device", "gori-01-isp-b", "provider", "another"),
        ("ward_site_info", "site", "gori-01", "latitude", "41.99"),
    )
]


def _quick(config: dict[str, Any], exporters: int) -> str:
    for job in config["scrape_configs"]:
        job |= {"scrape_interval": _EVERY, "scrape_timeout": _EVERY}
        if job["job_name"].startswith("ward-exporter") and exporters == 2:
            (first,) = job["static_configs"]
            job["static_configs"] = [first, first | {"labels": {"instance": SECOND}}]
            job["metric_relabel_configs"] = _DISAGREES
    return yaml.safe_dump(config)


@contextmanager
def stores(
    net: Simnet, chosen: Sequence[Generation] = (), twice: Collection[str] = ()
) -> Iterator[Mapping[str, Store]]:
    """By name. Both of each generation, or of those `chosen`, scrape all that runs here.

    Those named by `twice` scrape the exporter as if it were two that watch the same devices.
    """
    every = list(chosen or generations())
    ports = {name: _FIRST + number for number, name in enumerate(_names(every))}
    with ExitStack() as cleanup:
        webhook = cleanup.enter_context(sink(net, _SINK))
        cleanup.enter_context(
            Alertmanager(
                yaml.safe_dump(routing(webhook.url, NEWEST)), generation=NEWEST, **place(net, _ALERTMANAGER)
            )
        )
        cleanup.enter_context(NodeExporter(generation=NEWEST, **place(net, _NODE)))
        found: dict[str, Store] = {}
        for generation in every:
            targets = {
                "ward-exporter": SIMNET_PORT,
                "ward-exporter-snmp": SIMNET_PORT,
                "alertmanager": _ALERTMANAGER,
                "node_exporter": _NODE,
                "prometheus": ports[f"prometheus-{generation.name}"],
                "victoriametrics": ports[f"victoria-metrics-{generation.name}"],
                "vmalert": ports[f"vmalert-{generation.name}"],
            }
            addresses = {job: f"127.0.0.1:{port}" for job, port in targets.items()}
            name = f"prometheus-{generation.name}"
            config = _quick(evaluating(addresses, addresses["alertmanager"]), 1 + (name in twice))
            found[name] = cleanup.enter_context(
                Prometheus(config, generation=generation, **place(net, ports[name]))
            )
            name = f"victoria-metrics-{generation.name}"
            config = _quick(scraping(addresses), 1 + (name in twice))
            victoria = VictoriaMetrics(config, generation=generation, **place(net, ports[name]))
            found[name] = cleanup.enter_context(victoria)
            arguments = vmalert_arguments(generation, victoria.url, f"http://{addresses['alertmanager']}")
            place_of_vmalert = place(net, ports[f"vmalert-{generation.name}"])
            cleanup.enter_context(Vmalert(arguments=arguments, generation=generation, **place_of_vmalert))
        yield found


def _names(every: Sequence[Generation]) -> list[str]:
    return [
        f"{program}-{generation.name}"
        for generation in every
        for program in ("prometheus", "victoria-metrics", "vmalert")
    ]


def ask(store: Store, asked: Asked, values: Values, end: float) -> list[Sample]:
    """What a query of a panel finds, with its variables filled in, at the end of a time range."""
    span, least = Span(end - _SHOWN_SECONDS, end), asked.target["interval"]
    expression = fill(asked.expr, BOARDS[asked.uid], values, span, least)
    if asked.target["instant"]:
        return store.query(expression, end)
    return store.query_range(expression, span.start, span.end, span.step(least))


def scraped(every: Collection[Store]) -> None:
    """Until each of them has seen the exporter three times."""

    def seen(store: Store) -> bool:
        # Each time in other words: VictoriaMetrics remembers for 10 s that it has found nothing.
        asked = f'count_over_time(ward_inventory_devices{{instance!="{time.time()}"}}[1m]) >= 3'
        return bool(store.query(asked))

    until(lambda: all(map(seen, every)), "every store has scraped", 60)
