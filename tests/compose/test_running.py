"""Every service of both profiles runs: its own command line, mounts, user, capabilities and health check."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.compose.container import ROOT, Container, network
from tests.compose.dockerfile import health_check
from tests.compose.resolved import PROFILES, services
from tests.stack.inside import until

#: There is no Grafana to be had here.
NOT_RUN = "grafana"
NET_RAW = 1 << 13
DATABASE = {
    "victoriametrics": "http://victoriametrics:8428",
    "prometheus": "http://prometheus:9090",
}
every_profile = pytest.mark.parametrize("profile", PROFILES)


class Stack:
    """The containers of a profile, in the order in which Compose would start them."""

    def __init__(self, profile: str, folder: Path, cleanup: ExitStack) -> None:
        self.profile = profile
        self.services = {name: one for name, one in services(profile).items() if name != NOT_RUN}
        sysctls = {name: value for one in self.services.values() for name, value in one.get("sysctls", {}).items()}
        self._network = cleanup.enter_context(network(sysctls))
        self._hosts = f"127.0.0.1 localhost {NOT_RUN} {' '.join(self.services)}\n::1 localhost\n"
        self._folder = folder
        # The times alone are others, so that nobody waits.
        quick = folder / "prometheus.yml"
        lines = (ROOT / "prometheus.yml").read_text().splitlines()
        for at, line in enumerate(lines):
            if "scrape_interval: " in line or "scrape_timeout: " in line:
                lines[at] = f"{line.partition(':')[0]}: 1s"
        quick.write_text("\n".join(lines))
        self._files = {str(ROOT / "prometheus.yml"): quick}
        self.containers: dict[str, Container] = {}
        self._cleanup = cleanup

    def start(self, name: str) -> Container:
        folder = self._folder / name
        started = Container(self.services[name], folder, self._network, self._hosts, self._files)
        self._cleanup.callback(started.stop)
        self.containers[name] = started
        return started

    def healthy(self, name: str) -> bool:
        return self.containers[name].healthy(self.health_check(name))

    def health_check(self, name: str) -> list[str]:
        service = self.services[name]
        if "healthcheck" in service:
            found: list[str] = service["healthcheck"]["test"]
            return found
        assert "build" in service, name
        return health_check()

    def page(self, url: str) -> str:
        """What a service answers to another one."""
        return self.containers["exporter"].run("wget", "-q", "-O", "-", url).stdout

    def query(self, expression: str) -> list[dict[str, Any]]:
        answer = self.page(f"{DATABASE[self.profile]}/api/v1/query?query={urllib.parse.quote(expression)}")
        found: list[dict[str, Any]] = json.loads(answer)["data"]["result"]
        return found

    def values(self, expression: str, label: str) -> dict[str, float]:
        return {one["metric"][label]: float(one["value"][1]) for one in self.query(expression)}


def in_order(stack: Stack) -> Sequence[str]:
    """The services, each after what it depends on, and the exporter first."""
    ordered: list[str] = ["exporter"]
    while waiting := [name for name in stack.services if name not in ordered]:
        ordered += [name for name in waiting if set(stack.services[name].get("depends_on", {})) <= set(ordered)]
    return ordered


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Stack]]:
    """Both profiles, each in a network of its own; every service that has a health check passes it."""
    with ExitStack() as cleanup:
        running = {one: Stack(one, tmp_path_factory.mktemp(one), cleanup) for one in PROFILES}
        for stack in running.values():
            for name in in_order(stack):
                for needed, how in stack.services[name].get("depends_on", {}).items():
                    if how["condition"] == "service_completed_successfully":
                        assert stack.containers[needed].process.wait(10) == 0, stack.containers[needed].log_text()
                    else:
                        assert how["condition"] == "service_healthy"
                        until(lambda: stack.healthy(needed), f"{needed} is healthy")  # noqa: B023 - asked at once
                stack.start(name)
                if name == "exporter":
                    # Elsewhere the databases look for devices again after a minute.
                    until(lambda: stack.healthy("exporter"), "exporter is healthy")  # noqa: B023 - asked at once
        yield running


def lasting(stack: Stack) -> list[str]:
    return [name for name, one in stack.services.items() if one["restart"] != "no"]


@every_profile
def test_every_service_is_healthy(stacks: dict[str, Stack], profile: str) -> None:
    """Each service starts with the flags and files that the compose file gives it, and passes its health check."""
    stack = stacks[profile]
    for name in lasting(stack):
        container = stack.containers[name]
        until(lambda: stack.healthy(name) or container.process.poll() is not None, f"{name} is healthy")  # noqa: B023 - asked at once
        assert container.process.poll() is None, container.log_text()


@every_profile
def test_a_health_check_can_fail(stacks: dict[str, Stack], profile: str) -> None:
    """Asked in a network where nothing listens, each health check says so."""
    stack = stacks[profile]
    for name in lasting(stack):
        done = subprocess.run(["unshare", "--net", *stack.health_check(name)[1:]], check=False, capture_output=True)
        assert done.returncode != 0, name


@every_profile
def test_no_service_has_more_rights_than_the_file_says(stacks: dict[str, Stack], profile: str) -> None:
    """As the file's user, without any capability in force or a way to one, and with a root to read only."""
    stack = stacks[profile]
    for name in lasting(stack):
        container = stack.containers[name]
        status = container.status()
        user, group = stack.services[name]["user"].split(":")
        assert status["Uid"].split() == [user] * 4
        assert status["Gid"].split() == [group] * 4
        assert status["Groups"] == ""
        assert user != "0"
        assert status["NoNewPrivs"] == "1"
        assert [int(status[f"Cap{kind}"], 16) for kind in ("Inh", "Prm", "Eff", "Amb")] == [0, 0, 0, 0]
        assert int(status["CapBnd"], 16) == (NET_RAW if name == "exporter" else 0)
        assert "Read-only file system" in container.run("touch", "/made").stderr


@every_profile
def test_probes_go_out(stacks: dict[str, Stack], profile: str) -> None:
    """Without a capability the exporter probes by unprivileged sockets, IPv6 too, and keeps its state."""
    stack = stacks[profile]
    until(lambda: len(stack.values("ward_device_up", "device")) == 7, "each device has its verdict")
    assert set(stack.values("ward_device_up", "device").values()) == {1}
    kinds = {one["metric"]["family"]: one["metric"]["kind"] for one in stack.query("ward_probe_socket_info")}
    assert kinds == {"ipv4": "dgram", "ipv6": "dgram"}
    kept = stack.containers["exporter"]
    # While a save is under way there is a second file.
    until(lambda: kept.run("ls", "/var/lib/ward").stdout.split() == ["state.ward"], "the state alone is kept")


@every_profile
def test_every_part_is_scraped(stacks: dict[str, Stack], profile: str) -> None:
    """prometheus.yml finds each service of the profile by name and port; the other profile's are not there."""
    stack = stacks[profile]
    absent = {"victoriametrics", "vmalert"} if profile == "prometheus" else {"prometheus"}
    expected = {
        "ward-exporter": 1,
        "ward-exporter-snmp": 1,
        "alertmanager": 1,
        "blackbox_exporter": 1,
        "node_exporter": 1,
        "victoriametrics": 1,
        "vmalert": 1,
        "prometheus": 1,
    } | dict.fromkeys(absent, 0)
    until(
        lambda: stack.values('up{job!~"blackbox-.*"}', "job") == expected,
        f"each part is scraped, but {sorted(absent)}",
    )


@every_profile
def test_the_demonstration_is_checked(stacks: dict[str, Stack], profile: str) -> None:
    """The shipped inventory's HTTP and TCP checks succeed, but for that of Grafana, which does not run here."""
    stack = stacks[profile]
    until(lambda: len(stack.query("probe_success")) == 6, "each check has been made")
    assert stack.values('probe_success{job="blackbox-http"}', "device") == {"alertmanager": 1, "grafana": 0}
    assert stack.values('probe_success{job="blackbox-tcp"}', "device") == {
        "alertmanager": 1,
        "alert-log": 1,
        "blackbox-exporter": 1,
        "node-exporter": 1,
    }


def test_an_alert_arrives(stacks: dict[str, Stack]) -> None:
    """From the rules through Alertmanager to the alert log: the alert that always fires is printed."""
    log = stacks["victoriametrics"].containers["alert-log"]
    until(lambda: "FIRING none Watchdog" in log.log_text(), "Watchdog is printed")


def test_prometheus_knows_whom_to_tell(stacks: dict[str, Stack]) -> None:
    """Prometheus evaluates the mounted rules, and has found the Alertmanager.

    What fires before it has, as Watchdog does, is told a minute later: that is not waited for.
    """
    stack = stacks["prometheus"]
    until(lambda: stack.query('ALERTS{alertname="Watchdog",alertstate="firing"}'), "Watchdog fires")
    url = f"{DATABASE['prometheus']}/api/v1/alertmanagers"
    until(lambda: "http://alertmanager:9093/api/v2/alerts" in stack.page(url), "Alertmanager is found")


@every_profile
def test_the_machine_is_seen(stacks: dict[str, Stack], profile: str) -> None:
    """node_exporter reports the machine's own file systems, and not those of its container."""
    stack = stacks[profile]
    until(lambda: stack.query("node_filesystem_avail_bytes"), "file systems are there")
    mounts = stack.values("node_filesystem_avail_bytes", "mountpoint")
    assert mounts["/"] > 0
    assert not [mount for mount in mounts if mount.startswith("/host")]


def test_a_backup_is_good(stacks: dict[str, Stack], tmp_path: Path) -> None:
    """What docs/compose.md takes off a running VictoriaMetrics, another one starts on, with the same samples."""
    stack = stacks["victoriametrics"]
    until(lambda: stack.query("ward_inventory_devices"), "there are samples")
    # Samples are on disk, and so in a snapshot, a few seconds after they came; this says so at once.
    stack.page(f"{DATABASE['victoriametrics']}/internal/force_flush")
    before = stack.values("ward_inventory_devices", "job")
    name = json.loads(stack.page(f"{DATABASE['victoriametrics']}/snapshot/create"))["snapshot"]
    volume = stack.containers["victoriametrics"].volume("victoriametrics")
    archive, restored = tmp_path / "victoriametrics.tar.gz", tmp_path / "volume-victoriametrics"
    restored.mkdir()
    subprocess.run(["tar", "-C", volume / "snapshots" / name, "-chzf", archive, "."], check=True)
    subprocess.run(["tar", "-C", restored, "-xzpf", archive], check=True)
    with ExitStack() as cleanup:
        other = Container(stack.services["victoriametrics"], tmp_path / "other", cleanup.enter_context(network({})))
        cleanup.callback(other.stop)
        url = "http://127.0.0.1:8428/api/v1/query?query=last_over_time(ward_inventory_devices[1h])"
        until(lambda: other.run("wget", "-q", "-O", "-", url).returncode == 0, "the other one has started")
        result = json.loads(other.run("wget", "-q", "-O", "-", url).stdout)["data"]["result"]
        assert {one["metric"]["job"]: float(one["value"][1]) for one in result} == before


def exporter_alone(folder: Path, sysctls: Mapping[str, str], cleanup: ExitStack) -> Container:
    holder = cleanup.enter_context(network(sysctls))
    started = Container(services("prometheus")["exporter"], folder / "exporter", holder)
    cleanup.callback(started.stop)
    return started


def test_net_raw_alone_lets_nobody_probe_who_is_not_root(tmp_path: Path) -> None:
    """Without the sysctl the exporter refuses to start and says why: NET_RAW in the bounding set is no right."""
    with ExitStack() as cleanup:
        exporter = exporter_alone(tmp_path, {}, cleanup)
        assert exporter.process.wait(20) == 1
        assert "net.ipv4.ping_group_range" in exporter.log_text()
