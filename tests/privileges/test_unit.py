"""The unit file, as systemd itself judges and runs it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.privileges.booting import ETC, NAME, Systemd, unit_here
from tests.privileges.users import open_folder
from tests.serving import FAST, Page, until
from tests.simnet import Simnet
from tests.tools.discovering import InsideSnmpd

#: "Safe", in the words of systemd-analyze, is below 2.
EXPOSURE = 1.6


@pytest.fixture
def here(tmp_path: Path) -> Path:
    path = tmp_path / f"{NAME}.service"
    path.write_text(unit_here())
    return path


def analyze(*words: str | Path) -> tuple[int, str]:
    done = subprocess.run(["systemd-analyze", *words], check=False, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def test_systemd_finds_nothing_wrong(here: Path) -> None:
    """Every key is known to systemd, and every value is one that it takes: it says not a word."""
    assert analyze("verify", "--man=no", here) == (0, "")


def test_how_exposed_the_service_is(here: Path) -> None:
    """systemd's own measure of what a service could do to its machine stays as low as it is."""
    status, text = analyze("security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE * 10:.0f}", here)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", text)
    assert found is not None
    assert (status, float(found[1]) <= EXPOSURE) == (0, True), text


@pytest.fixture
def net(shared_simnet: Simnet) -> Simnet:
    shared_simnet.set("10.1.0.0/16", latency=0.002)
    shared_simnet.set("fd00::1", latency=0.002)
    return shared_simnet


def page(net: Simnet, path: str = "/metrics") -> Page:
    return Page(net.get(9841, path).text)


def test_it_runs_as_shipped(net: Simnet) -> None:
    """Under systemd, with all of the unit's restrictions, it does all it can: probe, poll, resolve, save, reload.

    A secret that only root may read comes to it as a credential. One that hangs is ended by the watchdog; the
    next knows what it knew.
    """
    with open_folder(0) as folder, InsideSnmpd(net, [], "rocommunity s3cret"):
        etc = folder / "etc"
        (etc / "secrets").mkdir(parents=True, mode=0o700)
        (etc / "secrets" / "branch").write_text("s3cret\n")
        (etc / "ward.yml").write_text(
            f"{FAST}inventory: [{{file: devices.yml}}]\n"
            "snmp: {interval: 1s, timeout: 300ms, auths: {a: {version: 2, community_file: "
            f"/run/credentials/{NAME}.service/branch}}}}}}\n"
        )
        devices = [
            "devices:",
            "  - {name: a, address: 10.1.1.1, site: s}",
            "  - {name: sw, address: 127.0.0.1, site: s, snmp: {auth: a, modules: [system]}}",
            "  - {name: here, address: localhost, site: s}",
        ]
        (etc / "devices.yml").write_text("\n".join(devices))
        more = f"LoadCredential=branch:{ETC}/secrets/branch\nWatchdogSec=5s\nRestartSec=100ms\n"
        with Systemd(folder, net, etc, more) as systemd:
            systemd.until_active()
            assert systemd.show("StatusText") == "probing 3 devices each 0.2 s"
            up = {"a": 1.0, "sw": 1.0, "here": 1.0}
            until(lambda: page(net).devices("ward_device_up") == up)
            assert page(net).samples("ward_probe_socket_info", kind="raw") == [1, 1]
            assert page(net).value("process_start_time_seconds") > 0
            until(lambda: page(net, "/metrics/snmp").devices("ward_snmp_up") == {"sw": 1})

            (etc / "devices.yml").write_text("\n".join([*devices, '  - {name: six, address: "fd00::1"}']))
            assert systemd.control("reload", NAME) == ""
            until(lambda: page(net).devices("ward_device_up") == up | {"six": 1})
            assert systemd.show("StatusText") == "probing 4 devices each 0.2 s"

            saved = "ward_snapshot_last_success_timestamp_seconds"
            sent = "ward_device_probes_sent_total"
            before = page(net)
            until(lambda: page(net).value(saved) > before.value(saved) + 1.1)
            assert before.value("ward_snapshot_failures_total") == 0
            systemd.control("kill", "--kill-whom=main", "--signal=STOP", NAME)
            until(lambda: systemd.show("NRestarts") == "1", 30)
            until(lambda: systemd.show("ActiveState") == "active", 30)
            assert page(net).value(sent, "a") >= before.value(sent, "a")
            log = systemd.log.read_text()
            assert "restored the state of 4 devices" in log
            assert "level=warning" not in log

            assert systemd.control("stop", NAME) == ""
            assert systemd.show("Result") == "success"
