"""docker-compose.yml as Compose reads it, held against the files around it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter import __version__
from tests.compose.container import IMAGES, executable, image_of
from tests.compose.dockerfile import health_check
from tests.compose.resolved import PASSWORD, PROFILES, ROOT, compose, resolved, services
from tests.servers import TRIXIE
from tests.servers.shipped import RULES, vmalert_arguments

ALWAYS = {"exporter", "alert-log", "alertmanager", "blackbox-exporter", "node-exporter", "grafana"}
OF_PROFILE = {
    "victoriametrics": {"victoriametrics", "victoriametrics-volume", "vmalert"},
    "prometheus": {"prometheus"},
}
EVERY = {name: one for profile in PROFILES for name, one in services(profile).items()}
LASTING = {name: one for name, one in EVERY.items() if one["restart"] != "no"}
every_service = pytest.mark.parametrize("name", EVERY)
every_profile = pytest.mark.parametrize("profile", PROFILES)


def mounts(name: str, kind: str) -> list[dict[str, Any]]:
    return [one for one in EVERY[name].get("volumes", ()) if one["type"] == kind]


@every_profile
def test_a_profile_is_a_database_and_what_is_always_there(profile: str) -> None:
    """VictoriaMetrics with vmalert, or Prometheus in their place; never both, and never neither."""
    assert services(profile).keys() == ALWAYS | OF_PROFILE[profile]


@pytest.mark.parametrize("missing", ["COMPOSE_PROFILES", "GRAFANA_ADMIN_PASSWORD"])
@pytest.mark.parametrize("empty", [False, True])
def test_what_must_be_set_is_asked_for(missing: str, empty: bool) -> None:
    """Without a database or a password nothing starts, and the message names the variable and where it belongs."""
    variables = {"COMPOSE_PROFILES": "prometheus", "GRAFANA_ADMIN_PASSWORD": PASSWORD}
    del variables[missing]
    done = compose(variables | ({missing: ""} if empty else {}))
    assert done.returncode != 0
    assert re.search(rf"{missing} is missing a value: .*\.env", done.stderr)


def test_the_example_asks_for_the_password_alone() -> None:
    """.env.example names every variable of the file and no other, chooses a database, and holds no password."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    named = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", "\n".join(lines), re.MULTILINE))
    used = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text()))
    assert named.keys() | {"GRAFANA_ADMIN_USER"} == used
    assert named["GRAFANA_ADMIN_PASSWORD"] == ""
    assert "COMPOSE_PROFILES=victoriametrics" in lines


def test_an_env_file_is_never_committed() -> None:
    """.env, with its password, and the secrets of Alertmanager are ignored by git; the example is not."""
    secret = ["git", "check-ignore", "-q"]
    for path in (".env", "deploy/grafana.env", "alertmanager/secrets/slack_url"):
        assert subprocess.run([*secret, path], cwd=ROOT, check=False).returncode == 0, path
    assert subprocess.run([*secret, ".env.example"], cwd=ROOT, check=False).returncode == 1


def test_no_password_is_in_the_file() -> None:
    """The only password comes from its variable."""
    text = (ROOT / "docker-compose.yml").read_text()
    lines = [
        line.strip() for line in text.splitlines() if re.search("(?i)password|secret|token", line.split("#")[0])
    ]
    (line,) = lines
    assert line.startswith("GF_SECURITY_ADMIN_PASSWORD: ${GRAFANA_ADMIN_PASSWORD:?")


@every_service
def test_images_are_pinned(name: str) -> None:
    """Each image has an exact version of three numbers, and what one project makes is of one version."""
    repository, _, tag = EVERY[name]["image"].rpartition(":")
    assert re.fullmatch(r"v?\d+\.\d+\.\d+", tag)
    if repository == "ward-exporter":
        assert tag == __version__
        assert EVERY[name]["build"]["context"] == str(ROOT)
    assert repository in IMAGES


@every_service
def test_images_are_of_the_versions_that_are_tested(name: str) -> None:
    """What runs in the tests is what the compose file pulls: the same version of each program."""
    image = image_of(EVERY[name])
    if not image.runs or image.runs == "ward-exporter":
        assert EVERY[name]["image"].startswith(("grafana/", "ward-exporter:"))
        return
    wanted = EVERY[name]["image"].rpartition(":v")[2]
    if image.runs in ("victoria-metrics", "vmalert"):
        # Debian builds these without a version inside.
        said = packaged_version()
    else:
        done = subprocess.run([executable(image), "--version"], check=True, capture_output=True, text=True)
        said = done.stdout + done.stderr
    assert re.search(rf"(?:version |\()({re.escape(wanted)})\b", said), said


def packaged_version() -> str:
    """The head of the changelog of Debian's package of VictoriaMetrics."""
    (changes, *_) = (TRIXIE.root / "usr/share/doc/victoria-metrics").glob("changelog.Debian*")
    return subprocess.run(["zcat", changes], check=True, capture_output=True, text=True).stdout.splitlines()[0]


@every_service
def test_no_service_can_do_what_it_need_not(name: str) -> None:
    """A root file system to read only, no capability but those with a reason, no new privileges, no root."""
    service = EVERY[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    reasons = {"exporter": ["NET_RAW"], "victoriametrics-volume": ["CHOWN"]}
    assert service.get("cap_add", []) == reasons.get(name, [])
    user = service["user"].split(":")[0]
    assert user.isdecimal()
    # It changes an owner, without a network, and ends.
    assert (user == "0") == (name == "victoriametrics-volume")
    assert (service.get("network_mode") == "none") == (name == "victoriametrics-volume")
    assert (service.get("pid") == "host") == (name == "node-exporter")


@every_service
def test_what_is_mounted_exists(name: str) -> None:
    """Each mounted file is in the repository (or is the machine's root), and can only be read."""
    for mount in mounts(name, "bind"):
        source = Path(mount["source"])
        assert source.exists(), source
        assert source.is_relative_to(ROOT) or (name, source) == ("node-exporter", Path("/"))
        assert mount["read_only"] is True
        # An engine would otherwise make a folder of what is missing.
        assert not mount.get("bind", {}).get("create_host_path", False)


@every_profile
def test_volumes_are_declared_and_used(profile: str) -> None:
    """Every volume is named at the end of the file, has one service that writes to it, and none is left over."""
    users: dict[str, list[str]] = {}
    for name in services(profile):
        for mount in mounts(name, "volume"):
            users.setdefault(mount["source"], []).append(name)
    assert users.keys() == resolved(profile)["volumes"].keys()
    assert all(names[0] == volume for volume, names in users.items())
    assert {volume: names[1:] for volume, names in users.items() if names[1:]} == (
        {"victoriametrics": ["victoriametrics-volume"]} if profile == "victoriametrics" else {}
    )


def test_ports_are_published_once_and_to_this_machine() -> None:
    """No two services want the same port; outside of this machine nothing is reached, unless .env says so."""
    published = [(port["published"], port["host_ip"]) for one in EVERY.values() for port in one.get("ports", ())]
    assert sorted(port for port, _ in published) == ["3000", "8428", "8880", "9090", "9093", "9841"]
    assert {address for _, address in published} == {"127.0.0.1"}
    assert not EVERY["blackbox-exporter"].get("ports")


def test_only_what_asks_for_nothing_worse_than_a_look_can_be_opened() -> None:
    """WARD_BIND opens the wallboard and Grafana; the databases and Alertmanager ask for no password."""
    variables = {"COMPOSE_PROFILES": "victoriametrics", "GRAFANA_ADMIN_PASSWORD": PASSWORD, "WARD_BIND": "0.0.0.0"}
    done = compose(variables)
    found = yaml.safe_load(done.stdout)["services"]
    opened = {name for name, one in found.items() for port in one.get("ports", ()) if port["host_ip"] == "0.0.0.0"}
    assert opened == {"exporter", "grafana"}


@pytest.mark.parametrize("name", LASTING)
def test_every_service_has_a_health_check_that_its_image_can_run(name: str) -> None:
    """The check calls a program that the image has, at a port that the service listens at, without a shell."""
    service = LASTING[name]
    test = service["healthcheck"]["test"] if "healthcheck" in service else health_check()
    assert ("healthcheck" in service) == (name != "exporter")
    assert test[0] == "CMD"
    assert test[1] in image_of(service).commands
    assert len(re.findall(r"http://127\.0\.0\.1:(\d+)/", " ".join(test))) == 1


def test_what_runs_always_comes_back() -> None:
    """Each service but the one that ends by itself is started again, and no log fills the disk."""
    assert {name for name in EVERY if name not in LASTING} == {"victoriametrics-volume"}
    for service in LASTING.values():
        assert service["restart"] == "unless-stopped"
    for service in EVERY.values():
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}


def test_names_that_files_use_are_services() -> None:
    """Each host and port in prometheus.yml, alertmanager.yml and Grafana's data sources is a service's."""
    listening = {
        "exporter": "9841",
        "alert-log": "9842",
        "victoriametrics": "8428",
        "vmalert": "8880",
        "prometheus": "9090",
        "alertmanager": "9093",
        "blackbox-exporter": "9115",
        "node-exporter": "9100",
        "grafana": "3000",
    }
    assert listening.keys() == LASTING.keys()
    for name, service in LASTING.items():
        test = service["healthcheck"]["test"] if "healthcheck" in service else health_check()
        assert f"127.0.0.1:{listening[name]}/" in " ".join(test)
    found: set[tuple[str, str]] = set()
    for file in ("prometheus.yml", "alertmanager/alertmanager.yml", *sources()):
        text = re.sub(r"(?m)#.*$", "", (ROOT / file).read_text())
        found |= set(re.findall(r"(?<![\w.-])([a-z-]+):(\d{4})\b", text))
    for service in EVERY.values():
        found |= set(re.findall(r"http://([a-z-]+):(\d{4})\b", " ".join(service.get("command") or ())))
    found = {(host, port) for host, port in found if host != "localhost"}
    assert found == set(listening.items()) - {("grafana", "3000")}


def sources() -> list[str]:
    folder = ROOT / "dashboards" / "provisioning" / "datasources"
    return [str(path.relative_to(ROOT)) for path in sorted(folder.glob("*.yml"))]


def test_vmalert_is_started_as_everywhere() -> None:
    """vmalert has the flags that the stack of the tests, and of `make stack`, has; and its own address."""
    shared = vmalert_arguments(TRIXIE, "http://victoriametrics:8428", "http://alertmanager:9093")
    shared = [argument.replace(RULES, "/etc/prometheus/rules/*.yml") for argument in shared]
    assert set(EVERY["vmalert"]["command"]) == {*shared, "-external.url=http://localhost:8880"}


def test_the_database_keeps_90_days_and_hides_nothing() -> None:
    """90 days of samples in either profile; VictoriaMetrics scrapes by prometheus.yml, and shows what is new."""
    victoria = EVERY["victoriametrics"]["command"]
    assert "-retentionPeriod=90d" in victoria
    assert "-promscrape.config.strictParse=false" in victoria
    assert "-search.latencyOffset=0s" in victoria
    assert "-promscrape.maxScrapeSize=256MiB" in victoria
    assert "--storage.tsdb.retention.time=90d" in EVERY["prometheus"]["command"]
    for name in ("victoriametrics", "prometheus"):
        assert str(ROOT / "prometheus.yml") in {mount["source"] for mount in mounts(name, "bind")}


def test_rules_lie_where_prometheus_looks() -> None:
    """rule_files of prometheus.yml is relative to it: rules are mounted beside it."""
    (pattern,) = yaml.safe_load((ROOT / "prometheus.yml").read_text())["rule_files"]
    places = {mount["source"]: mount["target"] for mount in mounts("prometheus", "bind")}
    beside = Path(places[str(ROOT / "prometheus.yml")]).parent
    assert str(beside / Path(pattern).parent) == places[str(ROOT / "rules")]


def test_the_secrets_of_alertmanager_lie_where_it_looks() -> None:
    """alertmanager/secrets of the clone is the folder of secrets in alertmanager.yml."""
    (mount,) = mounts("alertmanager", "bind")
    config = (ROOT / "alertmanager" / "alertmanager.yml").read_text()
    folders = {str(Path(path).parent) for path in re.findall(r"_file: (\S+)", config)}
    assert folders == {f"{mount['target']}/secrets"}
    assert Path(mount["source"], "secrets").is_dir()
