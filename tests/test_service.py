"""The running exporter: how it starts and ends, what survives, and what it says when it cannot."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.state import snapshot
from tests.serving import FAST, INTERVAL, Serving, until
from tests.simnet import Simnet

LOOPBACK = {"a": "127.0.1.1", "b": "127.0.1.2"}
#: root, but without the right to raw sockets.
WITHOUT_RAW = ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"]


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    """Two loopback devices, not started yet."""
    with Serving(tmp_path) as found:
        found.devices(LOOPBACK)
        yield found


@pytest.fixture
def inside(tmp_path: Path, shared_simnet: Simnet) -> Iterator[Serving]:
    """In the simulated network, in which 10.1.0.0/16 answers."""
    shared_simnet.set("10.1.0.0/16", latency=0.002)
    with Serving(tmp_path, shared_simnet) as found:
        yield found


def test_start_and_end(serving: Serving) -> None:
    """It is ready after the first sweep, says what it probes, and ends with status 0 and its state saved."""
    serving.start_ready()
    page = serving.page()
    assert page.devices("ward_device_up") == {"a": 1, "b": 1}
    assert page.value("ward_inventory_devices") == 2
    assert serving.ask("/-/healthy").text == "healthy\n"
    last = page.value("ward_device_replies_total", "a")
    assert serving.end() == 0
    state = snapshot.load(serving.storage)
    assert state is not None
    assert state.columns["replies"][0] >= last
    assert time.time() - state.saved < 3
    assert f"probing 2 devices each 0.2 s, listening on port {serving.port}" in serving.log.read_text()


def test_ctrl_c(serving: Serving) -> None:
    """SIGINT ends it as SIGTERM does: without a traceback, with its state saved."""
    serving.start_ready()
    before = time.time()
    assert serving.end(signal.SIGINT) == 0
    state = snapshot.load(serving.storage)
    assert state is not None
    assert state.saved >= before
    assert "Traceback" not in serving.log.read_text()


def test_not_ready_before_the_first_sweep(serving: Serving) -> None:
    """Until every device has been probed once it is healthy, not ready, and shows no state."""
    serving.configure("probe: {interval: 20s}\n")
    serving.start()
    until(lambda: serving.log.exists() and "listening" in serving.log.read_text())
    assert serving.ask("/-/healthy").status == 200
    answer = serving.ask("/-/ready")
    assert (answer.status, answer.text) == (503, "the first sweep is under way\n")
    assert serving.end() == 0


def test_a_stalled_reader_does_not_hold_up_the_end(serving: Serving) -> None:
    """A client that asks for a page of megabytes and never reads it costs a second, not the state."""
    serving.devices({f"device-{number:04}": f"127.0.{number // 200}.{number % 200 + 1}" for number in range(2500)})
    serving.configure("probe: {interval: 1s}\n")
    serving.start_ready()
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", serving.port))
        reader.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert reader.recv(100).startswith(b"HTTP/1.1 200")
        before = time.time()
        assert serving.end() == 0
    state = snapshot.load(serving.storage)
    assert state is not None
    assert state.saved >= before


def test_a_reload_under_way_does_not_hold_up_the_end(serving: Serving) -> None:
    """A reload that waits for a URL which never answers is given up when the process is told to end."""
    serving.start_ready()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/sd"
        serving.configure(inventory=f'inventory: [{{file: devices.yml}}, {{url: "{url}"}}]\n')
        serving.send(signal.SIGHUP)
        asked, _ = silent.accept()
        with asked:
            assert serving.end() == 0


def test_a_port_that_is_taken(serving: Serving) -> None:
    """It says which address, and ends with status 1, before it sends anything."""
    with socket.create_server(("127.0.0.1", serving.port)):
        said = serving.failed_start()
    assert said == f"cannot listen on 127.0.0.1:{serving.port}: Address already in use\n"


def test_a_configuration_that_is_wrong(serving: Serving) -> None:
    """Every problem is printed with its place, line by line, and the status is 1."""
    serving.configure("probe: {interval: 1}\n")
    (serving.folder / "devices.yml").write_text("devices:\n  - {name: a}\n")
    assert "ward.yml:1: probe.interval: " in serving.failed_start()
    serving.configure()
    serving.log.unlink()
    assert "devices.yml:2: devices[0]: " in serving.failed_start()


def test_an_empty_inventory_does_not_start(serving: Serving) -> None:
    """An exporter that probes nothing would look healthy: it does not start."""
    (serving.folder / "devices.yml").write_text("devices: []\n")
    assert "the sources hold no devices; expected at least one" in serving.failed_start()


def test_a_storage_path_that_is_no_folder(serving: Serving) -> None:
    """A file where the folder should be is said so at once, with status 1."""
    serving.storage.write_text("")
    assert f"--storage.path: cannot make {serving.storage}: File exists" in serving.failed_start()


def test_a_storage_path_that_cannot_be_written(serving: Serving) -> None:
    """On a read-only disk probing goes on; one warning tells, and a counter of failed saves."""
    serving.storage.mkdir()
    mount = f'mount -t tmpfs -o ro none {serving.storage} && exec "$@"'
    serving.start_ready(prefix=["unshare", "--mount", "--propagation=private", "sh", "-c", mount, "sh"])
    page = serving.until_page(lambda page: page.value("ward_snapshot_failures_total") >= 2)
    assert page.value("ward_device_up", "a") == 1
    assert page.value("ward_snapshot_last_success_timestamp_seconds") == 0
    assert serving.end() == 0
    warning = f"cannot save the state to {serving.storage}: Read-only file system"
    assert serving.log.read_text().count(warning) == 1


def test_a_damaged_snapshot(serving: Serving) -> None:
    """It is kept beside, the log says so, and the start goes on as if there were none."""
    serving.storage.mkdir()
    (serving.storage / snapshot.NAME).write_bytes(b"ward-exporter state 1 crc32 00000000\n{}\n")
    serving.start_ready()
    assert serving.page().value("ward_device_up", "a") == 1
    assert (serving.storage / "state.bad").read_bytes().endswith(b"{}\n")
    assert "its checksum does not fit; starting without it" in serving.log.read_text()
    assert serving.end() == 0
    assert snapshot.load(serving.storage) is not None


def test_half_a_save_of_a_killed_process(serving: Serving) -> None:
    """What a process killed in the middle of a save leaves behind disturbs neither start nor next save."""
    serving.start_ready()
    until((serving.storage / snapshot.NAME).exists)
    serving.end(signal.SIGKILL)
    half = serving.storage / f"{snapshot.NAME}.new"
    half.write_bytes((serving.storage / snapshot.NAME).read_bytes()[:100])
    serving.start_ready()
    assert "restored the state of 2 devices" in serving.log.read_text()
    assert serving.end() == 0
    assert not half.exists()


def test_kill_9_and_restart(inside: Serving) -> None:
    """Verdicts, down since, flapping and counters are those of at most one save before, from the first page on."""
    net = inside.net
    assert net is not None
    inside.devices({"up": "10.1.1.1", "down": "10.1.1.2", "flaps": "10.1.1.5"})
    net.set("10.1.1.2", outage=True)
    inside.start_ready()
    inside.until_page(lambda page: page.devices("ward_device_up") == {"up": 1, "down": 0, "flaps": 1})
    net.cut("10.1.1.5")
    inside.until_page(lambda page: page.value("ward_device_up", "flaps") == 0)
    net.restore("10.1.1.5")
    seen = inside.until_page(lambda page: page.value("ward_device_flapping", "flaps") == 1)
    saved = "ward_snapshot_last_success_timestamp_seconds"
    before = inside.until_page(lambda page: page.value(saved) > seen.value(saved) + 0.5)
    age = time.time() - before.value(saved)
    inside.end(signal.SIGKILL)

    inside.start()
    until(lambda: inside.log.read_text().count("listening on port") == 2)
    after = inside.page()
    assert after.devices("ward_device_up") == {"up": 1, "down": 0, "flaps": 1}
    assert after.value("ward_device_flapping", "flaps") == 1
    assert after.value("ward_device_status_changes_total", "flaps") == 2
    since = "ward_device_last_change_timestamp_seconds"
    assert after.devices(since) == before.devices(since)
    assert after.samples("ward_device_down_reason", device="down", reason="timeout") == [1]
    lost = age / INTERVAL + 2
    for name in ("ward_device_probes_sent_total", "ward_device_replies_total"):
        for device, value in before.devices(name).items():
            assert after.devices(name)[device] >= value - lost
    assert inside.end() == 0


def test_without_the_right_to_send(tmp_path: Path) -> None:
    """Neither raw nor datagram sockets: it ends with status 1 and says what to grant."""
    with Simnet() as net, Serving(tmp_path, net) as serving:
        net.set("10.1.0.0/16", latency=0.002)
        serving.devices({"a": "10.1.1.1", "six": "fd00::1"})
        net.set("fd00::1", latency=0.002)
        _ping_group_range(net, "1 0")
        said = serving.failed_start(prefix=WITHOUT_RAW)
        assert "CAP_NET_RAW" in said
        assert "net.ipv4.ping_group_range" in said
        assert "Traceback" not in said

        _ping_group_range(net, "0 65535")
        serving.start_ready(prefix=WITHOUT_RAW)
        page = serving.until_page(lambda page: page.devices("ward_device_up") == {"a": 1, "six": 1})
        assert page.samples("ward_probe_socket_info", kind="dgram") == [1, 1]
        assert page.value("ward_device_packet_loss_ratio", "a") == 0
        assert serving.end() == 0


def _ping_group_range(net: Simnet, value: str) -> None:
    net.run(["sh", "-c", f'echo "{value}" > /proc/sys/net/ipv4/ping_group_range'], check=True)


def test_a_name_that_does_not_resolve(serving: Serving) -> None:
    """The start does not fail, and the device is down for the reason dns; the others are probed."""
    serving.devices({"a": "127.0.1.1", "nobody": "nobody.invalid", "here": "localhost"})
    serving.start_ready(environment={"RES_OPTIONS": "timeout:1 attempts:1"})
    page = serving.until_page(
        lambda page: page.devices("ward_device_up") == {"a": 1, "nobody": 0, "here": 1}, seconds=30
    )
    assert page.samples("ward_device_down_reason", device="nobody", reason="dns") == [1]
    assert page.value("ward_probe_unresolved_names") == 1
    assert page.value("ward_device_packet_loss_ratio", "nobody") == 1
    assert "nobody.invalid does not resolve" in serving.log.read_text()
    assert serving.end() == 0


def test_json_log(serving: Serving) -> None:
    """With --log.format=json every line is an object with time, level, logger and message."""
    serving.start_ready("--log.format=json", "--log.level=debug")
    (serving.folder / "devices.yml").write_text("devices: [{name: ს}, {name: x}]\n")
    assert serving.reload().status == 500
    serving.send(signal.SIGHUP)
    until(lambda: "reload failed" in serving.log.read_text())
    assert serving.end() == 0
    lines = [json.loads(line) for line in serving.log.read_text().splitlines()]
    assert all(line.keys() == {"ts", "level", "logger", "msg"} for line in lines)
    assert any("devices.yml:" in line["msg"] and "\n" in line["msg"] for line in lines)


def test_log_level(serving: Serving) -> None:
    """--log.level=warning leaves out what is merely told."""
    serving.start_ready("--log.level=warning")
    assert serving.end() == 0
    assert serving.log.read_text() == ""


def test_the_shipped_demonstration(tmp_path: Path) -> None:
    """Without a configuration it probes loopback devices, all of which are up, with shipped settings."""
    with Serving(tmp_path) as serving:
        (tmp_path / "ward.yml").write_bytes((Path(__file__).parents[1] / "exporter/default/ward.yml").read_bytes())
        (tmp_path / "demo.yml").write_bytes((Path(__file__).parents[1] / "exporter/default/demo.yml").read_bytes())
        serving.start_ready()
        page = serving.until_page(lambda page: len(page.devices("ward_device_up")) == 12)
        assert set(page.devices("ward_device_up").values()) == {1}
        assert page.value("ward_device_rtt_threshold_seconds", "batumi-01-isp-a") == 0.1
        assert serving.end() == 0


def test_fast_is_what_the_tests_think() -> None:
    """The settings of these tests and the interval that they count with are the same."""
    assert f"interval: {INTERVAL * 1000:.0f}ms" in FAST
