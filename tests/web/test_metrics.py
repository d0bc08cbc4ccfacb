"""The page that is scraped: shared, packed, and whole again after a failure; and who serves it."""

from __future__ import annotations

import asyncio
import gzip
import socket
import threading
import time
from urllib.parse import quote

import pytest

from exporter.errors import ListenError
from exporter.web.background import in_background
from exporter.web.page import wants_gzip
from exporter.web.server import listen, url
from tests.web.site import Web, until


def test_metrics(site: Web) -> None:
    """The page comes as text 0.0.4, plain where nothing is said of gzip; HEAD has the same headers and no body."""
    status, headers, body = site.ask("/metrics")
    assert (status, body) == (200, b"ward_up 1\n" * 1000)
    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert headers["vary"] == "accept-encoding"
    assert "content-encoding" not in headers
    assert "server" not in headers
    status, headers, body = site.ask("/metrics", "HEAD")
    assert (status, headers["content-length"], body) == (200, "10000", b"")


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("gzip", True),
        ("x-gzip", True),
        ("GZIP", True),
        ("deflate, gzip;q=0.5", True),
        ("gzip; q=1.0", True),
        ("gzip;q=0.001", True),
        ("*", True),
        ("br, *;q=0.1", True),
        ("", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("gzip;q=0, *", False),
        ("*, gzip;q=0", False),
        ("*;q=0", False),
        ("*;q=0, gzip", True),
        ("gzipped", False),
        (";;,,=", False),
    ],
)
def test_gzip_negotiation(accepted: str, expected: bool) -> None:
    """gzip is for clients that take it, by name before by *, and never with q=0 (RFC 9110, 12.5.3)."""
    assert wants_gzip(accepted) is expected


def test_gzip(site: Web) -> None:
    """A gzipped page unpacks to the plain one, is much smaller, and says how it is packed."""
    status, headers, body = site.ask("/metrics", headers={"accept-encoding": "deflate, gzip"})
    assert (status, headers["content-encoding"]) == (200, "gzip")
    assert len(body) < 1000
    assert gzip.decompress(body) == b"ward_up 1\n" * 1000
    assert "content-encoding" not in site.ask("/metrics", headers={"accept-encoding": "gzip;q=0"})[1]


def test_one_rendering_for_scrapes_that_come_together(site: Web) -> None:
    """50 scrapes at once, half of them gzipped, cost one rendering, and each gets a whole page."""
    entered, go_on = threading.Event(), threading.Event()

    def slowly() -> bytes:
        entered.set()
        assert go_on.wait(10)
        return b"ward_up 1\n" * 1000

    site.backend.page = slowly
    found: list[bytes] = []

    def scrape(packed: bool) -> None:
        headers = {"accept-encoding": "gzip"} if packed else {}
        body = site.ask("/metrics", headers=headers)[2]
        found.append(gzip.decompress(body) if packed else body)

    clients = [threading.Thread(target=scrape, args=(number % 2 == 0,)) for number in range(50)]
    for client in clients:
        client.start()
    assert entered.wait(10)
    until(lambda: site.requests() == 50)
    go_on.set()
    for client in clients:
        client.join()
    assert found == [b"ward_up 1\n" * 1000] * 50
    assert site.backend.renders == 1


def test_a_client_that_goes_away(site: Web) -> None:
    """Who hangs up while the page is rendered takes it from nobody else."""
    entered, go_on = threading.Event(), threading.Event()

    def slowly() -> bytes:
        entered.set()
        assert go_on.wait(10)
        return b"page"

    site.backend.page = slowly
    impatient = socket.create_connection(("127.0.0.1", site.port))
    impatient.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    assert entered.wait(10)
    other = threading.Thread(target=lambda: answers.append(site.ask("/metrics")[2]))
    answers: list[bytes] = []
    other.start()
    until(lambda: site.requests() == 2)
    impatient.close()
    go_on.set()
    other.join()
    assert answers == [b"page"]
    assert site.ask("/metrics")[2] == b"page"


@pytest.mark.parametrize("packed", [False, True])
def test_a_rendering_that_fails(site: Web, packed: bool, caplog: pytest.LogCaptureFixture) -> None:
    """It is a 500 that tells no secrets, with one traceback in the log, and the next scrape renders anew."""

    def broken() -> bytes:
        raise RuntimeError("secret")

    headers = {"accept-encoding": "gzip"} if packed else {}
    good, site.backend.page = site.backend.page, broken
    for _ in range(2):
        status, _, body = site.ask("/metrics", headers=headers)
        assert (status, body) == (500, b"internal error, see the log\n")
    until(lambda: len(caplog.records) == 2)
    assert all(record.exc_info for record in caplog.records)
    site.backend.page = good
    assert site.ask("/metrics", headers=headers)[0] == 200
    assert len(caplog.records) == 2


def test_background_work_is_not_waited_for() -> None:
    """A loop ends though a thread of its is still busy; results and exceptions come back otherwise."""
    go_on = threading.Event()

    async def leave() -> None:
        assert await in_background(lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            await in_background(lambda: 1 // 0)
        task = asyncio.create_task(in_background(lambda: go_on.wait(30)))
        await asyncio.sleep(0)
        task.cancel()

    begun = time.monotonic()
    asyncio.run(leave())
    assert time.monotonic() - begun < 10
    go_on.set()


def test_listening(site: Web) -> None:
    """`:port` takes both families; a port that is taken, and a host that is nobody, are refused with the reason;
    the address for a browser follows."""
    with listen(":0") as everywhere:
        port = everywhere.getsockname()[1]
        assert url(everywhere, tls=False) == f"http://localhost:{port}/"
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.socket(family) as client:
                client.connect((host, port))
    with listen("[::1]:0") as six:
        assert six.getsockname()[0] == "::1"
        assert url(six, tls=True) == f"https://[::1]:{six.getsockname()[1]}/"
    with pytest.raises(ListenError, match=rf"cannot listen on 127\.0\.0\.1:{site.port}: Address already in use"):
        listen(f"127.0.0.1:{site.port}")
    with pytest.raises(ListenError, match=r"cannot listen on 192\.0\.2\.1:0: Cannot assign"):
        listen("192.0.2.1:0")
    with pytest.raises(ListenError, match=r"cannot listen on nobody\.invalid:1: "):
        listen("nobody.invalid:1")


def test_snmp_in_shards(site: Web) -> None:
    """The SNMP page comes whole, or the part that is asked for; a part that cannot be is a 400 that says why."""
    assert site.ask("/metrics/snmp")[::2] == (200, b"shard 0 of 1\n")
    assert site.ask("/metrics/snmp?shard=3/4")[::2] == (200, b"shard 3 of 4\n")
    for wrong in ("4/4", "0/0", "0/65", "-1/4", "1", "a/b", "0/4/4", "\u0661/4"):
        status, _, body = site.ask(f"/metrics/snmp?shard={quote(wrong)}")
        assert status == 400
        assert body.startswith(b"shard=")
    twice = site.ask("/metrics/snmp?shard=0/2&shard=1/2")
    assert twice[::2] == (400, b"shard is given 2 times, expected: once\n")
    assert site.ask("/metrics/snmp?part=0/4")[::2] == (400, b"unknown query parameter 'part', expected: shard\n")
