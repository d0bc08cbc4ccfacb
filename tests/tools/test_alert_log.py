"""`ward-exporter alert-log` as a process: what it prints, what it refuses, and how it ends."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from exporter.tools.alert_log import MAX_BYTES
from tests.serving import PROGRAM, until
from tests.tools.printing import Log, running

DOWN = {
    "status": "firing",
    "labels": {
        **{"alertname": "IspLinkDown", "severity": "critical", "site": "tbilisi-01", "provider": "magti"},
        **{"device": "tbilisi-01-isp-a", "address": "10.1.1.5", "role": "isp", "instance": "exporter:9841"},
    },
    "annotations": {"summary": "ISP link tbilisi-01-isp-a (magti) is down"},
    # As Go writes it.
    "startsAt": "2026-03-26T23:12:45.123456789Z",
    "endsAt": "0001-01-01T00:00:00Z",
}
UP = DOWN | {"status": "resolved", "endsAt": "2026-03-26T23:14:10Z"}
SILENT = {
    "status": "firing",
    "labels": {"alertname": "ExporterDown", "severity": "critical", "instance": "exporter:9841"},
    "annotations": {},
    "startsAt": "2026-03-27T03:00:00+04:00",
}


def message(*alerts: dict[str, Any], **others: Any) -> dict[str, Any]:
    group = {"site": "tbilisi-01", "component": ""}
    return {"version": "4", "receiver": "isp", "groupLabels": group, "alerts": list(alerts)} | others


def test_what_it_prints() -> None:
    """A header line and a line an alert, those that fire first: what, where, which provider, and since when."""
    with running() as log:
        assert log.post(message(UP, DOWN)) == (200, "printed\n")
        assert log.post(message(SILENT, groupLabels={})) == (200, "printed\n")
        link = "critical IspLinkDown tbilisi-01 tbilisi-01-isp-a 10.1.1.5 magti"
        summary = "ISP link tbilisi-01-isp-a (magti) is down"
        assert log.end() == [
            "isp: 1 firing, 1 resolved, site tbilisi-01",
            f"  FIRING {link}: {summary}, since 2026-03-27 03:12:45",
            f"  RESOLVED {link}: {summary}, 2026-03-27 03:12:45 to 2026-03-27 03:14:10",
            "isp: 1 firing",
            "  FIRING critical ExporterDown exporter:9841, since 2026-03-27 03:00:00",
        ]


def test_one_line_an_alert_whatever_the_text() -> None:
    """A line break or a terminal's command in a text is printed escaped; letters of any script are not."""
    odd = DOWN | {"labels": {"alertname": "A\x1b[2J"}, "annotations": {"summary": "ქსელი\nგათიშულია \ud800"}}
    with running() as log:
        assert log.post(message(odd))[0] == 200
        assert log.end()[1:] == [r"  FIRING A\x1b[2J: ქსელი\nგათიშულია \ud800, since 2026-03-27 03:12:45"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "no JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"\xff", "no JSON: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        (b"[" * 100_000, "no JSON: maximum recursion depth exceeded"),
        (b"[]", "notification: found a list; expected a JSON object"),
        (message(DOWN, version="3"), "version: found '3'; expected '4'"),
        (message(DOWN, receiver=None), "receiver: found nothing; expected text"),
        (message(DOWN, groupLabels=[]), "groupLabels: found a list; expected a JSON object"),
        (message(), "alerts: found a list; expected a list of at least one alert"),
        (message(DOWN, alerts={}), "alerts: found a mapping; expected a list of at least one alert"),
        (message(DOWN, alerts=[DOWN, 1]), "alerts[1]: found the number 1; expected a JSON object"),
        (message(DOWN | {"status": "odd"}), "alerts[0].status: found 'odd'; expected 'firing' or 'resolved'"),
        (message(DOWN | {"labels": {"a": 1}}), "alerts[0].labels.a: found the number 1; expected text"),
        (
            message(DOWN | {"annotations": None}),
            "alerts[0].annotations: found nothing; expected a JSON object",
        ),
        (
            message(DOWN | {"startsAt": "2026-03-27T03:12:45"}),
            "alerts[0].startsAt: found '2026-03-27T03:12:45'; expected a time with its zone, as in RFC 3339",
        ),
        (
            message(UP | {"endsAt": "soon"}),
            "alerts[0].endsAt: found 'soon'; expected a time with its zone, as in RFC 3339",
        ),
        (
            message(UP | {"endsAt": None}),
            "alerts[0].endsAt: found nothing; expected a time with its zone, as in RFC 3339",
        ),
    ],
)
def test_what_it_refuses(log: Log, body: bytes | dict[str, Any], reason: str) -> None:
    """What is no notification is 400, with the place and what was expected there, and prints nothing."""
    before = len(log.lines)
    status, answer = log.post(body)
    assert status == 400
    assert answer.startswith(reason)
    assert log.post(message(SILENT))[0] == 200
    until(lambda: len(log.lines) == before + 2)


@pytest.fixture(scope="module")
def log() -> Iterator[Log]:
    with running() as log:
        yield log


def test_a_body_has_a_bound(log: Log) -> None:
    """The largest body is read, and one of a byte more is 413: nobody fills the memory."""
    short = json.dumps(message(SILENT)).encode()
    assert log.post(short + b" " * (MAX_BYTES - len(short)))[0] == 200
    assert log.post(short + b" " * (MAX_BYTES + 1 - len(short)))[0] == 413


def test_other_methods_and_paths(log: Log) -> None:
    """Only POST to / prints: a mistake in Alertmanager's url is seen in its log."""
    for path, data, status in (("/", None, 405), ("/alerts", b"{}", 404)):
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(f"http://127.0.0.1:{log.port}{path}", data, timeout=20)
        assert error.value.code == status
        error.value.close()


def test_notifications_at_once() -> None:
    """Notifications that come together are printed one after the other, each whole."""
    with running() as log:
        answers: list[int] = []
        body = message(*[DOWN] * 500)
        clients = [threading.Thread(target=lambda: answers.append(log.post(body)[0])) for _ in range(8)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        lines = log.end()
    assert answers == [200] * 8
    assert lines[::501] == ["isp: 500 firing, site tbilisi-01"] * 8
    assert len(lines) == 8 * 501


HALF = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{"


def test_it_ends_while_a_client_sends() -> None:
    """A client that does not finish its request does not hold up the end."""
    with running() as log, socket.create_connection(("127.0.0.1", log.port)) as slow:
        slow.sendall(HALF)
        assert log.post(message(SILENT))[0] == 200
        assert len(log.end()) == 2


def test_a_client_that_goes_away() -> None:
    """A client that breaks off in the middle of its request is not worth a line."""
    with running() as log:
        with socket.create_connection(("127.0.0.1", log.port)) as gone:
            gone.sendall(HALF)
        assert log.post(message(SILENT))[0] == 200
        assert len(log.end()) == 2
        assert log.process.stderr is not None
        (started,) = log.process.stderr.read().decode().splitlines()
    assert f"waiting for notifications on port {log.port}" in started


def test_it_ends_while_nobody_reads_its_output() -> None:
    """A pipe that is full holds up the notifications, not the server and not its end."""
    with running(read=False) as log:
        with pytest.raises(TimeoutError):
            log.post(message(*[DOWN] * 2000), seconds=2)
        assert log.answers()
        start = time.monotonic()
        log.process.terminate()
        log.process.wait(10)
        assert time.monotonic() - start < 3


def test_an_output_that_is_closed() -> None:
    """What could not be printed is 500 with the reason, so that Alertmanager counts it as failed."""
    with running(read=False) as log:
        assert log.process.stdout is not None
        log.process.stdout.close()
        assert log.post(message(DOWN)) == (500, "cannot print: Broken pipe\n")
        assert log.answers()


def test_an_address_that_is_taken() -> None:
    """A start that fails is status 1 with one line that says why."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        command = [PROGRAM, "alert-log", f"--web.listen-address={address}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"cannot listen on {address}: Address already in use\n"
