"""The Dockerfile: what it is built from, who runs in it, and that what it copies is the whole exporter."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from exporter.cli import parser
from tests.compose.answering import answering
from tests.compose.dockerfile import ROOT, health_check, instructions

SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
COMPOSE = SERVICES["exporter"]
#: What .dockerignore lets through.
SENT = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]


def every(instruction: str) -> list[str]:
    return [rest for name, rest in instructions() if name == instruction]


def test_it_is_built_in_one_image_and_runs_in_another_of_the_same_version() -> None:
    """Both stages have one exact base, of the Python that the tests run on; what builds is not in the result."""
    build, run = every("FROM")
    assert build == f"{run} AS build"
    assert re.fullmatch(rf"python:3\.{sys.version_info.minor}\.\d+-slim-bookworm", run)
    copied = [line for line in every("COPY") if line.startswith("--from=")]
    assert copied == ["--from=build /opt/ward /opt/ward"]


def test_every_package_is_pinned_by_its_hash() -> None:
    """pip installs what the lock names, with hashes and without running anybody's setup."""
    installs = [command for run in every("RUN") for command in run.split("&&") if "pip install" in command]
    locked, own = installs
    assert {"--require-hashes", "--only-binary=:all:", "requirements.lock"} <= set(locked.split())
    assert {"--no-deps", "--no-build-isolation"} <= set(own.split())


def test_it_runs_as_nobody_in_particular() -> None:
    """The user is a number, not root, the same as the compose file's, and owns the folder of the state."""
    (user,) = every("USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert COMPOSE["user"] == user
    number, group = user.split(":")
    assert f"install -d -o {number} -g {group} -m 0700 /var/lib/ward" in every("RUN")
    assert every("WORKDIR")[-1] == "/var/lib/ward"
    # The last instructions that run anything are before it: nothing runs as root after the build.
    assert [name for name, _ in instructions()].index("USER") > max(
        at for at, (name, _) in enumerate(instructions()) if name == "RUN"
    )


def test_its_command_lines_are_the_exporters() -> None:
    """What the image and the compose file start, the exporter takes; both keep the state in the volume's folder."""
    entry, default = json.loads(every("ENTRYPOINT")[0]), json.loads(every("CMD")[0])
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert entry == [name for name in scripts if name == "ward-exporter"]
    for command in (default, COMPOSE["command"]):
        options = parser().parse_args(command)
        assert options.command == "serve"
        assert str(options.storage) == "/var/lib/ward"
        port = options.address.rpartition(":")[2]
        assert every("EXPOSE") == [port]
        assert f":{port}/" in health_check()[-1]


def test_only_what_is_needed_is_sent_to_the_engine() -> None:
    """No secret, no data and no test gets into an image: all is left out but what is copied."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[0] == "*"
    copied = {word for line in every("COPY") if not line.startswith("--") for word in line.split()[:-1]}
    assert set(SENT) == copied


def test_what_is_sent_is_the_whole_exporter(tmp_path: Path) -> None:
    """From these files alone the package is built, with all that the repository has in it."""
    for name in SENT:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path / name)
    script = "import flit_core.buildapi as build; print(build.build_wheel('.'))"
    built = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True, text=True)
    listed = subprocess.run(
        ["git", "ls-files", "exporter"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    with zipfile.ZipFile(tmp_path / built.stdout.strip()) as wheel:
        assert set(listed) <= set(wheel.namelist())


@pytest.mark.parametrize("status", [200, 503])
@pytest.mark.parametrize(
    "check", [health_check(), SERVICES["alert-log"]["healthcheck"]["test"]], ids=["exporter", "alert-log"]
)
def test_a_health_check_asks_no_proxy(check: list[str], status: int, tmp_path: Path) -> None:
    """A proxy in the environment, as Docker's client configuration puts it there, is not asked for 127.0.0.1."""
    *command, program = check
    assert command == ["CMD", "python", "-c"]
    with answering(tmp_path) as ports:
        url = f"http://127.0.0.1:{ports['http']}/{status}"
        program, found = re.subn(r"http://127\.0\.0\.1:\d+/-/healthy", url, program)
        assert found == 1
        environment = {**os.environ, "http_proxy": f"http://127.0.0.1:{ports['closed']}"}
        done = subprocess.run([sys.executable, "-c", program], env=environment, stderr=subprocess.PIPE, check=False)
    assert (done.returncode == 0) == (status == 200), done.stderr
