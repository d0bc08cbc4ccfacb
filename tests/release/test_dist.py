"""What is released: built the same anywhere, complete, and running where nothing else is installed."""

from __future__ import annotations

import hashlib
import http.client
import re
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter import __version__
from tests.release.installed import ROOT, Release, build, install, wheel_of
from tests.servers import free_port
from tests.serving import until


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return build(tmp_path_factory.mktemp("dist"), umask=0o022, time_zone="UTC")


@pytest.fixture(scope="module")
def programs(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder where the release is installed."""
    return install(release, tmp_path_factory.mktemp("venv"))


def git(*words: str) -> str:
    return subprocess.run(["git", "-C", ROOT, *words], check=True, capture_output=True, text=True).stdout


def test_two_builds_are_the_same(release: Release, tmp_path: Path) -> None:
    """Another time zone, umask and hash seed: every file has the same SHA-256, as SHA256SUMS says."""
    again = build(tmp_path / "again", umask=0o077, time_zone="Asia/Tbilisi")
    sums = dict(line.split("  ")[::-1] for line in (release.folder / "SHA256SUMS").read_text().splitlines())
    assert len(sums) == 4
    for name, expected in sums.items():
        for folder in (release.folder, again.folder):
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == expected, name


def test_the_source_archive_builds_the_same_wheel(release: Release, tmp_path: Path) -> None:
    """Who has but the source archive gets, by pip, the wheel that is released."""
    wheel = wheel_of(release.source, tmp_path, git("log", "-1", "--format=%ct").strip())
    assert (wheel.name, wheel.read_bytes()) == (release.wheel.name, release.wheel.read_bytes())


def test_all_that_is_committed_is_inside(release: Release) -> None:
    """The wheel holds every file of the package, texts and pictures too, and no other; the archive has the rest."""
    package = set(git("ls-tree", "-r", "--name-only", "HEAD", "exporter").splitlines())
    for text in ("default/demo.yml", "snmp/mibs/if_mib.yml", "web/wallboard/index.html"):
        assert f"exporter/{text}" in package
    with zipfile.ZipFile(release.wheel) as wheel:
        assert {name for name in wheel.namelist() if ".dist-info/" not in name} == package
    with tarfile.open(release.source) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    committed = set(git("ls-tree", "-r", "--name-only", "HEAD").splitlines())
    assert {name for name in committed - inside if not name.startswith(".ci")} == {".gitignore"}


def test_the_version_stands_in_one_place(release: Release) -> None:
    """The package says it, and from there come the wheel's name and metadata; the changelog begins with it."""
    with zipfile.ZipFile(release.wheel) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith("/METADATA"))
        assert f"\nVersion: {__version__}\n" in wheel.read(name).decode()
    written = git("grep", "-lF", f'"{__version__}"', "--", "*.py", "*.toml").splitlines()
    assert written == ["exporter/__init__.py"]
    first = re.search(r"^## (\S+?),? ", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert first is not None
    assert first[1] == __version__


def test_it_is_all_that_an_exporter_needs(programs: Path, tmp_path: Path) -> None:
    """Installed without a network into an empty environment, it tells its version and checks a configuration."""

    def run(*words: str) -> str:
        command = [str(programs / "ward-exporter"), *words]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, cwd=tmp_path, env={}, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("--version") == f"ward-exporter {__version__}\n"
    assert "12 devices" in run("check")


@pytest.fixture
def port(programs: Path, tmp_path: Path) -> Iterator[int]:
    """Where an installed exporter listens that was started without a configuration."""
    number = free_port()
    with (tmp_path / "log").open("wb") as log:
        command = [programs / "ward-exporter", "serve", f"--web.listen-address=127.0.0.1:{number}"]
        process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log, env={})
    try:
        yield number
    finally:
        process.terminate()
        assert process.wait(10) == 0


def test_it_serves(port: int) -> None:
    """The demonstration inventory is probed, and /metrics, the wallboard and its scripts are served."""

    def ask(path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except ConnectionRefusedError:
            return 0, ""
        finally:
            connection.close()

    until(lambda: ask("/-/ready")[0] == 200, 30)
    status, page = ask("/metrics")
    assert status == 200
    assert page.count("\nward_device_up{") == 12
    assert f'version="{__version__}"' in page
    status, board = ask("/")
    assert status == 200
    sources = re.findall(r'(?:src|href)="([^"#]+\.(?:js|css|svg))"', board)
    assert len(sources) >= 2
    base = "" if sources[0].startswith("/") else "/"
    assert {ask(base + source)[0] for source in sources} == {200}
