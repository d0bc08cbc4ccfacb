"""Reloads of the running exporter: by request, by signal, by the refresh of a URL; good ones and bad ones."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.serving import FAST, Page, Serving, until
from tests.simnet import Simnet

SUCCESSFUL = "ward_config_last_reload_successful"
LOADED_AT = "ward_config_last_reload_success_timestamp_seconds"
PROBES, REPLIES = "ward_device_probes_sent_total", "ward_device_replies_total"


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    """Three loopback devices, ready."""
    with Serving(tmp_path) as found:
        found.devices({"a": "127.0.1.1", "b": "127.0.1.2", "here": "localhost"})
        yield found.start_ready()


def by_request(serving: Serving) -> None:
    assert serving.reload().text == "reloaded\n"


def by_signal(serving: Serving) -> None:
    before = serving.log.read_text().count("reloaded:")
    serving.send(signal.SIGHUP)
    until(lambda: serving.log.read_text().count("reloaded:") > before)


@pytest.mark.parametrize("reload", [by_request, by_signal])
def test_devices_come_and_go(tmp_path: Path, shared_simnet: Simnet, reload: Callable[[Serving], None]) -> None:
    """A reload adds and removes devices; the others keep their counters, and no probe of theirs is lost."""
    shared_simnet.set("10.1.0.0/16", latency=0.005)
    with Serving(tmp_path, shared_simnet) as serving:
        stay = {f"stays-{number}": f"10.1.1.{number}" for number in range(1, 30)}
        serving.devices({"goes": "10.1.2.1", **stay})
        serving.start_ready()
        serving.until_page(lambda page: page.value(REPLIES, "stays-1") >= 3)
        before = serving.page()
        for round_ in range(5):
            serving.devices(
                {f"comes-{round_}": f"10.1.3.{round_}", **dict(sorted(stay.items(), reverse=round_ % 2 == 0))}
            )
            reload(serving)
        after = serving.until_page(
            lambda page: page.value(REPLIES, "stays-1") >= before.value(REPLIES, "stays-1") + 10
        )
        assert after.devices("ward_device_up").keys() == {"comes-4", *stay}
        assert after.value("ward_inventory_devices") == 30
        for name in stay:
            assert after.value(REPLIES, name) >= before.value(REPLIES, name) + 9
            assert after.value("ward_device_packet_loss_ratio", name) == 0
        assert after.value(SUCCESSFUL) == 1
        assert serving.end() == 0
        state = after.devices("ward_device_last_change_timestamp_seconds")
        assert all(
            state[name] == before.devices("ward_device_last_change_timestamp_seconds")[name] for name in stay
        )
        # The network's own count: every round had a probe, but for those that the page owns up to.
        given_up = after.value("ward_probe_cycles_skipped_total") + after.value("ward_probe_void_total")
        cycles = after.value("ward_probe_cycles_total")
        requests = {name: shared_simnet.truth(address).requests for name, address in stay.items()}
        assert all(count >= cycles - given_up - 1 for count in requests.values())
        assert all(shared_simnet.truth(address).replies == requests[name] for name, address in stay.items())


def test_a_bad_file_changes_nothing(serving: Serving) -> None:
    """500 with the reason, a metric that is 0, the time of the last good load, the old inventory still probed."""
    for name, content, reason in (
        ("ward.yml", "probe: {interval: 1}\n", "ward.yml:1: probe.interval: "),
        ("ward.yml", "[", "ward.yml:"),
        ("ward.yml", "inventory: [{file: nothing-*.yml}]\n", "no file matches"),
        ("devices.yml", "devices: [{name: x}]\n", "devices.yml:1: devices[0]: "),
        ("devices.yml", "devices: []\n", "the sources hold no devices"),
        ("devices.yml", "", "the sources hold no devices"),
    ):
        path = serving.folder / name
        good = path.read_text()
        before = serving.page()
        path.write_text(content)
        answer = serving.reload()
        assert answer.status == 500
        assert answer.text.startswith("reload failed, the former configuration stays:\n")
        assert reason in answer.text
        failed = _later(serving, before, 3)
        assert failed.value(SUCCESSFUL) == 0
        assert failed.value(LOADED_AT) == before.value(LOADED_AT)
        assert failed.devices("ward_device_up") == {"a": 1, "b": 1, "here": 1}
        path.write_text(good)
        assert serving.reload().status == 200
        mended = serving.page()
        assert mended.value(SUCCESSFUL) == 1
        assert mended.value(LOADED_AT) > before.value(LOADED_AT)


def _later(serving: Serving, before: Page, replies: int, device: str = "a") -> Page:
    """The first page with so many more replies of a device."""
    least = before.value(REPLIES, device) + replies
    return serving.until_page(lambda page: page.value(REPLIES, device) >= least, seconds=5)


def test_a_bad_file_and_a_signal(serving: Serving) -> None:
    """A reload by SIGHUP that fails is told in the log, once and without a traceback."""
    (serving.folder / "devices.yml").write_text("devices: [{name: x}]\n")
    serving.send(signal.SIGHUP)
    serving.until_page(lambda page: page.value(SUCCESSFUL) == 0)
    assert serving.end() == 0
    said = serving.log.read_text()
    assert said.count("reload failed, the former configuration stays") == 1
    assert "devices.yml:1: devices[0]: " in said
    assert "Traceback" not in said


def test_a_name_stays_resolved(serving: Serving) -> None:
    """A device with a host name is probed on across reloads, and so is one whose name is new."""
    for round_ in range(4):
        serving.devices({"a": "127.0.1.1", "here": "localhost", f"new-{round_}": "localhost"})
        before = serving.page()
        assert serving.reload().status == 200
        after = _later(serving, before, 3, "here")
        assert after.value("ward_device_packet_loss_ratio", "here") == 0


def test_many_reloads_at_once(serving: Serving) -> None:
    """Requests that come together share reloads, all succeed, and the last state of the files is what runs."""
    with ThreadPoolExecutor(30) as clients:
        for round_ in range(3):
            serving.devices({"a": "127.0.1.1", f"new-{round_}": "127.0.1.9"})
            serving.send(signal.SIGHUP)
            assert {answer.status for answer in clients.map(lambda _: serving.reload(), range(30))} == {200}
    page = serving.page()
    assert page.value("ward_inventory_devices") == 2
    assert page.blocks["ward_device_info"].samples[1].line.startswith('ward_device_info{device="new-2"')
    assert serving.log.read_text().count("reloaded:") <= 30
    assert serving.end() == 0


def test_suppression_has_no_gap(tmp_path: Path, shared_simnet: Simnet) -> None:
    """Pages scraped while an inventory in an outage is reloaded show the outage and its reasons, each of them."""
    with Serving(tmp_path, shared_simnet) as serving:
        down = {f"d-{number}": f"10.1.1.{number}" for number in range(11, 22)}
        serving.devices(
            {**down, "link": "10.1.1.5"},
            ', maintenance: [{start: "2020-01-01T00:00:00Z", end: "2099-01-01T00:00:00Z"}]',
        )
        serving.start_ready()
        # All are in maintenance and in a mass outage, and all but the link behind the link.
        expected = 12 + 12 + 11
        serving.until_page(lambda page: _suppressed(page) == expected)
        done = threading.Event()
        pages: list[Page] = []

        def scrape() -> None:
            while not done.is_set():
                pages.append(serving.page())

        scraper = threading.Thread(target=scrape)
        scraper.start()
        try:
            for _ in range(10):
                assert serving.reload().status == 200
        finally:
            done.set()
            scraper.join()
        assert pages
        assert {page.value("ward_mass_outage") for page in pages} == {1}
        assert {_suppressed(page) for page in pages} == {expected}
        assert serving.end() == 0


def _suppressed(page: Page) -> int:
    return len(page.blocks["ward_device_suppressed"].samples)


def test_settings_change_too(serving: Serving) -> None:
    """Interval, thresholds and window are those of the new file, without a loss and without a restart."""
    before = serving.page()
    serving.configure(FAST.replace("200ms", "100ms").replace("6s", "4s"))
    assert serving.reload().status == 200
    after = _later(serving, before, 10)
    assert after.value("ward_probe_interval_seconds") == 0.1
    assert after.value("ward_device_packet_loss_ratio", "a") == 0
    assert after.value(PROBES, "a") == after.value(REPLIES, "a")


class Inventory:
    """An HTTP server that answers with `devices` as http_sd, or with the status `broken`."""

    def __init__(self) -> None:
        self.devices = {"from-url": "127.0.2.1"}
        self.broken = 0
        self.asked = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                if outer.broken:
                    self.send_error(outer.broken)
                    return
                groups = [{"targets": [at], "labels": {"name": name}} for name, at in outer.devices.items()]
                body = json.dumps(groups).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing: a test's output is its own."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/sd"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def remote() -> Iterator[Inventory]:
    found = Inventory()
    yield found
    found.close()


def test_a_url_is_refreshed(tmp_path: Path, remote: Inventory) -> None:
    """What the URL says is taken over by itself; a failing one shows in its own metric, and keeps its devices."""
    source = "ward_inventory_source_up"
    with Serving(tmp_path) as serving:
        serving.devices({"a": "127.0.1.1"})
        serving.configure(inventory=f'inventory: [{{file: devices.yml}}, {{url: "{remote.url}", refresh: 1s}}]\n')
        serving.start_ready()
        assert serving.page().devices("ward_device_info").keys() == {"a", "from-url"}
        assert serving.page().samples(source) == [1, 1]

        remote.devices = {"another": "127.0.2.2"}
        page = serving.until_page(lambda page: "another" in page.devices("ward_device_up"))
        assert page.devices("ward_device_info").keys() == {"a", "another"}

        # Unchanged devices, and yet the source's state is told, either way.
        remote.broken = 500
        page = serving.until_page(lambda page: page.samples(source, source=remote.url) == [0])
        assert page.devices("ward_device_info").keys() == {"a", "another"}
        assert page.value(SUCCESSFUL) == 1
        asked = remote.asked
        until(lambda: remote.asked >= asked + 3)
        remote.broken = 0
        serving.until_page(lambda page: page.samples(source, source=remote.url) == [1])
        said = serving.log.read_text()
        assert said.count("its last good answer") <= 2
        assert serving.end() == 0


def test_a_reload_keeps_what_a_url_said_last(tmp_path: Path, remote: Inventory) -> None:
    """With the URL down and its answer not to be kept on disk, a reload goes on from the answer in memory."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/sources").write_text("in the way of the folder")
    with Serving(tmp_path) as serving:
        serving.devices({"a": "127.0.1.1"})
        serving.configure(inventory=f'inventory: [{{file: devices.yml}}, {{url: "{remote.url}", refresh: 1h}}]\n')
        serving.start_ready()
        remote.broken = 500
        serving.devices({"b": "127.0.1.2"})
        assert serving.reload().status == 200
        assert serving.page().devices("ward_device_info").keys() == {"b", "from-url"}
        assert serving.page().samples("ward_inventory_source_up", source=remote.url) == [0]
        assert serving.end() == 0


def test_a_refresh_does_not_mend_a_reload(tmp_path: Path, remote: Inventory) -> None:
    """While ward.yml is broken the metric stays 0, whatever a URL's refresh brings; a good reload ends that."""
    with Serving(tmp_path) as serving:
        serving.devices({"a": "127.0.1.1"})
        good = f'inventory: [{{file: devices.yml}}, {{url: "{remote.url}", refresh: 1s}}]\n'
        serving.configure(inventory=good)
        serving.start_ready()
        serving.configure(inventory="[")
        assert serving.reload().status == 500
        remote.devices = {"another": "127.0.2.2"}
        page = serving.until_page(lambda page: "another" in page.devices("ward_device_up"))
        assert page.value(SUCCESSFUL) == 0
        serving.configure(inventory=good)
        assert serving.reload().status == 200
        assert serving.page().value(SUCCESSFUL) == 1

        # A file that is spoilt between two refreshes is the refresh's own failure, and its mending ends it.
        (serving.folder / "devices.yml").write_text("devices: [{name: x}]\n")
        page = serving.until_page(lambda page: page.value(SUCCESSFUL) == 0)
        assert page.samples("ward_inventory_source_up", source="devices.yml") == [0]
        assert page.samples("ward_inventory_source_up", source=remote.url) == [1]
        assert page.devices("ward_device_info").keys() == {"a", "another"}
        serving.devices({"a": "127.0.1.1"})
        page = serving.until_page(lambda page: page.value(SUCCESSFUL) == 1)
        assert page.samples("ward_inventory_source_up") == [1, 1]
        assert serving.end() == 0
