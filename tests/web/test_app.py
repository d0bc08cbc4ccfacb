"""The routes, asked over real HTTP: a real server on a real socket, with a backend that the test holds."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from starlette.routing import Route

from exporter.errors import ConfigError, ListenError, Problem
from exporter.inventory.device import Site
from exporter.state.verdict import Verdicts
from exporter.web.app import create_app
from exporter.web.background import in_background
from exporter.web.page import wants_gzip
from exporter.web.server import Server, listen
from tests.state.driver import Driver, device

DOCS = (Path(__file__).parents[2] / "docs" / "http.md").read_text()
NASTY = "<script>alert(\"x\")</script> & 'co'"


class Backend:
    """What the web side needs of a service; each answer is the test's to set."""

    def __init__(self, driver: Driver) -> None:
        self.verdicts: Verdicts = driver.verdicts
        self.page: Callable[[], bytes] = lambda: b"ward_up 1\n" * 1000
        self.renders = 0
        self.sick = self.busy = ""
        self.reloads = 0
        self.failure: BaseException | None = None

    def render_metrics(self) -> bytes:
        self.renders += 1
        return self.page()

    def unhealthy(self) -> str:
        return self.sick

    def unready(self) -> str:
        return self.sick or self.busy

    async def reload(self) -> None:
        self.reloads += 1
        if self.failure is not None:
            raise self.failure


class Web:
    """A running server."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._socket = listen("127.0.0.1:0")
        self.port: int = self._socket.getsockname()[1]
        self._server = Server(create_app(backend))
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()

    def requests(self) -> int:
        """How many are being answered."""
        return len(self._server.server_state.tasks)

    def ask(
        self, path: str, method: str = "GET", headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def json(self, path: str) -> Any:
        status, headers, body = self.ask(path)
        assert (status, headers["content-type"]) == (200, "application/json")
        return json.loads(body)


@pytest.fixture
def driver() -> Driver:
    found = Driver(
        [
            device("isp-a", role="isp", priority=0, site="s", provider="magti", labels=(("rack", "a3"),)),
            device("a/b c", role="router", site="s", region="r", parent="isp-a", latitude=41.5, longitude=0.0),
            device("თბილისი", address="fd00::5", role="switch"),
            device(NASTY, role=NASTY),
            device("new"),
        ],
        [Site(name="s", region="r")],
    )
    for letters in ("++++", "+-+-", "+-+-", "+-+-"):
        found.second(dict(zip(found.row, letters, strict=False)))
    return found


@pytest.fixture
def site(driver: Driver) -> Iterator[Web]:
    running = Web(Backend(driver))
    yield running
    running.close()


def documented() -> dict[str, tuple[set[str], set[int]]]:
    """By route: methods and status codes that docs/http.md tells."""
    found = re.findall(r"^\| `(/\S*)` \| ([A-Z, ]+) \| ([\d, ]+) \|", DOCS, re.MULTILINE)
    return {
        path: ({*methods.split(", ")}, {int(code) for code in codes.split(", ")}) for path, methods, codes in found
    }


def test_every_route_is_documented(site: Web) -> None:
    """The page's table has each route of the application with its methods, and no other."""
    routes = {
        route.path.replace(":path", ""): set(route.methods or ()) - {"HEAD"}
        for route in create_app(site.backend).routes
        if isinstance(route, Route)
    }
    assert {path: methods for path, (methods, _) in documented().items()} == routes


def test_every_status_is_documented(site: Web) -> None:
    """The status codes that each route gives, brought about one by one, are those of the page."""
    backend = site.backend

    def asks(*paths: str, method: str = "GET") -> set[int]:
        return {site.ask(path, method)[0] for path in paths}

    found = {path: asks(path) for path in ("/", "/metrics", "/-/healthy", "/-/ready", "/api/v1/devices")}
    found["/sd"] = asks("/sd", "/sd?x=1")
    found["/api/v1/devices/{name}"] = asks("/api/v1/devices/isp-a", "/api/v1/devices/nobody")
    found["/-/reload"] = asks("/-/reload", method="POST")
    backend.failure, backend.sick = ConfigError([Problem("ward.yml", 3, "probe", "wrong")]), "the loop stands"
    found["/-/reload"] |= asks("/-/reload", method="POST")
    found["/-/healthy"] |= asks("/-/healthy")
    found["/-/ready"] |= asks("/-/ready")
    assert found == {path: codes for path, (_, codes) in documented().items()}


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


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


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


def test_health_and_readiness(site: Web) -> None:
    """200 and a word when all is well, else 503 and the reason; not ready is not yet unhealthy."""
    assert site.ask("/-/healthy")[::2] == (200, b"healthy\n")
    assert site.ask("/-/ready")[::2] == (200, b"ready\n")
    site.backend.busy = "the first sweep is under way"
    assert site.ask("/-/healthy")[0] == 200
    assert site.ask("/-/ready")[::2] == (503, b"the first sweep is under way\n")
    site.backend.sick = "the probe loop stands for 7 s"
    assert site.ask("/-/healthy")[::2] == (503, b"the probe loop stands for 7 s\n")
    assert site.ask("/-/ready")[::2] == (503, b"the probe loop stands for 7 s\n")


def test_reload_is_a_post(site: Web) -> None:
    """GET, which a crawler may send, reloads nothing: 405, with the method that does."""
    for method in ("GET", "HEAD", "PUT"):
        status, headers, _ = site.ask("/-/reload", method)
        assert (status, headers["allow"]) == (405, "POST")
    assert site.backend.reloads == 0
    assert site.ask("/-/reload", "POST")[::2] == (200, b"reloaded\n")
    assert site.backend.reloads == 1


def test_a_reload_that_fails_says_why(site: Web) -> None:
    """500 with every problem and its place; what nobody has foreseen is a 500 too, without its inside."""
    site.backend.failure = ConfigError(
        [Problem("ward.yml", 3, "probe.interval", "wrong"), Problem("d.csv", None, "", "empty")]
    )
    status, _, body = site.ask("/-/reload", "POST")
    assert status == 500
    assert body.decode().splitlines() == [
        "reload failed, the former configuration stays:",
        "ward.yml:3: probe.interval: wrong",
        "d.csv: empty",
    ]
    site.backend.failure = RuntimeError("secret")
    assert site.ask("/-/reload", "POST")[::2] == (500, b"internal error, see the log\n")


@pytest.mark.parametrize("path", ["/nowhere", "/metrics/", "/-/", "/sd/", "/api", "/api/v1/devices/", "/..%2fetc"])
def test_unknown_paths(site: Web, path: str) -> None:
    """What is not listed is a 404, also with a slash too many."""
    assert site.ask(path)[0] == 404


def test_other_methods(site: Web) -> None:
    """A known path with another method is a 405."""
    for path in ("/", "/metrics", "/-/healthy", "/-/ready", "/sd", "/api/v1/devices", "/api/v1/devices/isp-a"):
        status, headers, _ = site.ask(path, "POST")
        assert (status, {*headers["allow"].split(", ")}) == (405, {"GET", "HEAD"})


def test_discovery(site: Web) -> None:
    """Each device is one target group with what Prometheus needs to tell it apart; empty facts are left out."""
    found = {group["labels"]["device"]: group for group in site.json("/sd")}
    assert list(found) == ["isp-a", "a/b c", "თბილისი", NASTY, "new"]
    assert found["isp-a"]["labels"] == {
        "device": "isp-a",
        "role": "isp",
        "priority": "0",
        "site": "s",
        "provider": "magti",
        "rack": "a3",
    }
    assert found["თბილისი"]["targets"] == ["fd00::5"]
    assert all(isinstance(value, str) and value for group in found.values() for value in group["labels"].values())


def test_discovery_by_role(site: Web) -> None:
    """?role= filters, several roles add up, an unknown role is an empty list; another key is a 400 that says so."""

    def names(query: str) -> list[str]:
        return [group["labels"]["device"] for group in site.json(f"/sd?{query}")]

    assert names("role=isp") == ["isp-a"]
    assert names("role=router&role=isp") == ["isp-a", "a/b c"]
    assert names(f"role={quote(NASTY)}") == [NASTY]
    assert names("role=nothing") == []
    status, _, body = site.ask("/sd?role=isp&rolle=x")
    assert (status, body) == (400, b"unknown query parameter 'rolle', expected: role\n")


def keys(heading: str) -> set[str]:
    """The keys in the table of a section of docs/http.md."""
    section = DOCS.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    firsts = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    return {key for first in firsts for key in re.findall(r"`(\w+)`", first)}


def test_devices(site: Web) -> None:
    """The list has every device in order, with the documented keys and the state of the verdicts."""
    found = site.json("/api/v1/devices")
    assert [one["name"] for one in found["devices"]] == ["isp-a", "a/b c", "თბილისი", NASTY, "new"]
    assert [one["state"] for one in found["devices"]] == ["up", "down", "up", "down", "unknown"]
    assert all(one.keys() == keys("/api/v1/devices") for one in found["devices"])
    isp, router, *_, new = found["devices"]
    assert (isp["since"], isp["last_reply"], isp["reason"]) == (1_700_000_000.0, 1_700_000_003.0, None)
    assert (router["since"], router["reason"], router["suppressed"]) == (1_700_000_003.0, "timeout", [])
    assert (new["since"], new["last_reply"], new["reason"], new["flapping"]) == (None, None, None, False)
    packed = site.ask("/api/v1/devices", headers={"accept-encoding": "gzip"})[2]
    assert json.loads(gzip.decompress(packed)) == found


def test_a_device(site: Web) -> None:
    """One device has the documented keys, whatever letters its name is made of; an unknown name is a 404."""
    for name in ("isp-a", "a/b c", "თბილისი", NASTY, "new"):
        for encoded in (quote(name), quote(name, safe="")):
            found = site.json(f"/api/v1/devices/{encoded}")
            assert found["name"] == name
            assert found.keys() == keys("/api/v1/devices") | keys("/api/v1/devices/{name}")
    router = site.json("/api/v1/devices/a/b%20c")
    assert (router["parent"], router["latitude"], router["longitude"]) == ("isp-a", 41.5, 0.0)
    assert router["recent"] == [0.01, None, None, None]
    assert (router["probes_sent"], router["replies"], router["reply_ttl"]) == (4, 1, 64)
    assert router["limits"] == {"rtt_seconds": 0.2, "packet_loss_ratio": 0.1, "flap_changes": 3}
    assert site.json("/api/v1/devices/isp-a")["labels"] == {"rack": "a3"}
    status, _, body = site.ask("/api/v1/devices/10.0.0.1")
    assert (status, json.loads(body)) == (404, {"error": "no device is called '10.0.0.1'"})


def test_the_landing_page(site: Web) -> None:
    """It counts, lists what is down, links to the rest, and shows a name as text, whatever is in it."""
    status, headers, body = site.ask("/")
    page = body.decode()
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp; &#x27;co&#x27;" in page
    assert re.findall(r"<b>(\d+)</b> ([a-z ]+)", page) == [
        ("5", "devices"),
        ("2", "up"),
        ("2", "down"),
        ("1", "not known yet"),
    ]
    assert "a/b c" in page
    assert "თბილისი" not in page  # it is up
    for link in re.findall(r'href="(.*?)"', page):
        assert site.ask(link)[0] == 200


def test_the_landing_page_of_a_mass_outage() -> None:
    """Thousands of devices that are down make no endless page: 500 are listed, the rest is counted."""
    driver = Driver([device(f"d{number}") for number in range(1200)])
    driver.settle(down=driver.row)
    running = Web(Backend(driver))
    try:
        page = running.ask("/")[2].decode()
    finally:
        running.close()
    assert page.count("<td>timeout") == 500
    assert "and 700 more" in page


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
    """`:port` takes both families; a port that is taken, and a host that is nobody, are refused with the reason."""
    with listen(":0") as everywhere:
        port = everywhere.getsockname()[1]
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.socket(family) as client:
                client.connect((host, port))
    with listen("[::1]:0") as six:
        assert six.getsockname()[0] == "::1"
    with pytest.raises(ListenError, match=rf"cannot listen on 127\.0\.0\.1:{site.port}: Address already in use"):
        listen(f"127.0.0.1:{site.port}")
    with pytest.raises(ListenError, match=r"cannot listen on 192\.0\.2\.1:0: Cannot assign"):
        listen("192.0.2.1:0")
    with pytest.raises(ListenError, match=r"cannot listen on nobody\.invalid:1: "):
        listen("nobody.invalid:1")
