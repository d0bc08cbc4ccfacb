"""No secret leaves the process: pages, the API, the log, `check`, the state on disk, tracebacks."""

from __future__ import annotations

import base64
import http.client
import io
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.tools.check import check
from tests.config.test_snmp import WITH_SECRETS
from tests.serving import FAST, Serving, until
from tests.web.test_app import documented

HERE = Path(__file__).parent
#: In every secret of the configurations here, right or wrong.
MARK = b"3cret"
EVENTS = "/api/v1/events"
VARIABLE, VALUE = "WARD_TEST_SECRET", "S3cret-of-the-environment"
AUTHS = ("written", "filed", "edited", "environment", "encrypted", "nobody", "signed", "sealed")


def assert_clean(text: bytes | str) -> None:
    """No secret, nor the key, is in it as it is, in base64 or in hexadecimal digits."""
    data = text.encode() if isinstance(text, str) else text
    assert MARK not in data
    assert MARK.hex().encode() not in data.lower()
    # Base64 cuts it in one of three ways, and its first and last letter may hold bits of what stands beside.
    for shift in range(3):
        letters = base64.b64encode(b"\0" * shift + MARK)
        assert letters[-(-8 * shift // 6) : 8 * (shift + len(MARK)) // 6] not in data
    assert (HERE / "secrets" / "key").read_bytes().strip() not in data


def test_what_is_looked_for_would_be_found() -> None:
    """A secret in any of the ways to write it is found: a test that looks for nothing finds nothing."""
    encoded = [
        base64.b64encode(before + b"S3cret" + after) for before in (b"", b"a", b"ab") for after in (b"", b"c")
    ]
    for found in (b"xS3cretx", b"xS3cretx".hex(), *encoded):
        with pytest.raises(AssertionError):
            assert_clean(found)
    assert_clean(b"nothing of the kind, but secrets")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration with secrets from every source, and a loopback device for each auth."""
    shutil.copytree(HERE / "secrets", tmp_path / "secrets")
    rows = [
        f"  - {{name: {auth}, address: 127.0.2.{number}, snmp: {{auth: {auth}, port: 1}}}}"
        for number, auth in enumerate(AUTHS, 1)
    ]
    (tmp_path / "devices.yml").write_text("\n".join(["devices:", *rows, ""]))
    return tmp_path


def configuration() -> str:
    text = (HERE / "snmp.good.yml").read_text()
    without_modules = re.sub(r"^  modules: .*\n", "", text, flags=re.MULTILINE)
    return FAST + without_modules + "inventory: [{file: devices.yml}]\n"


@pytest.fixture
def serving(folder: Path) -> Iterator[Serving]:
    with Serving(folder) as found:
        found.configure(configuration(), inventory="")
        yield found.start_ready("--log.level=debug", environment={VARIABLE: VALUE})


def first_event(serving: Serving) -> bytes:
    """The snapshot with which the endless stream of events begins."""
    connection = http.client.HTTPConnection("127.0.0.1", serving.port, timeout=20)
    try:
        connection.request("GET", EVENTS)
        answer = connection.getresponse()
        assert answer.status == 200
        while b"event: snapshot" not in (event := b"".join(iter(answer.readline, b"\n"))):
            pass
        return event
    finally:
        connection.close()


def test_no_page_and_no_log_holds_a_secret(serving: Serving) -> None:
    """Every route, every way in which a reload fails, the log of it all and the state that stays: none has one."""
    paths = [path.replace("{name}", auth) for path in documented().keys() - {EVENTS} for auth in AUTHS]
    assert_clean(first_event(serving))
    for path in dict.fromkeys([*paths, "/sd?role=S", "/no/such/page", "/api/v1/devices/nobody-of-that-name"]):
        answer = serving.ask(path)
        assert answer.status in {200, 404, 405}
        assert_clean(answer.body)
        assert_clean(str(answer.headers))
    good = (serving.folder / "ward.yml").read_text()
    for name in WITH_SECRETS:
        shutil.copy(HERE / name, serving.folder / "ward.yml")
        answer = serving.reload()
        assert answer.status == 500
        assert "ward.yml" in answer.text
        assert_clean(answer.body)
    serving.send(signal.SIGHUP)
    until(lambda: serving.log.read_text().count("reload failed") == len(WITH_SECRETS) + 1)
    (serving.folder / "ward.yml").write_text(good)
    assert serving.reload().status == 200
    assert serving.end() == 0
    kept = [path for path in serving.storage.rglob("*") if path.is_file()]
    assert kept
    for path in (serving.log, *kept):
        assert_clean(path.read_bytes())


@pytest.mark.parametrize("name", ["ward.yml", *WITH_SECRETS])
def test_check_prints_no_secret(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`check` reads every secret, says of each whether it can be had, and prints none."""
    monkeypatch.setenv(VARIABLE, VALUE)
    (folder / "ward.yml").write_text(configuration())
    if name != "ward.yml":
        shutil.copy(HERE / name, folder)
    out = io.StringIO()
    assert check(folder / name, out) == (0 if name == "ward.yml" else 1)
    assert_clean(out.getvalue())


def test_check_tells_a_secret_that_is_gone(folder: Path) -> None:
    """Without its variable, a configuration that is right else is refused by `check`, with the place."""
    (folder / "ward.yml").write_text(configuration())
    out = io.StringIO()
    assert check(folder / "ward.yml", out) == 1
    (problem, summary) = out.getvalue().splitlines()
    assert problem.endswith(
        "snmp.auths.environment.community_env: names a variable that is not set in the environment"
    )
    assert summary == "FAILED: 1 problem"


def test_a_secret_in_the_place_of_a_variable_is_not_shown(folder: Path) -> None:
    """Who writes a community of letters behind `community_env` is told where it stands, and not what it is."""
    (folder / "ward.yml").write_text("snmp: {auths: {branch: {version: 2, community_env: S3cretish}}}\n")
    out = io.StringIO()
    assert check(folder / "ward.yml", out) == 1
    assert "snmp.auths.branch.community_env: names a variable" in out.getvalue()
    assert "S3cretish" not in out.getvalue()


FAILING = """
import logging, sys, threading, traceback
from pathlib import Path
from exporter import logs
from exporter.config import load_settings
from exporter.inventory.sources import Sources

def fails(settings, sources, inventory):
    auths = {name: repr(auth) for name, auth in settings.snmp.auths.items()}
    raise RuntimeError(settings, sources.settings.snmp, inventory, auths)

logs.set_up("debug", sys.argv[2])
settings = load_settings(Path(sys.argv[1]))
sources = Sources(settings)
inventory = sources.read()
try:
    fails(settings, sources, inventory)
except RuntimeError as error:
    logging.getLogger("exporter").exception("failed with %s %r", settings, inventory)
    found = traceback.TracebackException.from_exception(error, capture_locals=True)
    logging.getLogger("exporter").error("".join(found.format()))
thread = threading.Thread(target=fails, args=(settings, sources, inventory))
thread.start()
thread.join()
fails(settings, sources, inventory)
"""


@pytest.mark.parametrize("kind", ["logfmt", "json"])
def test_no_traceback_holds_a_secret(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception with all settings among its arguments and variables shows none, logged or not, in any thread."""
    monkeypatch.setenv(VARIABLE, VALUE)
    (folder / "ward.yml").write_text(configuration())
    command = [sys.executable, "-c", FAILING, str(folder / "ward.yml"), kind]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr.count(b"RuntimeError") >= 4
    assert b"<secret>" in done.stderr
    assert_clean(done.stderr)
