"""Who is let in: names, passwords and roles, on every path, with the same effort for every wrong one."""

from __future__ import annotations

import base64
import logging
import re
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bcrypt
import pytest

from exporter.web import passwords
from exporter.web.app import create_app
from exporter.web.connections import MAX_HEADER
from tests.web.security.site import PASSWORDS, Secured, basic
from tests.web.site import until

#: Paths of every kind: pages, files, health, the API, and what there is not.
PATHS = (
    "/",
    "/metrics",
    "/metrics/snmp",
    "/-/healthy",
    "/-/ready",
    "/sd",
    "/api/v1/devices",
    "/no/such",
    "//",
    "/%2e",
)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The hash of each real check of a password."""
    found: list[bytes] = []
    real: Callable[[bytes, bytes], bool] = bcrypt.checkpw

    def counted(password: bytes, hashed: bytes) -> bool:
        found.append(hashed)
        return real(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", counted)
    return found


def test_every_path_asks(own: Path) -> None:
    """Without a password, or with a wrong one, any path in any method is a 401 that says how to ask."""
    with Secured(own, "users.good.yml") as site:
        for path in PATHS:
            for method in ("GET", "HEAD", "POST", "OPTIONS", "BREW"):
                for headers in ({}, basic("alice", "wrong")):
                    status, told, _ = site.ask(path, method, headers)
                    assert status == 401
                    assert told["www-authenticate"] == 'Basic realm="ward-exporter", charset="UTF-8"'
        assert site.backend.renders == site.backend.reloads == 0
        assert [site.status("/metrics", headers=basic(name)) for name in PASSWORDS] == [200] * 3


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Basic",
        "Basic !!!!",
        "Basic YWxpY2U=",
        "Basic " + base64.b64encode(b":").decode(),
        "Basic " + base64.b64encode(b"\xff:\xff").decode(),
        "Basic " + base64.b64encode(b"alice:S3cret of alice\0").decode(),
        "Basic " + base64.b64encode(b"alice:" + b"S3cret of alice" * 20).decode(),
        "Basic " + base64.b64encode(b"ALICE:S3cret of alice").decode(),
        "Bearer " + base64.b64encode(b"alice:S3cret of alice").decode(),
        "Digest username=alice",
    ],
)
def test_what_is_no_password(value: str, own: Path) -> None:
    """Half a header, one of another scheme, a password longer than bcrypt takes: each is a 401, and none a 500."""
    with Secured(own, "users.good.yml") as site:
        assert site.status(headers={"authorization": value}) == 401


def test_two_headers_are_none(own: Path) -> None:
    """Of two passwords neither counts: a proxy may have looked at the other one."""
    right = basic("alice")["authorization"]
    with Secured(own, "users.good.yml") as site, site.connect() as client:
        client.sendall(f"GET / HTTP/1.1\r\nhost: a\r\nauthorization: {right}\r\nauthorization: x\r\n\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 401")


def test_an_unknown_name_costs_what_a_wrong_password_does(own: Path, calls: list[bytes]) -> None:
    """Each is one check against a hash of the same cost, a password that is too long as well."""
    with Secured(own, "users.good.yml") as site:
        for name, password in (("alice", "wrong"), ("nobody", "wrong"), ("alice", "x" * 99), ("nobody", "x" * 99)):
            calls.clear()
            assert site.status(headers=basic(name, password)) == 401
            assert [hashed[4:6] for hashed in calls] == [b"04"]


def test_a_password_is_checked_once(own: Path, calls: list[bytes]) -> None:
    """Right or wrong, the result is remembered; another name, password or hash is checked anew."""
    with Secured(own, "users.good.yml") as site:
        for _ in range(3):
            assert site.status(headers=basic("alice")) == 200
            assert site.status(headers=basic("alice", "wrong")) == 401
            assert site.status(headers=basic("nobody", "wrong")) == 401
        assert len(calls) == 3
        # The place where one part ends and the next begins counts too.
        assert site.status(headers=basic("alic", "e" + PASSWORDS["alice"])) == 401
        assert len(calls) == 4


def test_those_who_come_together_share_a_check(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty scrapes at once with one password cost one check; other pages are served while it lasts."""
    held, count = threading.Event(), []

    def slow(password: bytes, hashed: bytes) -> bool:
        count.append(hashed)
        return held.wait(10)

    with Secured(own, "users.good.yml") as site, ThreadPoolExecutor(50) as pool:
        assert site.status(headers=basic("bob")) == 200
        monkeypatch.setattr(bcrypt, "checkpw", slow)
        answers = [pool.submit(site.status, "/metrics", "GET", basic("alice")) for _ in range(50)]
        until(lambda: len(count) == 1)
        # Off the loop: who is known need not wait.
        assert site.status(headers=basic("bob")) == 200
        held.set()
        assert [answer.result() for answer in answers] == [200] * 50
    assert len(count) == 1


def test_guesses_lock_nobody_out(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who guesses is told to come later; others, checked before or never yet, get in meanwhile, and stay in."""
    turns = threading.Semaphore(0)
    real: Callable[[bytes, bytes], bool] = bcrypt.checkpw

    def held(password: bytes, hashed: bytes) -> bool:
        return turns.acquire(timeout=10) and real(password, hashed)

    monkeypatch.setattr(passwords, "_REMEMBERED", 10)
    with Secured(own, "users.good.yml") as site, ThreadPoolExecutor(70) as pool:
        assert site.status(headers=basic("alice")) == 200
        monkeypatch.setattr(bcrypt, "checkpw", held)
        flood = [pool.submit(site.ask, "/", "GET", basic("alice", f"{number}")) for number in range(64)]
        until(lambda: sum(answer.done() for answer in flood) == 56)
        assert site.status(headers=basic("alice")) == 200
        scraper = pool.submit(site.ask, "/", "GET", basic("bob"), source="127.0.0.2")
        for _ in range(9):
            turns.release()
        assert scraper.result()[0] == 200
        answers = [answer.result() for answer in flood]
        assert sorted(status for status, _, _ in answers) == [401] * 8 + [503] * 56
        assert all(told["retry-after"] == "1" for status, told, _ in answers if status == 503)
        monkeypatch.setattr(bcrypt, "checkpw", real)
        for number in range(30):
            assert site.status(headers=basic("bob", f"{number}")) == 401
        assert site.status(headers=basic("alice")) == 200


def test_one_guess_by_many_is_bounded_too(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same wrong password a hundred times at once keeps so many connections busy, and no more."""
    held = threading.Event()
    monkeypatch.setattr(passwords, "MOST_WAITING", 5)
    monkeypatch.setattr(bcrypt, "checkpw", lambda *_: not held.wait(10))
    with Secured(own, "users.good.yml") as site, ThreadPoolExecutor(20) as pool:
        flood = [pool.submit(site.status, "/", "GET", basic("alice", "wrong")) for _ in range(20)]
        until(lambda: sum(answer.done() for answer in flood) == 15)
        held.set()
        assert sorted(answer.result() for answer in flood) == [401] * 5 + [503] * 15


def test_a_network_is_an_address_or_a_64() -> None:
    """All addresses of one /64 are one client; those of IPv4 are not, as an IPv6 socket tells them neither."""
    same = {passwords._network(peer) for peer in ("2001:db8::1", "2001:db8::2", "2001:db8::ffff:0:0:1")}
    assert len(same) == 1
    others = ("2001:db8:0:1::1", "fe80::1%eth0", "10.0.0.1", "10.0.0.2", "::ffff:10.0.0.1", "::ffff:10.0.0.2")
    assert len({passwords._network(peer) for peer in others} | same) == 7


def test_passwords_are_not_kept(own: Path) -> None:
    """What is remembered of a password is a digest under a key that dies with the process."""
    with Secured(own, "users.good.yml") as site:
        checked = passwords.Passwords()
        other = passwords.Passwords()
        parts = (b"alice", site.live.current.users["alice"].hash.reveal(), b"S3cret of alice")
        assert checked._digest(*parts) != other._digest(*parts)
        assert len(checked._digest(*parts)) == 32


def test_readers_may_read(own: Path) -> None:
    """A read-only user gets all pages and changes nothing, on any path that there is or may be; others may."""
    with Secured(own, "roles.good.yml") as site:
        for path in PATHS:
            assert site.status(path, headers=basic("carol")) == site.status(path, headers=basic("alice")) != 401
            for method in ("POST", "PUT", "PATCH", "DELETE", "BREW"):
                assert site.status(path, method, basic("carol")) == 403
        assert site.status("/-/reload", "POST", basic("carol")) == 403
        assert site.backend.reloads == 0
        assert site.status("/-/reload", "POST", basic("alice")) == 200
        assert site.backend.reloads == 1


def test_whatever_changes_something_is_no_get(own: Path) -> None:
    """That a reader may GET everything is safe: each route of a GET has no other method."""
    with Secured(own, "roles.good.yml") as site:
        for route in create_app(site.backend).routes:
            methods = getattr(route, "methods", None) or {"GET", "HEAD"}
            assert not methods & {"GET", "HEAD"} or methods <= {"GET", "HEAD"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"sec-fetch-site": "same-origin", "origin": "http://ward.example:9841"}, 200),
        # Its TLS may end at a proxy.
        ({"origin": "https://WARD.example:9841"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "http://ward.example"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
    ],
)
def test_pages_of_others_change_nothing(headers: dict[str, str], status: int, own: Path) -> None:
    """A browser that reads another site does not reload by it, with the password that it knows; it may look."""
    with Secured(own, "users.good.yml") as site:
        sent = {**basic("alice"), "host": "ward.example:9841", **headers}
        assert [site.status("/-/reload", method, sent) for method in ("POST", "PUT")] == [status] * 2
        assert site.backend.reloads == (2 if status == 200 else 0)
        assert site.status("/metrics", headers=sent) == 200


def audited(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "exporter.audit"]


def test_every_change_is_in_the_log(own: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Who, from where, what and with which result, of what was refused too; a look leaves no line."""
    caplog.set_level(logging.ERROR, "exporter")
    caplog.handler.setLevel(logging.NOTSET)
    with Secured(own, "roles.good.yml") as site:
        for path in PATHS:
            site.status(path, headers=basic("alice"))
        assert audited(caplog) == []
        site.status("/-/reload", "POST", basic("alice"))
        # A query may hold what is nobody's business.
        site.status("/-/reload?password=S3cret", "POST", basic("carol"))
        site.status("/-/reload", "POST", basic("alice", "wrong"))
        site.status("/api/v1/devices/a/trace", "DELETE")
        site.backend.failure = RuntimeError()
        site.status("/-/reload", "POST", basic("alice"))
        site.ask("/-/reload", "POST", {"content-length": "99999"}, body=b"x")
        site.status("/-/reload", "PUT", {**basic("alice"), "x": "y" * (MAX_HEADER - 100)})
        site.status("/-/reload", "POST", {**basic("alice"), "origin": "null"})
        until(lambda: len(audited(caplog)) == 8)
        lines = [re.sub(r":\d+(?=: )| in [\d.]+ s$", "", line) for line in audited(caplog)]
    assert lines == [
        "alice from 127.0.0.1: POST /-/reload: 200",
        "carol from 127.0.0.1: POST /-/reload: 403",
        "anonymous from 127.0.0.1: POST /-/reload: 401",
        "anonymous from 127.0.0.1: DELETE /api/v1/devices/a/trace: 401",
        "alice from 127.0.0.1: POST /-/reload: 500",
        "anonymous from 127.0.0.1: POST /-/reload: 413",
        "anonymous from 127.0.0.1: PUT /-/reload: 431",
        "anonymous from 127.0.0.1: POST /-/reload: 403",
    ]


def test_a_flood_does_not_fill_the_log(own: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What the rate limit refuses leaves no line: the log says who changed what, not how often it was tried."""
    with Secured(own, "rate.good.yml") as site:
        assert [site.status("/-/reload", "POST") for _ in range(9)] == [200] * 3 + [429] * 6
        until(lambda: len(audited(caplog)) == 3)
        assert all(line.partition(" in ")[0].endswith(": 200") for line in audited(caplog))


def test_who_asked_is_who_is_at_the_other_end(own: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What a client says of where it comes from is not believed."""
    with Secured(own, "empty.good.yml") as site:
        lie = {"x-forwarded-for": "10.9.9.9", "forwarded": "for=10.9.9.9", "x-forwarded-proto": "https"}
        assert site.status("/-/reload", "POST", lie) == 200
    assert "10.9.9.9" not in caplog.text
    assert "anonymous from 127.0.0.1:" in caplog.text


def test_a_client_that_goes_away_is_in_the_log_too(own: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A change is noted although nobody waits for the answer."""
    with Secured(own, "empty.good.yml") as site:
        with site.connect() as client:
            client.sendall(b"POST /-/reload HTTP/1.1\r\nhost: a\r\n\r\n")
            client.shutdown(socket.SHUT_WR)
        until(lambda: len(audited(caplog)) == 1)
    assert site.backend.reloads == 1
