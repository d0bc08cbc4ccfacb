"""Exporters that say what a test wants them to, scraped by Prometheus and VictoriaMetrics of every generation."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import yaml

from tests.dashboards.stores import Store
from tests.servers import Prometheus, VictoriaMetrics, generations
from tests.stack.inside import until

#: The label `vantage` of three exporters that vote.
VANTAGE_POINTS = ("tbilisi", "batumi", "kutaisi")


def sample(name: str, value: float = 1, **labels: str) -> str:
    """A line of a page."""
    inner = ", ".join(f'{label}="{text}"' for label, text in labels.items())
    return f"{name}{{{inner}}} {value}"


def device(
    name: str,
    site: str,
    role: str = "switch",
    *,
    up: bool = True,
    flaps: bool = False,
    address: str = "10.0.0.1",
    suppressed: Sequence[str] = (),
) -> list[str]:
    """What an exporter says of a device."""
    labels = {"device": name, "address": address, "site": site, "role": role, "priority": "3"}
    found = [
        sample("ward_device_up", int(up), **labels),
        sample("ward_device_flapping", int(flaps), **labels),
        sample("ward_device_info", **labels, provider="magti"),
    ]
    return found + [sample("ward_device_suppressed", **labels, reason=reason) for reason in suppressed]


class Pages:
    """Pages by path, which may change; 503 for a path that has none."""

    def __init__(self) -> None:
        self.texts: dict[str, Sequence[str]] = {}

    def __enter__(self) -> Pages:
        texts = self.texts

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = texts.get(self.path)
                body = "\n".join([*found, ""]).encode() if found else b""
                self.send_response(200 if found else 503)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def scraping(pages: Pages, jobs: Mapping[str, Sequence[Mapping[str, str]]]) -> Iterator[dict[str, Store]]:
    """Each target is the labels of one; the page of an instance is at its name. A scrape a second."""
    config = yaml.safe_dump(
        {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [
                {
                    "job_name": job,
                    "static_configs": [
                        {
                            "targets": [pages.address],
                            "labels": dict(labels) | {"__metrics_path__": f"/{labels['instance']}"},
                        }
                        for labels in targets
                    ],
                }
                for job, targets in jobs.items()
            ],
        }
    )
    with ExitStack() as cleanup:
        yield {
            f"{kind.PROGRAM}-{generation.name}": cleanup.enter_context(kind(config, generation=generation))
            for generation in generations()
            for kind in (Prometheus, VictoriaMetrics)
        }


def further(stores: Mapping[str, Store], scrapes: int) -> None:
    """Until each store has so many more scrapes of every target."""

    def counts() -> list[dict[str, float]]:
        # Not by a selector that a panel has: VictoriaMetrics remembers for 10 s that there was nothing.
        asked = 'count_over_time(up{instance!=""}[10m])'
        return [{one.labels["instance"]: one.value for one in store.query(asked)} for store in stores.values()]

    until(lambda: all(counts()), "each has scraped", 30)
    before = counts()
    until(
        lambda: all(
            now.get(target, 0) >= count + scrapes
            for now, then in zip(counts(), before, strict=True)
            for target, count in then.items()
        ),
        "each has scraped so often",
        60,
    )
