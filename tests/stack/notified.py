"""What a webhook was told: the receiver, its notifications, and what is new in each of them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.simnet import Simnet

#: What tells the alerts of a name from each other: the first that an alert has.
_SUBJECT = ("device", "site", "provider", "addr", "integration", "component", "instance")
#: Changes that belong together may meet the end of a group's wait between them, and then come in two notifications.
_AT_MOST = 2


@dataclass(frozen=True, slots=True)
class Notification:
    """One POST: `group` is the receiver, and the site or provider that it is about; alerts are `Name subject`."""

    at: float
    group: str
    firing: Mapping[str, Mapping[str, Any]]
    resolved: Mapping[str, Mapping[str, Any]]


@dataclass
class Sink:
    """All that has arrived, oldest first."""

    url: str
    notifications: list[Notification] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def take(self, body: bytes) -> None:
        message = json.loads(body)
        labels = message["groupLabels"]
        about = [labels.get(name) for name in ("site", "provider")]
        # A group of critical alerts needs no word of it.
        about += [labels["severity"]] if labels.get("severity", "critical") != "critical" else []
        alerts: dict[str, dict[str, Mapping[str, Any]]] = {"firing": {}, "resolved": {}}
        for alert in message["alerts"]:
            alerts[alert["status"]][_text(alert["labels"])] = alert
        group = " ".join([message["receiver"], *filter(None, about)])
        with self.arrived:
            self.notifications.append(Notification(time.time(), group, alerts["firing"], alerts["resolved"]))
            self.arrived.notify_all()

    def wait_for(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Until it holds, which is asked for with every notification; False after `seconds`."""
        with self.arrived:
            return self.arrived.wait_for(holds, seconds)

    def groups(self) -> dict[str, list[Notification]]:
        return by_group(list(self.notifications))


def by_group(notifications: Sequence[Notification]) -> dict[str, list[Notification]]:
    found: dict[str, list[Notification]] = {}
    for notification in notifications:
        found.setdefault(notification.group, []).append(notification)
    return found


def _text(labels: Mapping[str, str]) -> str:
    subject = next((labels[name] for name in _SUBJECT if labels.get(name)), "")
    tier = f"tier {labels['tier']}" if "tier" in labels else ""
    return " ".join(word for word in (labels["alertname"], subject, tier) if word)


@contextmanager
def sink(net: Simnet, port: int) -> Iterator[Sink]:
    """A webhook inside the network."""
    found = Sink(f"http://127.0.0.1:{port}/")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = net.inside(ThreadingHTTPServer, ("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, args=[0.1])
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def told(notifications: Sequence[Notification]) -> list[set[str]]:
    """What each notification of one group adds to the former ones: `+` fires, `-` is resolved.

    A notification that adds nothing is an empty set. `?` is an alert that was left out without being resolved. What
    evaluates rules repeats for a while that an alert has ended; where that meets something new in the group,
    Alertmanager lists the ended alert with it once more, with its old times: that is nothing new.
    """
    found: list[set[str]] = []
    known: set[str] = set()
    ended: set[tuple[str, str]] = set()
    for one in notifications:
        ends = {(alert, details["startsAt"]) for alert, details in one.resolved.items()}
        news = {f"+{alert}" for alert in one.firing.keys() - known} | {f"-{alert}" for alert, _ in ends - ended}
        news |= {f"?{alert}" for alert in known - one.firing.keys() - one.resolved.keys()}
        found.append(news)
        known = set(one.firing)
        ended |= ends
    return found


def as_expected(steps: Sequence[set[str]], news: Sequence[set[str]]) -> bool:
    """Whether the notifications are these steps, each of them in one, or in two that share its changes."""
    at = 0
    for step in steps:
        open_ = set(step)
        for _ in range(_AT_MOST):
            if open_ and at < len(news) and news[at] and news[at] <= open_:
                open_ -= news[at]
                at += 1
        if open_:
            return False
    return at == len(news)
