"""What docs/compose.md and docs/grafana.md have people do, done as far as that goes without an engine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from tests.compose.container import Container, network
from tests.compose.resolved import PASSWORD, ROOT, compose, services
from tests.docs.pages import read
from tests.servers import TRIXIE, program
from tests.stack.inside import until


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def blocks(name: str, kind: str = "") -> list[str]:
    """The blocks of code of a page, of one language."""
    fenced = re.findall(r"(?ms)^```(\w*)\n(.*?)^```$", page(name))
    return [text for language, text in fenced if language == kind]


@pytest.mark.parametrize("name", ["compose.md", "grafana.md"])
def test_every_link_leads_somewhere(name: str) -> None:
    """Files that the pages link to exist, and so do the headings in them."""
    linking = read(ROOT / "docs" / name)
    assert linking.links()
    for path, anchor in linking.links():
        target = (linking.path.parent / path).resolve() if path else linking.path
        assert target.is_file(), path
        assert not anchor or anchor in read(target).anchors(), f"{path}#{anchor}"


def test_the_page_has_every_setting_with_its_default() -> None:
    """docs/compose.md lists what .env may hold, and what holds without it."""
    text = (ROOT / "docker-compose.yml").read_text()
    wanted = dict.fromkeys(re.findall(r"\$\{([A-Z_]+):\?", text), "")
    wanted |= dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", text))
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", page("compose.md"), re.MULTILINE)
    assert {name: default.strip("`").replace("must be set", "") for name, default in rows} == wanted


def test_the_hosts_of_links_are_set_in_one_way() -> None:
    """The one command that sets the hosts of runbooks and Grafana is the same on both pages."""
    (command,) = [block for block in blocks("alerts.md") if "runbooks" in block and "sed -i" in block]
    assert any(command in block for block in blocks("compose.md"))


def test_the_first_commands_give_a_password(tmp_path: Path) -> None:
    """The commands that begin the page leave an .env with which Compose is content."""
    (first, *_) = blocks("compose.md")
    commands = [line for line in first.splitlines() if not line.startswith("docker ")]
    assert len(commands) == 3
    (tmp_path / ".env.example").write_bytes((ROOT / ".env.example").read_bytes())
    subprocess.run(["sh", "-euc", "\n".join(commands)], cwd=tmp_path, check=True)
    written = dict(line.split("=") for line in (tmp_path / ".env").read_text().splitlines() if line[:1].isupper())
    assert len(written["GRAFANA_ADMIN_PASSWORD"]) == 32
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0
    assert compose(written).returncode == 0


def with_more(folder: Path, settings: str = "", override: str = "services: {}") -> dict[str, Any]:
    """The services where deploy/grafana.env and an override are these."""
    (folder / "docker-compose.yml").write_bytes((ROOT / "docker-compose.yml").read_bytes())
    (folder / "deploy").mkdir()
    (folder / "deploy" / "grafana.env").write_text(settings)
    (folder / "docker-compose.override.yml").write_text(override)
    done = subprocess.run(
        [program("docker-compose", TRIXIE), "config", "--format=json"],
        cwd=folder,
        env={"COMPOSE_PROFILES": "prometheus", "GRAFANA_ADMIN_PASSWORD": PASSWORD},
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)["services"]
    return found


def test_the_example_of_openid_reaches_grafana_as_it_is(tmp_path: Path) -> None:
    """Compose changes nothing in the settings of docs/grafana.md, quotes and dollars included, nor in its own."""
    (settings,) = [block for block in blocks("grafana.md") if "GENERIC_OAUTH" in block]
    found = with_more(tmp_path, settings)["grafana"]["environment"]
    for line in settings.splitlines():
        name, _, value = line.partition("=")
        assert found[name] == value
    assert found["GF_SECURITY_ADMIN_PASSWORD"] == PASSWORD


def test_the_example_of_ldap_fits_together(tmp_path: Path) -> None:
    """ldap.toml gives each old role the one that the table says; the override mounts it where Grafana looks."""
    (toml,) = blocks("grafana.md", "toml")
    rows = re.findall(r"^\| (Admin|Manager|Technician|Viewer) \| (\w+) \|", page("grafana.md"), re.MULTILINE)
    (server,) = tomllib.loads(toml)["servers"]
    mapped = [(one["group_dn"].split(",")[0], one["org_role"]) for one in server["group_mappings"]]
    assert mapped == [(f"cn=ward-{old.lower()}", role) for old, role in rows]
    (override,) = [block for block in blocks("grafana.md", "yaml") if "ldap.toml" in block]
    (settings,) = [block for block in blocks("grafana.md") if "GF_AUTH_LDAP_ENABLED" in block]
    service = with_more(tmp_path, settings, override)["grafana"]
    targets = {mount["target"] for mount in service["volumes"]}
    assert {"/etc/grafana/ldap.toml", server["root_ca_cert"]} <= targets
    assert re.findall(r"\$\{(\w+)\}", toml) == ["LDAP_PASSWORD"]
    assert "LDAP_PASSWORD" in service["environment"]


def test_the_example_of_a_web_configuration_runs(tmp_path: Path) -> None:
    """With the override of docs/compose.md the exporter asks for a password, and is healthy nonetheless."""
    (override,) = [block for block in blocks("compose.md", "yaml") if "--web.config.file" in block]
    project = tmp_path / "project"
    ward = project / "deploy" / "ward"
    project.mkdir()
    service = with_more(project, override=override)["exporter"]
    shutil.copytree(ROOT / "deploy" / "ward", ward)
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    (ward / "web.yml").write_text(f"basic_auth_users: {{prometheus: {hashed}}}\n")
    with network(services("prometheus")["exporter"]["sysctls"]) as holder, ExitStack() as cleanup:
        exporter = Container(service, tmp_path / "exporter", holder, "127.0.0.1 localhost\n")
        cleanup.callback(exporter.stop)
        until(lambda: exporter.healthy(service["healthcheck"]["test"]), "exporter is healthy")
        url = "http://127.0.0.1:9841/-/healthy"
        assert exporter.run("wget", "-q", "-O", "-", url).returncode != 0
        assert exporter.run("wget", "-q", "-O", "-", "--user=prometheus", "--password=secret", url).returncode == 0
