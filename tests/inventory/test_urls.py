"""Inventories over HTTP, asked from real servers: down, slow, broken, endless, and back again."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from exporter.config import load_settings
from exporter.errors import ConfigError
from exporter.inventory.device import Inventory
from exporter.inventory.sources import Sources
from tests.inventory.serving import Server, give

ONE = [{"targets": ["10.1.1.5"], "labels": {"name": "isp", "site": "s"}}]
TWO = [*ONE, {"targets": ["10.1.1.6"], "labels": {"name": "sw"}}]


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of its own for each test."""
    running = Server()
    running.answer = give(ONE)
    yield running
    running.stop()


class Reader:
    """Sources over one URL, with what a test needs to read them again."""

    def __init__(self, folder: Path, url: str, more: str = "", files: str = "") -> None:
        self.folder = folder
        (folder / "ward.yml").write_text(f"inventory:\n  - {{url: '{url}'{more}}}\n{files}")
        self.restart()

    def restart(self) -> None:
        """As a new process would start, with the same cache on disk."""
        settings = load_settings(self.folder / "ward.yml")
        self.sources = Sources(settings, self.folder / "cache")

    def names(self) -> list[str]:
        """The devices' names as of now."""
        self.inventory: Inventory = self.sources.read(force=True)
        return [device.name for device in self.inventory.devices]

    @property
    def warning(self) -> str:
        """The one warning of the last read."""
        [found] = self.inventory.warnings
        return found


def test_a_url_gives_devices(server: Server, tmp_path: Path) -> None:
    """An http_sd answer becomes devices; the server learns the refresh time; the status is good."""
    reader = Reader(tmp_path, server.url, ", refresh: 30s")
    assert reader.names() == ["isp"]
    assert reader.inventory.devices[0].role == "isp"
    assert reader.inventory.warnings == ()
    assert server.seen[0]["x-prometheus-refresh-interval-seconds"] == "30"
    assert reader.sources.next_refresh == 30.0
    ok, devices, when = reader.sources.status[server.url]
    assert (ok, devices) == (True, 1)
    assert abs(when - time.time()) < 60


def test_files_alone_need_no_refresh(tmp_path: Path) -> None:
    """Without URLs there is no refresh time; a file's status names its pattern."""
    (tmp_path / "a.yml").write_text("devices: [{name: a, address: 10.1.1.1}]")
    (tmp_path / "ward.yml").write_text("inventory: [{file: a.yml}]")
    sources = Sources(load_settings(tmp_path / "ward.yml"))
    sources.read()
    assert sources.next_refresh is None
    assert sources.status["a.yml"][:2] == (True, 1)
    (tmp_path / "a.yml").write_text("devices: [")
    with pytest.raises(ConfigError):
        sources.read()
    ok, _, when = sources.status["a.yml"]
    assert not ok
    assert when > 0


def test_the_inventory_shape_is_accepted_too(server: Server, tmp_path: Path) -> None:
    """A URL may also answer with devices and sites as a file has them."""
    device = {"name": "a", "address": "a", "site": "s"}
    server.answer = give({"sites": {"s": {"region": "r"}}, "devices": [device]})
    reader = Reader(tmp_path, server.url)
    assert reader.names() == ["a"]
    assert reader.inventory.devices[0].region == "r"


FAILURES: dict[str, tuple[Callable[[BaseHTTPRequestHandler], None], str]] = {
    "500": (give("broken", 500), "answered 500 Internal Server Error; expected 200"),
    "404": (give([], 404), "answered 404 Not Found; expected 200"),
    "html": (give("<!doctype html><h1>Log in", kind="text/html"), "answered with an HTML page"),
    "html as json": (give("\n <html>"), "answered with an HTML page"),
    "no devices": (give([]), "its answer holds no devices"),
}
WRONG = {
    "not json": (give("[1,"), "not valid JSON at column 4"),
    "shape": (give({"error": "maintenance"}), "error: unknown key 'error'; expected one of sites, devices"),
    "items": (give(["10.1.1.5"]), "[0]: expected an http_sd group"),
    "address": (give([{"targets": ["10.1.1.05"]}]), "[0].targets[0]: found '10.1.1.05'"),
    "not text": (give(b"\xff\xfe["), "byte 0xff at offset 0 is not UTF-8"),
}


@pytest.mark.parametrize("case", [*FAILURES, *WRONG])
def test_a_failing_url_keeps_its_last_good_answer(server: Server, tmp_path: Path, case: str) -> None:
    """After a good answer a bad one is a warning; the good one stays in use, and a better one takes over."""
    answer, message = {**FAILURES, **WRONG}[case]
    reader = Reader(tmp_path, server.url)
    assert reader.names() == ["isp"]
    success = reader.sources.status[server.url].last_success
    server.answer = answer
    assert reader.names() == ["isp"]
    assert message in reader.warning
    assert "its last good answer" in reader.warning
    assert reader.sources.status[server.url] == (False, 1, success)
    server.answer = give(TWO)
    assert reader.names() == ["isp", "sw"]
    assert reader.inventory.warnings == ()
    assert reader.sources.status[server.url].ok


@pytest.mark.parametrize("case", FAILURES)
def test_a_failing_url_alone_is_an_empty_inventory(server: Server, tmp_path: Path, case: str) -> None:
    """Without any good answer and any other device there is nothing to probe: an error with the reason."""
    server.answer, message = FAILURES[case]
    reader = Reader(tmp_path, server.url)
    with pytest.raises(ConfigError) as caught:
        reader.names()
    assert message in str(caught.value)
    assert "the sources hold no devices" in str(caught.value)
    assert reader.sources.status[server.url] == (False, 0, 0.0)


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_first_answer_is_an_error(server: Server, tmp_path: Path, case: str) -> None:
    """What a URL says wrongly from the start is refused as a wrong file is, beside good files too."""
    server.answer, message = WRONG[case]
    (tmp_path / "a.yml").write_text("devices: [{name: a, address: 10.1.1.1}]")
    with pytest.raises(ConfigError) as caught:
        Reader(tmp_path, server.url, files="  - {file: a.yml}\n").names()
    assert message in str(caught.value)


def test_a_url_that_is_down_is_a_warning_beside_files(server: Server, tmp_path: Path) -> None:
    """With other devices to probe, a URL that is down from the start is a warning, as are its parents."""
    server.stop()
    (tmp_path / "a.yml").write_text("devices: [{name: a, address: 10.1.1.1, parent: far}]")
    reader = Reader(tmp_path, server.url, files="  - {file: a.yml}\n")
    assert reader.names() == ["a"]
    down, parent = reader.inventory.warnings
    assert down == f"{server.url}: cannot be read: Connection refused; it has given no devices so far"
    assert parent == f"{tmp_path}/a.yml:1: the parent 'far' of 'a' is not known for now"
    assert reader.inventory.devices[0].parent == ""


def test_the_last_good_answer_survives_a_restart(server: Server, tmp_path: Path) -> None:
    """A new process whose URL is down starts with what the old one had, and says so."""
    reader = Reader(tmp_path, server.url)
    assert reader.names() == ["isp"]
    kept = [file.name for file in (tmp_path / "cache").iterdir()]
    assert len(kept) == 1
    server.stop()
    reader.restart()
    assert reader.names() == ["isp"]
    assert "Connection refused; its last good answer" in reader.warning
    assert reader.sources.status[server.url].last_success > 0


def test_a_broken_cache_is_as_good_as_none(server: Server, tmp_path: Path) -> None:
    """A kept answer that is no longer right is left aside, and replaced by the next good one."""
    reader = Reader(tmp_path, server.url)
    reader.names()
    [file] = (tmp_path / "cache").iterdir()
    file.write_bytes(b"[{")
    reader.restart()
    assert reader.names() == ["isp"]
    assert json.loads(file.read_bytes()) == ONE


def test_a_cache_that_cannot_be_written_is_a_warning(server: Server, tmp_path: Path) -> None:
    """No room for the cache is no reason to refuse the inventory."""
    (tmp_path / "cache").write_text("a file where the folder should be")
    reader = Reader(tmp_path, server.url)
    assert reader.names() == ["isp"]
    assert "cannot be kept" in reader.warning


def test_an_answer_that_contradicts_a_file_is_not_taken(server: Server, tmp_path: Path) -> None:
    """An answer with a name that a file has taken leaves the last good one in use; the first is an error."""
    (tmp_path / "a.yml").write_text("devices: [{name: a, address: 10.1.1.1}]")
    reader = Reader(tmp_path, server.url, files="  - {file: a.yml}\n")
    assert reader.names() == ["isp", "a"]
    server.answer = give([{"targets": ["10.1.1.9"], "labels": {"name": "a"}}])
    assert reader.names() == ["isp", "a"]
    assert "does not fit the rest of the inventory" in reader.warning
    reader.restart()
    assert reader.names() == ["isp", "a"]
    for file in (tmp_path / "cache").iterdir():
        file.unlink()
    reader.restart()
    with pytest.raises(ConfigError, match="'a' is already the name of the device"):
        reader.names()


def test_a_broken_file_does_not_lose_the_url(server: Server, tmp_path: Path) -> None:
    """While a file is broken every read fails with its problem; mended, the URL's answer is there again."""
    file = tmp_path / "a.yml"
    file.write_text("devices: [{name: a, address: 10.1.1.1}]")
    reader = Reader(tmp_path, server.url, files="  - {file: a.yml}\n")
    assert reader.names() == ["isp", "a"]
    file.write_text("devices: [")
    server.answer = give(TWO)
    with pytest.raises(ConfigError) as caught:
        reader.names()
    assert [problem.file for problem in caught.value.problems] == [str(file)]
    file.write_text("devices: [{name: a, address: 10.1.1.1}]")
    assert reader.names() == ["isp", "sw", "a"]


def test_a_url_is_asked_when_its_time_has_come(server: Server, tmp_path: Path) -> None:
    """Reading again before the refresh time asks nobody, and the answer stays; force asks."""
    reader = Reader(tmp_path, server.url, ", refresh: 1h")
    assert [len(reader.sources.read().devices) for _ in range(3)] == [1, 1, 1]
    assert len(server.seen) == 1
    reader.sources.read(force=True)
    assert len(server.seen) == 2


def test_passwords_and_tokens_are_sent_from_their_files(server: Server, tmp_path: Path) -> None:
    """Basic and bearer secrets come from files, are read for each request, and are not in the settings."""
    secret = tmp_path / "secret"
    secret.write_text("პაროლი\n")
    reader = Reader(tmp_path, server.url, ", username: ward, password_file: secret")
    reader.names()
    basic = server.seen[-1]["authorization"].removeprefix("Basic ")
    assert base64.b64decode(basic).decode() == "ward:პაროლი"
    assert "პაროლი" not in repr(reader.sources.settings)
    secret.write_text("t0ken\r\n")
    reader = Reader(tmp_path, server.url, ", bearer_token_file: secret")
    reader.names()
    assert server.seen[-1]["authorization"] == "Bearer t0ken"
    secret.write_text("another")
    reader.names()
    assert server.seen[-1]["authorization"] == "Bearer another"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "is empty"),
        (b"\xff", "is not UTF-8 text"),
        (b"s3cret\nX-Other: 1", "is not one word of ASCII"),
    ],
    ids=["missing", "empty", "not text", "two lines"],
)
def test_bad_secret_files(server: Server, tmp_path: Path, content: bytes | None, message: str) -> None:
    """A secret that cannot be sent is told by its file; nothing is asked, no message holds the secret."""
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    reader = Reader(tmp_path, server.url, ", bearer_token_file: secret")
    with pytest.raises(ConfigError) as caught:
        reader.names()
    assert message in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert server.seen == []


def endless(request: BaseHTTPRequestHandler) -> None:
    """A gigabyte of JSON, without saying so in advance."""
    request.send_response(200)
    request.end_headers()
    request.wfile.write(b'["')
    for _ in range(1024):
        request.wfile.write(b"x" * 2**20)


def announced(request: BaseHTTPRequestHandler) -> None:
    """An answer that says it is a gigabyte."""
    request.send_response(200)
    request.send_header("Content-Length", str(2**30))
    request.end_headers()


@pytest.mark.parametrize("answer", [endless, announced])
def test_a_gigabyte_is_cut_off(
    server: Server, tmp_path: Path, answer: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    """A body beyond 32 MiB is refused as soon as that is known, whether or not its length was announced."""
    reader = Reader(tmp_path, server.url)
    reader.names()
    server.answer = answer
    assert reader.names() == ["isp"]
    assert f"more than the limit of {32 * 2**20} bytes" in reader.warning


@pytest.mark.parametrize(
    "start", [b"", b"HTTP/1.1 200 OK\r\nX-", b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n["]
)
def test_a_slow_server_is_given_up_in_time(server: Server, tmp_path: Path, start: bytes) -> None:
    """Silence, a header or a body byte by byte: the time for the whole answer is bounded all the same."""

    def trickle(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(start)
        while not server.released.wait(0.05):
            if start:
                request.wfile.write(b" ")
                request.wfile.flush()

    reader = Reader(tmp_path, server.url)
    reader.names()
    server.answer = trickle
    reader.sources.timeout = 0.5
    began = time.monotonic()
    assert reader.names() == ["isp"]
    assert time.monotonic() - began < 5
    assert "within 0.5 s" in reader.warning


def test_redirects_are_followed_within_reason(server: Server, tmp_path: Path) -> None:
    """A redirect is followed; a circle of them ends with a warning."""
    reader = Reader(tmp_path, server.url)
    paths: list[str] = []

    def redirect(request: BaseHTTPRequestHandler) -> None:
        paths.append(request.path)
        if request.path == "/there":
            give(TWO)(request)
            return
        request.send_response(302)
        request.send_header("Location", "/there" if len(paths) == 1 else "/sd")
        request.send_header("Content-Length", "0")
        request.end_headers()

    server.answer = redirect
    assert reader.names() == ["isp", "sw"]
    assert reader.names() == ["isp", "sw"]
    assert "redirects in a circle" in reader.warning
