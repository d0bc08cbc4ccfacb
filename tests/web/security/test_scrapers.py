"""Those that will ask: Prometheus and vmagent of both generations, by TLS, password and client certificate."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.servers import Generation, Prometheus, Vmagent, generations
from tests.serving import until
from tests.web.security.exporter import SecuredExporter
from tests.web.security.site import PASSWORDS

both = pytest.mark.parametrize("generation", generations(), ids=lambda generation: generation.name)


@pytest.fixture(scope="module")
def exporter(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredExporter]:
    with SecuredExporter(tmp_path_factory.mktemp("exporter"), folder / "every-key.good.yml") as found:
        yield found.start_listening()


def jobs(exporter: SecuredExporter, folder: Path) -> str:
    """One job that brings all that is asked for, and one each that lacks a part; none may wait for long."""
    certificate = {"cert_file": str(folder / "scraper.crt"), "key_file": str(folder / "scraper.key")}
    stranger = {"cert_file": str(folder / "stranger.crt"), "key_file": str(folder / "stranger.key")}
    ours = {"ca_file": str(folder / "ca.crt")}
    password = {"username": "alice", "password": PASSWORDS["alice"]}
    wanted = {
        "right": ({**ours, **certificate}, password),
        "wrong-password": ({**ours, **certificate}, {**password, "password": "wrong"}),
        "no-password": ({**ours, **certificate}, None),
        "no-certificate": (ours, password),
        "stranger": ({**ours, **stranger}, password),
    }
    config = [
        {
            "job_name": name,
            "scheme": "https",
            "tls_config": tls,
            **({"basic_auth": user} if user else {}),
            "static_configs": [{"targets": [f"localhost:{exporter.port}"]}],
        }
        for name, (tls, user) in wanted.items()
    ]
    return yaml.safe_dump({"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": config})


def ups(database: Prometheus) -> dict[str, float]:
    return {sample.labels["job"]: sample.value for sample in database.query("up")}


EXPECTED = {"right": 1, "wrong-password": 0, "no-password": 0, "no-certificate": 0, "stranger": 0}


@both
def test_prometheus(generation: Generation, exporter: SecuredExporter, folder: Path) -> None:
    """It scrapes with all that is asked for, and with no less."""
    with Prometheus(jobs(exporter, folder), generation=generation) as prometheus:
        until(lambda: ups(prometheus) == EXPECTED)
        until(lambda: [sample.value for sample in prometheus.query("ward_device_up")] == [1])


@both
def test_vmagent(generation: Generation, exporter: SecuredExporter, folder: Path) -> None:
    """The same, as it tells of its targets itself; where it would write to, nothing listens."""
    nowhere = "-remoteWrite.url=http://127.0.0.1:1/"
    with Vmagent(jobs(exporter, folder), generation=generation, arguments=[nowhere]) as vmagent:

        def targets() -> dict[str, str]:
            found = json.loads(vmagent.get("/api/v1/targets")[2])["data"]["activeTargets"]
            return {target["scrapePool"]: target["health"] for target in found}

        until(lambda: targets() == {name: "up" if up else "down" for name, up in EXPECTED.items()})


def test_the_exporter_as_a_whole(own: Path) -> None:
    """The flag works from the command line: users at once, a changed file, SIGHUP, the end in time."""
    (own / "site").mkdir()
    web = own / "web.yml"
    web.write_text((own / "users.good.yml").read_text())
    with SecuredExporter(own / "site", web) as serving:
        serving.start_listening()
        assert serving.request("/-/healthy").status == 401
        web.write_text("basic_auth_users: {}\n")
        until(lambda: serving.request("/-/healthy").status == 200)
        web.write_text("basic_auth_user: {}\n")
        until(lambda: "the former one stays" in serving.log.read_text())
        answer = serving.reload()
        assert answer.status == 500
        assert "unknown key 'basic_auth_user'; did you mean 'basic_auth_users'?" in answer.text
        assert serving.page().value("ward_config_last_reload_successful") == 0
        web.write_text("")
        serving.send(signal.SIGHUP)
        serving.until_page(lambda page: page.value("ward_config_last_reload_successful") == 1)
        assert serving.end() == 0


def test_a_start_that_is_refused(own: Path) -> None:
    """A wrong file ends the start with every problem, and status 1; no moment is the port open."""
    (own / "site").mkdir()
    with SecuredExporter(own / "site", own / "web.yml") as serving:
        said = serving.failed_start(f"--web.config.file={own / 'users.bad.yml'}")
    assert f"{own / 'users.bad.yml'}:2: basic_auth_users.alice: " in said
    assert "listening" not in said
