"""What one client may take from the others: time, connections, requests, bytes. Nobody keeps a scrape out."""

from __future__ import annotations

import contextlib
import io
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from exporter.web import connections, files, limits
from exporter.web import server as server_module
from exporter.web.connections import Connections, most_connections
from exporter.web.security import DEFAULT_HEADERS
from tests.state.driver import Driver, device
from tests.web.listening import Listener
from tests.web.security.site import Held, Secured, basic, ended
from tests.web.site import until

SOON = 0.2


def healthy(client: socket.socket) -> bool:
    """Whether a connection that stays open brings an answer."""
    client.sendall(b"GET /-/healthy HTTP/1.1\r\nhost: a\r\n\r\n")
    answer = b""
    while not answer.endswith(b"healthy\n"):
        answer += client.recv(1000)
    return answer.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nhost: a\r\nx: "])
@pytest.mark.parametrize("name", ["empty.good.yml", "tls13.good.yml"])
def test_a_request_that_does_not_come(name: str, sent: bytes, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence, and a header that is never finished, end after the deadline, plain or encrypted."""
    monkeypatch.setattr(connections, "HEADER_SECONDS", SOON)
    with Secured(own, name) as site:
        client = site.connect()
        if name != "empty.good.yml":
            client = site.context().wrap_socket(client, server_hostname="localhost")
        with client:
            client.sendall(sent)
            start = time.monotonic()
            assert ended(client)
            assert time.monotonic() - start < 5
        until(lambda: len(site.connections) == 0)


def test_a_header_in_drips(open_site: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte does not start the clock anew."""
    monkeypatch.setattr(connections, "HEADER_SECONDS", SOON)
    with open_site.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nx: ")
        for _ in range(1000):
            try:
                client.sendall(b"y")
                assert ended(client, SOON / 20)
            except TimeoutError:
                continue
            except ConnectionError:
                pass
            return
    pytest.fail("it is never cut off")


def test_the_next_request_has_the_same_deadline(open_site: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that was answered once may rest, but not begin another request and leave it."""
    monkeypatch.setattr(connections, "HEADER_SECONDS", SOON)
    with open_site.connect() as client:
        assert healthy(client)
        time.sleep(2 * SOON)
        assert healthy(client)
        client.sendall(b"G")
        assert ended(client)


def test_a_body_that_does_not_come(open_site: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is announced and not sent ends the connection, although its request was answered."""
    monkeypatch.setattr(connections, "BODY_SECONDS", SOON)
    with open_site.connect() as client:
        client.sendall(b"POST /-/reload HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nx")
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        assert ended(client)


def test_a_handshake_that_does_not_come(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS has a deadline of its own, and those that wait for it are counted with the others."""
    monkeypatch.setattr(server_module, "_HANDSHAKE_SECONDS", SOON)
    with Secured(own, "tls13.good.yml") as site, site.connect() as client:
        until(lambda: len(site.connections) == 1)
        client.sendall(b"\x16\x03\x01")
        assert ended(client)
        until(lambda: len(site.connections) == 0)


def test_an_idle_connection_is_closed(open_site: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that rests between requests is closed in the end, one that does not read as well."""
    monkeypatch.setattr(open_site._server.config, "timeout_keep_alive", SOON)
    with open_site.connect() as client:
        client.sendall(b"GET /-/healthy HTTP/1.1\r\nhost: a\r\n\r\n")
        assert ended(client)
    until(lambda: len(open_site.connections) == 0)


@pytest.mark.parametrize("name", ["empty.good.yml", "tls13.good.yml"])
def test_idle_connections_make_room(name: str, own: Path) -> None:
    """Many times more silent sockets than there are places: each new request is answered all the same."""
    with Secured(own, name, most=10) as site, contextlib.ExitStack() as stack:
        context = None if name == "empty.good.yml" else site.context()
        for _ in range(20):
            for _ in range(10):
                stack.enter_context(site.connect())
            assert site.status(context=context) == 200
            assert len(site.connections) <= 10


def test_who_was_answered_stays_longest(own: Path) -> None:
    """A scraper's resting connection outlives the silent ones that came after it."""
    with Secured(own, "empty.good.yml", most=5) as site, contextlib.ExitStack() as stack:
        scraper = stack.enter_context(site.connect())
        for _ in range(3):
            assert healthy(scraper)
            for _ in range(20):
                stack.enter_context(site.connect())


def test_a_house_full_of_requests(own: Path) -> None:
    """When all places are being answered, who comes then is told so at once, and these go on."""
    held = Held()
    with Secured(own, "empty.good.yml", app=held, most=3) as site, ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(site.ask) for _ in range(3)]
        until(lambda: held.under_way == 3)
        status, headers, body = site.ask()
        assert (status, headers["retry-after"], body) == (503, "1", b"too many requests at once\n")
        assert {name: headers[name.lower()] for name in DEFAULT_HEADERS} == DEFAULT_HEADERS
        held.let.set()
        assert [answer.result()[0] for answer in answers] == [200] * 3
        assert site.status() == 200


def test_requests_wait_for_a_place(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than can be answered at once wait; who waits too long gets a 503; health is told all the while."""
    monkeypatch.setattr(limits, "MOST_REQUESTS", 2)
    held = Held()
    with Secured(own, "empty.good.yml", app=held) as site, ThreadPoolExecutor(6) as pool:
        answers = [pool.submit(site.status) for _ in range(4)]
        until(lambda: held.under_way == 2)
        health = pool.submit(site.status, "/-/healthy")
        stream = pool.submit(site.status, "/api/v1/events")
        until(lambda: held.under_way == 4)
        monkeypatch.setattr(limits, "WAIT_SECONDS", SOON)
        assert site.status() == 503
        held.let.set()
        assert [answer.result() for answer in (*answers, health, stream)] == [200] * 6


def test_a_client_that_does_not_read(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is cut off after a while; until then a piece of the page is on its way, and not all of it."""
    monkeypatch.setattr(connections, "STALL_SECONDS", SOON)
    with Secured(own, "empty.good.yml") as site:
        site.backend.page = lambda: b"x" * 50_000_000
        with site.connect() as client:
            client.sendall(b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n")
            until(lambda: len(site.connections) == 1)
            (connection,) = [*site.connections._busy, *site.connections._fresh]
            until(lambda: connection.stalled is not None or connection.transport.is_closing())
            assert connection.transport.get_write_buffer_size() < 1_000_000
            until(lambda: len(site.connections) == 0)


def test_those_that_do_not_read_make_room(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that ask for a page and leave it, one for each place: a scrape still gets its answer."""
    monkeypatch.setattr(limits, "MOST_REQUESTS", 3)
    monkeypatch.setattr(limits, "_PATIENCE_SECONDS", SOON)
    with Secured(own, "empty.good.yml") as site, contextlib.ExitStack() as stack:
        site.backend.page = lambda: b"x" * 50_000_000
        for _ in range(6):
            client = stack.enter_context(site.connect())
            client.sendall(b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n")
        until(lambda: sum(one.stalled is not None for one in [*site.connections._busy]) == 3)
        time.sleep(2 * SOON)
        site.backend.page = lambda: b"ward_up 1\n"
        assert site.status() == 200


@pytest.mark.parametrize(("slow_seconds", "pieces"), [(SOON, 0), (60, 1000)])
def test_those_that_read_slowly_make_room(
    slow_seconds: float, pieces: int, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients that read steadily, but would take a minute for their page: a scrape still gets its answer.

    They are told by how long they were waited for, or by how little they took.
    """
    monkeypatch.setattr(limits, "MOST_REQUESTS", 3)
    monkeypatch.setattr(limits, "WAIT_SECONDS", 8)
    monkeypatch.setattr(limits, "_SLOW_SECONDS", slow_seconds)
    monkeypatch.setattr(limits, "_PIECES_A_SECOND", pieces)
    done = threading.Event()

    def read_slowly(client: socket.socket) -> None:
        with contextlib.suppress(ConnectionError):
            while not done.wait(0.1) and client.recv(65_536):
                pass

    with Secured(own, "empty.good.yml") as site, ThreadPoolExecutor(6) as pool, contextlib.ExitStack() as stack:
        stack.callback(done.set)
        site.keep_little()
        site.backend.page = lambda: b"x" * 50_000_000
        for _ in range(6):
            client = stack.enter_context(site.connect())
            client.sendall(b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n")
            pool.submit(read_slowly, client)
        until(lambda: sum(one.waited_seconds > 0 for one in [*site.connections._busy]) == 3)
        site.backend.page = lambda: b"ward_up 1\n"
        assert site.status() == 200


def test_a_live_stream_lasts(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No deadline cuts off a listener of the wallboard's stream that reads what comes, be it long in coming."""
    for name in ("HEADER_SECONDS", "BODY_SECONDS", "STALL_SECONDS"):
        monkeypatch.setattr(connections, name, SOON)
    with Secured(own, "empty.good.yml") as site, site.connect() as client:
        client.sendall(b"GET /api/v1/events HTTP/1.1\r\nhost: a\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        with pytest.raises(TimeoutError):
            ended(client, 5 * SOON)


def test_the_rate_limit(own: Path) -> None:
    """So many at once, then 429 with the time after which to come again, before any password is looked at."""
    with Secured(own, "rate.good.yml") as site:
        assert [site.status() for _ in range(3)] == [200] * 3
        status, headers, _ = site.ask()
        assert (status, headers["retry-after"]) == (429, "61")
        assert headers["x-content-type-options"] == "nosniff"
        text = "basic_auth_users: {alice: $2y$04$hWUMAYk6E9SSuSJNmptQA.aMIGJMnDY2AZGrMV0te4oHs4z40SLEW}\n"
        site.config.write_text(text + (own / "rate.good.yml").read_text())
        site.live.reload()
        assert site.status(headers=basic("alice")) == 429


def test_the_rate_limit_lets_go(own: Path) -> None:
    """A token comes back each interval, and no more of them gather than the burst."""
    (own / "fast.yml").write_text("rate_limit: {interval: 50ms, burst: 2}\n")
    with Secured(own, "fast.yml") as site:
        time.sleep(0.5)
        statuses = []
        until(lambda: statuses.append(site.status()) or 429 in statuses)
        until(lambda: site.status() == 200)
        site.config.write_text("rate_limit: {interval: 0, burst: 2}\n")
        site.live.reload()
        assert {site.status() for _ in range(20)} == {200}


class Slowly(io.RawIOBase):
    """What a socket brings, at 200 kB a second or less."""

    def __init__(self, source: socket.socket) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        time.sleep(0.1)
        return self._source.recv_into(memoryview(buffer)[:20_000])


def test_a_slow_line_gets_a_whole_snapshot(own: Path) -> None:
    """A listener that takes longer over one message than a silent one is waited for has it all in the end."""
    driver = Driver([device(f"{number}-" + "x" * 200) for number in range(4000)])
    driver.settle(up=driver.row)
    with Secured(own, "empty.good.yml") as site:
        site.backend.verdicts = driver.verdicts
        site.keep_little()
        start = time.monotonic()
        with Listener(site.port, receive_bytes=20_000, through=Slowly) as listener:
            assert len(listener.until("snapshot").data["states"]) == 4000
        assert time.monotonic() - start > connections.STALL_SECONDS + 1


def test_how_many_connections() -> None:
    """At most half of the file descriptors, so that a reload can still open its files."""
    assert 16 <= most_connections() <= 4096


def test_what_has_ended_is_forgotten() -> None:
    """A connection that is told of after its end takes no place."""
    found = Connections(1)
    a_socket, other = socket.socketpair()
    with a_socket, other:
        gone = connections.Connection(None)  # type: ignore[arg-type]  # nothing is sent
        found.gone(gone)
        found.set_busy(gone, True)
    assert len(found) == 0


def test_default_headers(open_site: Secured) -> None:
    """Every answer, an error as well, says what a browser may load with it, and that its type is no guess."""
    for path, method in (("/metrics", "GET"), ("/no/such", "GET"), ("/metrics", "POST"), ("/-/reload", "POST")):
        headers = open_site.ask(path, method)[1]
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert "x-frame-options" not in headers
    # The wallboard knows best what it needs.
    assert open_site.ask("/")[1]["content-security-policy"] == files.POLICY


def test_configured_headers(own: Path) -> None:
    """The five come as configured, in place of the page's own, once each; "" takes one away."""
    with Secured(own, "every-key.good.yml") as site:
        context = site.context("scraper", ssl.TLSVersion.TLSv1_3)
        for path in ("/", "/no/such"):
            headers = site.ask(path, headers=basic("alice"), context=context)[1]
            assert headers["strict-transport-security"] == "max-age=31536000"
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "deny"
            assert headers["x-xss-protection"] == "0"
            assert headers["content-security-policy"] == "default-src 'none'"
    nothing = "http_server_config: {headers: {Content-Security-Policy: '', X-Content-Type-Options: ''}}\n"
    (own / "nothing.yml").write_text(nothing)
    with Secured(own, "nothing.yml") as site:
        assert not site.ask("/")[1].keys() & {"content-security-policy", "x-content-type-options"}
