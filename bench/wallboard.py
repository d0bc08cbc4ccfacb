"""What a wallboard of 1,000 devices costs: the browser to show it, and the exporter to feed five of them."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from playwright.sync_api import Page

from bench import process
from bench.effort import Effort
from bench.exporter import SIMNET_PORT, Exporter, exporter
from bench.inventory import loopback
from bench.row import Row, absolute
from tests.simnet import Simnet
from tests.web.browser import chromium, opened

DEVICES = 1000
BOARDS = 5
_URL = f"http://127.0.0.1:{SIMNET_PORT}/"


def screen(effort: Effort) -> list[Row]:
    """In Chromium, by its own clocks; exporter, network and browser share the machine."""
    addresses = [f"10.0.{number // 250}.{number % 250 + 1}" for number in range(DEVICES)]
    paints: list[float] = []
    builds: list[float] = []
    with Simnet() as net:
        net.set("10.0.0.0/8", latency=0.01)
        with exporter(addresses, net) as running, chromium(net) as browser:
            for _ in range(effort.runs):
                with opened(browser, _URL) as page:
                    start, took = page.evaluate(_UPDATES, ["all", 1])[0]
                    builds.append(start + took)
                    paints.append(page.evaluate(_FIRST_PAINT))
            # In the detail view all figures are on the screen.
            with opened(browser, f"{_URL}?view=detail") as page:
                page.wait_for_selector(".site")
                waits, changes = _changes(net, running, page, addresses[: 3 * effort.runs])
                figures = [took for _, took in page.evaluate(_UPDATES, ["figures", effort.runs])]
    name = "wallboard"
    return [
        absolute(name, f"first paint, {DEVICES} devices", paints, "ms", 1000),
        absolute(name, f"{DEVICES} devices on the screen after", builds, "ms", 1000),
        absolute(name, f"script of a change among {DEVICES}, worst of {len(changes)}", [max(changes)], "ms", 50),
        absolute(name, f"script of {DEVICES} new figures, worst of {len(figures)}", [max(figures)], "ms", 50),
        absolute(name, f"verdict to screen, median of {len(waits)}", waits, "ms", 200),
        absolute(name, f"verdict to screen, worst of {len(waits)}", [max(waits)], "ms", 200),
    ]


def feed(effort: Effort) -> list[Row]:
    """CPU of the exporter with and without listeners, all of the same run."""
    rows = []
    for devices in (DEVICES, 10 * DEVICES):
        with exporter(loopback(devices)) as running:
            time.sleep(3)
            alone = process.watch(running.process.pid, effort.seconds).cores
            with _listening(running.port):
                time.sleep(3)
                fed = process.watch(running.process.pid, effort.seconds).cores
        what = f"CPU of the exporter, {devices:,} devices"
        rows.append(absolute("wallboard-feed", f"{what}, no wallboard", [alone * 100], "%", 100))
        rows.append(absolute("wallboard-feed", f"{what}, for {BOARDS} more", [(fed - alone) * 100], "%", 10))
    return rows


#: The page measures each update of its own: [start, duration] in ms of the next ones that have this.
_UPDATES = """([what, count]) => new Promise((done) => {
    const found = [];
    new PerformanceObserver((list) => {
        for (const one of list.getEntries()) if (one.detail?.[what]) found.push([one.startTime, one.duration]);
        if (found.length >= count) done(found);
    }).observe({ type: "measure", buffered: true });
})"""
_FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
#: When a device's mark turns: Unix time of the frame after, in ms, and the update's script.
_EXPECT = """(name) => {
    const link = document.querySelector(`a.device[aria-label^="${name},"]`);
    window.turned = new Promise((done) => {
        new MutationObserver(() => requestAnimationFrame(() => {
            const update = performance.getEntriesByName("ward-update")[0];
            done([Date.now(), update.duration]);
        })).observe(link, { attributeFilter: ["data-state"] });
    });
}"""


def _changes(net: Simnet, running: Exporter, page: Page, addresses: list[str]) -> tuple[list[float], list[float]]:
    """For each device that is cut: ms from its verdict to the screen, and ms of script."""
    waits, scripts = [], []
    for number, address in enumerate(addresses):
        name = f"dev-{number:06}"
        page.evaluate(_EXPECT, name)
        net.cut(address)
        at, script = page.evaluate("window.turned")
        verdict: float = json.loads(running.get(f"/api/v1/devices/{name}")[2])["since"]
        waits.append(at - verdict * 1000)
        scripts.append(script)
    return waits, scripts


@contextmanager
def _listening(port: int) -> Iterator[None]:
    """As many streams as BOARDS, read as they come."""
    with ExitStack() as cleanup:
        for _ in range(BOARDS):
            client = cleanup.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
            reader = threading.Thread(target=_read, args=(client,))
            reader.start()
            cleanup.callback(reader.join)
            cleanup.callback(client.shutdown, socket.SHUT_RDWR)
        yield


def _read(client: socket.socket) -> None:
    while client.recv(1 << 20):
        pass
