"""How much a client may send, and what becomes of what is too much, or no request at all."""

from __future__ import annotations

import contextlib
from pathlib import Path

import h11
import pytest
from starlette.types import Receive, Scope, Send

from exporter.web.connections import MAX_BODY, MAX_HEADER
from tests.web.security.site import Held, Secured, ended
from tests.web.site import until


@pytest.mark.parametrize("size", [MAX_HEADER, 10 * MAX_HEADER])
def test_a_large_header(size: int, open_site: Secured) -> None:
    """More than 16 KiB of it are a 400 or 431, whether one line or many, and however they come."""
    for text in ("x: " + "y" * size, "\r\n".join(f"x{number}: y" for number in range(size // 6))):
        with open_site.connect() as client:
            try:
                client.sendall(f"GET /metrics HTTP/1.1\r\nhost: a\r\n{text}\r\n\r\n".encode())
                answer = client.recv(1000)
            except ConnectionError:
                continue
            assert answer[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 431")
    assert open_site.backend.renders == 0
    assert open_site.status() == 200


def test_a_large_body(open_site: Secured) -> None:
    """More than 64 KiB are a 413 before any of it is read."""
    assert open_site.ask("/-/reload", "POST", body=b"x" * MAX_BODY)[0] == 200
    status, headers, _ = open_site.ask("/-/reload", "POST", {"content-length": str(MAX_BODY + 1)}, body=b"x")
    assert (status, headers["connection"]) == (413, "close")
    assert open_site.backend.reloads == 1


#: A byte each, as dear to parse as a body can be.
CHUNKS = b"1\r\na\r\n" * 20_000
CHUNKED = b"GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"


def test_chunks_without_end(own: Path) -> None:
    """They count as they come, and end the connection at 64 KiB, although no page asks for a body."""
    held = Held()
    with Secured(own, "empty.good.yml", app=held) as site, site.connect() as client:
        client.sendall(CHUNKED)
        until(lambda: held.under_way == 1)
        with contextlib.suppress(ConnectionError):
            client.sendall(CHUNKS)
        assert ended(client)
        held.let.set()


def test_chunks_after_the_answer(own: Path) -> None:
    """Once its answer is there, a request of unknown length is not read to its end: the connection ends."""
    with Secured(own, "users.good.yml") as site, site.connect() as client:
        client.sendall(CHUNKED)
        assert client.recv(1000).startswith(b"HTTP/1.1 401")
        assert ended(client)


@pytest.mark.parametrize("name", ["empty.good.yml", "tls13.good.yml"])
def test_much_at_once_is_parsed_bit_by_bit(name: str, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand requests in one piece are all answered, and no more than 4 KiB are parsed between two others."""
    sizes: list[int] = []
    receive_data = h11.Connection.receive_data

    def noted(self: h11.Connection, data: bytes) -> None:
        sizes.append(len(data))
        receive_data(self, data)

    monkeypatch.setattr(h11.Connection, "receive_data", noted)
    with Secured(own, name) as site:
        client = site.connect()
        if name != "empty.good.yml":
            client = site.context().wrap_socket(client, server_hostname="localhost")
        with client:
            client.sendall(b"GET /-/healthy HTTP/1.1\r\nhost: a\r\n\r\n" * 1000)
            answers = b""
            while answers.count(b"healthy\n") < 1000:
                data = client.recv(65_536)
                assert data
                answers += data
    assert answers.count(b"HTTP/1.1 200") == 1000
    assert max(sizes) <= 4096
    assert sum(sizes) > 30_000


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n",
        b"GET / HTTP/1.1\r\n",
        b"POST /-/reload HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n",
        b"POST /-/reload HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n",
        b"POST /-/reload HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\n x: folded\x00\r\n",
        b"GET /\x80 HTTP/1.1\r\nhost: a\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ],
)
def test_what_is_no_request(request_line: bytes, open_site: Secured, caplog: pytest.LogCaptureFixture) -> None:
    """What two readers might understand differently is a 4xx or the end, changes nothing, and fills no log."""
    with open_site.connect() as client:
        client.sendall(request_line + b"\r\n")
        assert client.recv(15)[:10] in (b"HTTP/1.1 4", b"HTTP/1.1 5")
    assert open_site.backend.reloads == 0
    assert not caplog.records


def test_a_client_that_breaks_off_in_its_body(own: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Rubbish where a chunk should be ends the connection, be it amid the answer, and leaves no traceback."""

    async def begun(_: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        await receive()

    with Secured(own, "empty.good.yml", app=begun) as site, site.connect() as client:
        client.sendall(CHUNKED)
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        client.sendall(b"rubbish\r\n")
        assert ended(client)
    assert [record for record in caplog.records if record.name != "exporter.audit"] == []
