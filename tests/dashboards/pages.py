"""Exporters that say what a test wants them to, scraped by Prometheus and VictoriaMetrics of every generation."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

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
        #: How often each has been asked for, by whom.
        self.asked: Counter[str] = Counter()

    def __enter__(self) -> Pages:
        pages = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = pages.texts.get(urlsplit(self.path).path)
                pages.asked[self.path] += 1
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
    with ExitStack() as cleanup:
        found: dict[str, Store] = {}
        for generation in generations():
            for kind in (Prometheus, VictoriaMetrics):
                name = f"{kind.PROGRAM}-{generation.name}"
                found[name] = cleanup.enter_context(kind(_config(pages, jobs, name), generation=generation))
        yield found


def _config(pages: Pages, jobs: Mapping[str, Sequence[Mapping[str, str]]], store: str) -> str:
    return yaml.safe_dump(
        {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [
                {
                    "job_name": job,
                    "params": {"store": [store]},
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


def further(pages: Pages, stores: Mapping[str, Store], targets: int, scrapes: int) -> None:
    """Until each store has asked each target so many times more.

    It is the pages that are asked: VictoriaMetrics would remember for 10 s that there was nothing yet.
    """
    before = pages.asked.copy()
    until(
        lambda: (
            sum(count >= before[path] + scrapes for path, count in list(pages.asked.items()))
            == targets * len(stores)
        ),
        "each has scraped so often",
    )
