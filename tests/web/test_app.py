"""Every route, its answers and its status codes, as docs/http.md tells them."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from starlette.routing import Route

from exporter.errors import ConfigError, Problem
from exporter.web.app import create_app
from tests.state.driver import Driver, device
from tests.web.site import NASTY, Backend, Web

DOCS = (Path(__file__).parents[2] / "docs" / "http.md").read_text()


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


def test_every_status_is_documented(site: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """The status codes that each route gives, brought about one by one, are those of the page."""
    backend = site.backend

    def asks(*paths: str, method: str = "GET") -> set[int]:
        return {site.ask(path, method)[0] for path in paths}

    def again(path: str) -> set[int]:
        return {site.ask(path, headers={"if-none-match": site.ask(path)[1]["etag"]})[0]}

    found = {path: asks(path) for path in ("/metrics", "/-/healthy", "/-/ready", "/api/v1/devices")}
    found["/"] = asks("/") | again("/")
    found["/device/{name}"] = asks("/device/isp-a", "/device/nobody")
    found["/wallboard/{name}"] = asks("/wallboard/main.js", "/wallboard/none.js") | again("/wallboard/main.js")
    found["/api/v1/events"] = asks("/api/v1/events?x=1") | asks("/api/v1/events", method="HEAD")
    monkeypatch.setattr("exporter.web.app.MOST_LISTENERS", 0)
    found["/api/v1/events"] |= asks("/api/v1/events")
    found["/sd"] = asks("/sd", "/sd?x=1")
    found["/metrics/snmp"] = asks("/metrics/snmp", "/metrics/snmp?shard=2")
    found["/api/v1/devices/{name}"] = asks("/api/v1/devices/isp-a", "/api/v1/devices/nobody")
    found["/-/reload"] = asks("/-/reload", method="PUT")
    backend.failure, backend.sick = ConfigError([Problem("ward.yml", 3, "probe", "wrong")]), "the loop stands"
    found["/-/reload"] |= asks("/-/reload", method="POST")
    found["/-/healthy"] |= asks("/-/healthy")
    found["/-/ready"] |= asks("/-/ready")
    assert found == {path: codes for path, (_, codes) in documented().items()}


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
    """GET, which a crawler may send, reloads nothing: 405, with the methods that do, those of Prometheus."""
    for method in ("GET", "HEAD", "DELETE"):
        status, headers, _ = site.ask("/-/reload", method)
        assert (status, {*headers["allow"].split(", ")}) == (405, {"POST", "PUT"})
    assert site.backend.reloads == 0
    for method in ("POST", "PUT"):
        assert site.ask("/-/reload", method)[::2] == (200, b"reloaded\n")
    assert site.backend.reloads == 2


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


@pytest.mark.parametrize(
    "path", ["/nowhere", "/metrics/", "/-/", "/sd/", "/api", "/api/v1/devices/", "/..%2fetc", "/wallboard/"]
)
def test_unknown_paths(site: Web, path: str) -> None:
    """What is not listed is a 404, also with a slash too many."""
    assert site.ask(path)[0] == 404


def test_other_methods(site: Web) -> None:
    """A known path with another method is a 405."""
    for path in (
        "/",
        "/device/isp-a",
        "/wallboard/main.js",
        "/api/v1/events",
        "/metrics",
        "/-/healthy",
        "/-/ready",
        "/sd",
        "/api/v1/devices",
        "/api/v1/devices/isp-a",
    ):
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


def test_a_large_discovery_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is encoded device by device, for the encoder keeps the interpreter lock, and packed for who takes gzip."""
    longest = 0
    dumps = json.dumps

    def noted(*values: Any, **options: Any) -> str:
        nonlocal longest
        text: str = dumps(*values, **options)
        longest = max(longest, len(text))
        return text

    monkeypatch.setattr(json, "dumps", noted)
    site = Web(Backend(Driver([device(f"d{number}", role=f"r{number % 2}") for number in range(500)])))
    try:
        for query, count in (("", 500), ("?role=r1", 250)):
            _, headers, packed = site.ask(f"/sd{query}", headers={"accept-encoding": "gzip"})
            assert headers["content-encoding"] == "gzip"
            assert len(json.loads(gzip.decompress(packed))) == count
    finally:
        site.close()
    assert 0 < longest < 1000


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
    assert router["recent"] == router["strip"] == [0.01, None, None, None]
    assert (router["rtt_seconds"], router["jitter_seconds"], router["packet_loss_ratio"]) == (0.01, None, 0.75)
    assert [(event["kind"], event["reason"]) for event in router["events"]] == [("down", "timeout")]
    assert site.json("/api/v1/devices/isp-a")["events"] == []
    assert (router["probes_sent"], router["replies"], router["reply_ttl"]) == (4, 1, 64)
    assert router["limits"] == {"rtt_seconds": 0.2, "packet_loss_ratio": 0.1, "flap_changes": 3}
    assert site.json("/api/v1/devices/isp-a")["labels"] == {"rack": "a3"}
    status, _, body = site.ask("/api/v1/devices/10.0.0.1")
    assert (status, json.loads(body)) == (404, {"error": "no device is called '10.0.0.1'"})
