"""The shipped alertmanager.yml, and the variants of it that tests run."""

from __future__ import annotations

import copy
import json
import re
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.servers import FLOOR, Alertmanager, Generation, generations

FOLDER = Path(__file__).resolve().parents[2] / "alertmanager"
FILE = FOLDER / "alertmanager.yml"
TEMPLATES = str(FOLDER / "templates" / "*.tmpl")
SECRETS = "/etc/alertmanager/secrets"
#: What a user turns on with one line: the receiver of that name, and the key that it stands under.
CHANNELS = {
    "email": "email_configs",
    "slack": "slack_configs",
    "teams": "msteamsv2_configs",
    "pagerduty": "pagerduty_configs",
    "opsgenie": "opsgenie_configs",
    "webhook": "webhook_configs",
    "sms": "webhook_configs",
}
WAITS = ("group_wait", "group_interval", "repeat_interval")
#: The templates call functions that came with Alertmanager 0.28.
NEWEST = [generation for generation in generations() if generation is not FLOOR]
EXTERNAL = "http://alertmanager.example:9093"

Config = dict[str, Any]


def config(generation: Generation | None = None) -> Config:
    """The shipped file; for the floor, without what that Alertmanager does not know."""
    # Without the aliases: a change in one place must not change another.
    parsed: Config = json.loads(json.dumps(yaml.safe_load(FILE.read_text())))
    parsed["templates"] = [TEMPLATES]
    if generation is FLOOR:
        # msteamsv2 came with 0.28, a webhook's url_file with 0.26, and functions that the templates call with 0.28.
        del parsed["templates"]
        for receiver in parsed["receivers"]:
            receiver.pop("msteamsv2_configs", None)
            for webhook in receiver.get("webhook_configs", ()):
                if "url_file" in webhook:
                    webhook["url"] = "http://127.0.0.1" + webhook.pop("url_file")
    return parsed


def receivers(of: Config) -> dict[str, Config]:
    return {receiver["name"]: receiver for receiver in of["receivers"]}


def turn_on(of: Config, receiver: str, *channels: str) -> None:
    """Add channels to a receiver, as docs/alertmanager.md tells a user to."""
    known = receivers(of)
    for channel in channels:
        key = CHANNELS[channel]
        known[receiver].setdefault(key, []).extend(copy.deepcopy(known[channel][key]))


def routes(of: Config) -> Iterator[Config]:
    """Every route, the root first."""
    waiting = [of["route"]]
    while waiting:
        route = waiting.pop(0)
        yield route
        waiting[:0] = route.get("routes", ())


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def seconds(duration: str) -> float:
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([smhd])", duration))


def in_a_hurry(of: Config, factor: float | None = None) -> Config:
    """All waits shortened: to a second, and no repeats; or each by `factor`."""
    for route in routes(of):
        for key in WAITS:
            if factor is not None:
                if key in route:
                    route[key] = f"{seconds(route[key]) * 1000 / factor:.0f}ms"
            elif key == "repeat_interval":
                route[key] = "1h"
            else:
                route[key] = "1s"
    return of


def text(of: Config, secrets: Path | str = SECRETS, log: str | None = None) -> str:
    """The configuration as a file, with secrets in another folder and the log elsewhere."""
    written: str = yaml.safe_dump(of, allow_unicode=True).replace(SECRETS, str(secrets))
    return written if log is None else written.replace("http://alert-log:9842/", log)


def post(to: Alertmanager, *alerts: Mapping[str, Any]) -> None:
    """Send alerts as Prometheus does."""
    request = urllib.request.Request(
        f"{to.url}/api/v2/alerts", json.dumps(alerts).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 200


def alert(labels: Mapping[str, str], annotations: Sequence[tuple[str, str]] = (), **times: str) -> Config:
    return {"labels": dict(labels), "annotations": dict(annotations), **times}
