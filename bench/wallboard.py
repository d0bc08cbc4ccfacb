"""What a wallboard of 1,000 devices costs: the browser to show it, and the exporter to feed five of them."""

from __future__ import annotations

import json
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Page

from bench import inventory, process
from bench.effort import Effort
from bench.exporter import SIMNET_PORT, Exporter, exporter
from bench.inventory import loopback
from bench.row import Row, absolute
from tests.serving import FAST
from tests.simnet import Simnet
from tests.web.browser import chromium, opened

DEVICES = 1000
BOARDS = 5
VIEWS = ("compact", "detail")
#: Devices of a small network.
BRANCH = 9
_URL = f"http://127.0.0.1:{SIMNET_PORT}/"


def screen(effort: Effort) -> list[Row]:
    """In Chromium, by its own clocks; exporter, network and browser share the machine."""
    addresses = [f"10.0.{number // 250}.{number % 250 + 1}" for number in range(DEVICES)]
    count = 5 * effort.runs
    paints: list[float] = []
    waits: dict[str, list[float]] = {}
    scripts: list[float] = []
    with Simnet() as net, chromium(net) as browser:
        net.set("10.0.0.0/8", latency=0.01)
        with exporter(addresses, net) as running:
            for _ in range(effort.runs):
                with opened(browser, _URL) as page:
                    start, took = page.evaluate(_UPDATES, ["all", 1])[0]
                    paints.append(max(start + took, page.evaluate(_FIRST_PAINT)))
            for number, view in enumerate(VIEWS):
                with opened(browser, f"{_URL}?view={view}") as page:
                    page.wait_for_selector(".site")
                    named = list(enumerate(addresses))[number * count : (number + 1) * count]
                    turns = [_cut(net, running, page, *one) for one in named]
                    waits[view] = [turn.since_verdict for turn in turns]
                    scripts += [turn.script for turn in turns]
                    scripts += [took for _, took in page.evaluate(_UPDATES, ["figures", effort.runs])]
        net.restore("10.0.0.0/8")
        with _quick(addresses[:BRANCH], net) as running, opened(browser, _URL) as page:
            page.wait_for_selector(".site")
            cuts = [_cut(net, running, page, *one).since_cut for one in enumerate(addresses[:BRANCH])]
    name = "wallboard"
    return [
        absolute(name, f"first paint, with {DEVICES} devices on the screen", paints, "ms", 1000),
        absolute(name, f"script of an update among {DEVICES}, worst of {len(scripts)}", [max(scripts)], "ms", 50),
        absolute(name, f"a cut device turns, probed each 200 ms, worst of {len(cuts)}", [max(cuts)], "ms", 1000),
        *(
            absolute(name, f"verdict to screen, {view} view, worst of {count}", [max(waits[view])], "ms", 200)
            for view in VIEWS
        ),
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


class Turn(NamedTuple):
    """Of a device that is cut: until the screen shows it, and the script of that; all in ms."""

    since_cut: float
    since_verdict: float
    script: float


def _cut(net: Simnet, running: Exporter, page: Page, number: int, address: str) -> Turn:
    name = f"dev-{number:06}"
    page.evaluate(_EXPECT, name)
    cut = time.time()
    net.cut(address)
    at, script = page.evaluate("window.turned")
    verdict: float = json.loads(running.get(f"/api/v1/devices/{name}")[2])["since"]
    return Turn(at - cut * 1000, at - verdict * 1000, script)


@contextmanager
def _quick(addresses: list[str], net: Simnet) -> Iterator[Exporter]:
    """The exporter over a few devices that it probes five times a second."""
    with tempfile.TemporaryDirectory() as folder:
        config = FAST + inventory.write(Path(folder), addresses)
        prefix = ["nsenter", f"--net={net.namespace}", "--"]
        with Exporter(config, prefix=prefix, port=SIMNET_PORT, get=net.get) as running:
            yield running


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
