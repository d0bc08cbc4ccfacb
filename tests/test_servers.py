"""The real servers that other tests stand on: they are there, are the versions they claim, start and stop."""

from __future__ import annotations

import gzip
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers import (
    FLOOR,
    TRIXIE,
    Alertmanager,
    BlackboxExporter,
    Generation,
    Prometheus,
    Server,
    ServersError,
    SmokepingProber,
    SnmpExporter,
    VictoriaMetrics,
    Vmagent,
    Vmalert,
    free_port,
    generations,
    install,
    program,
)

# The oldest versions that the project supports, and those of Debian trixie.
VERSIONS = {
    "prometheus": ((2, 42), (2, 53)),
    "promtool": ((2, 42), (2, 53)),
    "prometheus-alertmanager": ((0, 25), (0, 28)),
    "amtool": ((0, 25), (0, 28)),
    "prometheus-blackbox-exporter": ((0, 23), (0, 26)),
    "prometheus-smokeping-prober": ((0, 6), (0, 9)),
    "prometheus-snmp-exporter": ((0, 21), (0, 28)),
}
SELF_SCRAPE = """
scrape_configs:
  - job_name: itself
    scrape_interval: 200ms
    scrape_timeout: 200ms
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
RULES = "groups: [{name: any, rules: [{alert: Never, expr: 'vector(0) > 1'}]}]"
ROUTES = "{route: {receiver: nobody}, receivers: [{name: nobody}]}"
BLACKBOX = "modules: {icmp: {prober: icmp}}"
# Empty, this is right in both generations' formats.
MODULES = "{}"
SMOKEPING = "targets: [{hosts: [127.0.0.1], interval: 1s, network: ip4, protocol: icmp}]"

SERVERS: dict[str, Callable[[Generation], Server]] = {
    "prometheus": lambda generation: Prometheus("", generation=generation),
    "victoria-metrics": lambda generation: VictoriaMetrics(generation=generation),
    "vmagent": lambda generation: Vmagent(
        "scrape_configs: []", generation=generation, arguments=["-remoteWrite.url=http://127.0.0.1:9/"]
    ),
    "vmalert": lambda generation: Vmalert(
        RULES,
        generation=generation,
        arguments=["-datasource.url=http://127.0.0.1:9/", "-notifier.url=http://127.0.0.1:9/"],
    ),
    "alertmanager": lambda generation: Alertmanager(ROUTES, generation=generation),
    "blackbox_exporter": lambda generation: BlackboxExporter(BLACKBOX, generation=generation),
    "smokeping_prober": lambda generation: SmokepingProber(SMOKEPING, generation=generation),
    "snmp_exporter": lambda generation: SnmpExporter(MODULES, generation=generation),
}
every_generation = pytest.mark.parametrize("generation", generations(), ids=lambda one: one.name)


def first_version(text: str) -> tuple[int, int]:
    found = re.search(r"(\d+)\.(\d+)\.\d+", text)
    assert found, f"no version in {text!r}"
    return int(found[1]), int(found[2])


def version_of(path: Path) -> tuple[int, int]:
    done = subprocess.run([path, "--version"], check=True, capture_output=True, text=True)
    return first_version(done.stdout + done.stderr)


@every_generation
@pytest.mark.parametrize("name", SERVERS)
def test_a_server_starts_gets_ready_and_stops(generation: Generation, name: str) -> None:
    """Each server of each generation answers inside its `with` block, and is gone with its port after it."""
    with SERVERS[name](generation) as server:
        assert server.get(server.READY)[0] == 200
        assert server.process.poll() is None
    assert server.process.poll() is not None
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", server.port)) != 0


@pytest.mark.parametrize("name", VERSIONS)
def test_versions_match_the_generation(name: str) -> None:
    """The machine's own programs are at least the floor that the project supports; trixie's are trixie's."""
    floor, trixie = VERSIONS[name]
    assert version_of(program(name, FLOOR)) >= floor
    if TRIXIE in generations():
        assert version_of(program(name, TRIXIE)) == trixie


def test_victoria_metrics_matches_the_generation() -> None:
    """VictoriaMetrics, which Debian builds without a version inside, is what its package says it is."""
    command = ["dpkg-query", "-W", "-f", "${Version}", "victoria-metrics"]
    installed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert first_version(installed) >= (1, 79)
    if TRIXIE in generations():
        (changes, *_) = (TRIXIE.root / "usr/share/doc/victoria-metrics").glob("changelog.Debian*")
        assert first_version(gzip.decompress(changes.read_bytes()).decode()) == (1, 112)


@every_generation
@pytest.mark.parametrize("database", [Prometheus, VictoriaMetrics])
def test_queries_read_what_was_scraped(
    generation: Generation, database: type[Prometheus] | type[VictoriaMetrics]
) -> None:
    """`query`, `query_range` and `series` give labels, times and values of what the server scraped."""
    port = free_port()
    with database(SELF_SCRAPE.format(port=port), generation=generation, port=port) as server:
        deadline = time.monotonic() + 60
        while not (found := server.query('up{job="itself"}')):
            assert time.monotonic() < deadline, server.log_text()
            time.sleep(0.1)
        assert [sample.value for sample in found] == [1]
        assert found[0].labels["instance"] == f"127.0.0.1:{port}"
        now = time.time()
        over_time = server.query_range('up{job="itself"}', now - 10, now + 10, step=1)
        assert {value for _, value in over_time[0].points} == {1}
        assert server.series('up{job="itself"}')[0]["__name__"] == "up"
        assert [sample.value for sample in server.query("scalar(vector(2))", at=now)] == [2]
        with pytest.raises(ServersError, match="answered 4"):
            server.query("sum(")


def test_a_server_that_cannot_start_says_why() -> None:
    """A refused configuration is reported at once, with the program's own words."""
    with pytest.raises(ServersError, match="no_such_key"), Prometheus("no_such_key: 1"):
        pass


def test_a_missing_generation_fails_under_ci(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without trixie a workstation runs the floor and says so; CI refuses."""
    absent = Generation("trixie", tmp_path, TRIXIE.packages)
    monkeypatch.setattr(install, "TRIXIE", absent)
    monkeypatch.delenv("CI", raising=False)
    assert generations() == [FLOOR]
    assert "LEFT OUT" in install.summary()
    monkeypatch.setenv("CI", "1")
    with pytest.raises(ServersError, match="both generations"):
        generations()


def test_a_machine_that_cannot_get_trixie_goes_on_without(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a Debian archive a workstation is told so and tests with what it has; CI ends there."""
    monkeypatch.setattr(install, "CACHE", tmp_path)
    monkeypatch.setattr(install, "TRIXIE", Generation("trixie", tmp_path / "trixie", TRIXIE.packages))
    monkeypatch.setattr(install, "KEYRING", tmp_path / "absent.gpg")
    monkeypatch.delenv("CI", raising=False)
    install.ensure()
    assert "without the servers of Debian trixie" in capsys.readouterr().err
    with pytest.raises(ServersError, match="promtool is missing: run"):
        program("promtool", install.TRIXIE)
    monkeypatch.setenv("CI", "1")
    with pytest.raises(ServersError, match="no Debian archive"):
        install.ensure()


def test_ensure_changes_nothing_when_all_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that has everything, `ensure` runs no command and leaves policy-rc.d alone."""
    monkeypatch.setattr(install, "TRIXIE", FLOOR)
    monkeypatch.setenv("PATH", os.devnull)
    before = install.POLICY.stat() if install.POLICY.exists() else None
    install.ensure()
    assert before == (install.POLICY.stat() if install.POLICY.exists() else None)


def test_services_may_not_start_while_packages_are_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """policy-rc.d forbids during an installation, and is what it was afterwards, even after a failure."""
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(install, "POLICY", policy)

    def fail_to_install() -> None:
        with install._no_service_starts():
            assert subprocess.run([policy, "prometheus", "start"], check=False).returncode == 101
            raise ServersError("apt failed")

    with pytest.raises(ServersError, match="apt failed"):
        fail_to_install()
    assert not policy.exists()
    policy.write_text("what the owner wrote")
    with pytest.raises(ServersError, match="apt failed"):
        fail_to_install()
    assert policy.read_text() == "what the owner wrote"
