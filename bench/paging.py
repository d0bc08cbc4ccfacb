"""From the last reply of an ISP link to the webhook, as shipped; and how much is told of one fault."""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import yaml

from bench.effort import Effort
from bench.exporter import SIMNET_PORT, Exporter
from bench.row import Row, absolute, against
from tests.servers import Alertmanager, Prometheus
from tests.servers.shipped import evaluating
from tests.simnet import Simnet
from tests.stack.inside import place, until
from tests.stack.notified import Sink, sink
from tests.stack.offices import build, devices, networks, write_inventory
from tests.stack.paging import GENERATION, Stack, as_shipped, stacks

#: The bars: seconds from the last reply to the notification.
MEDIAN, WORST = 13.0, 16.0
CUTS_PER_RUN = 7
#: An alert's end is told within this time after the network is well, groups' intervals included.
_SETTLE_SECONDS = 75.0
#: What anybody would write first, at the pace of the shipped routing for ISP links.
_PLAIN_RULE = {"groups": [{"name": "plain", "rules": [{"alert": "Down", "expr": "ward_device_up == 0"}]}]}
_PLAIN_ROUTE = {
    "receiver": "webhook",
    "group_by": ["site"],
    "group_wait": "2s",
    "group_interval": "15s",
}


@contextmanager
def _running() -> Iterator[tuple[Simnet, Exporter, dict[str, Stack]]]:
    """Forty branches, the exporter and both stacks, all as shipped."""
    with Simnet() as net, tempfile.TemporaryDirectory() as folder, ExitStack() as cleanup:
        build(net)
        inventory = Path(folder) / "devices.yml"
        write_inventory(inventory, {})
        config = f"inventory: [{{file: {inventory}}}]\n"
        exporter = cleanup.enter_context(Exporter(config, **place(net, SIMNET_PORT)))
        running = cleanup.enter_context(stacks(net, as_shipped))
        for stack in running.values():
            until(stack.ready, f"{stack.name} is ready")
        yield net, exporter, running


def paging(effort: Effort) -> list[Row]:
    """Links of different branches fall at moments that follow no clock; each page is timed."""
    chance = random.Random(11)
    links = [device for device in devices() if device.name.endswith("-isp-a")]
    chosen = chance.sample(links, min(len(links), max(2, effort.runs * CUTS_PER_RUN - 1)))
    with _running() as (net, exporter, running):
        for link in chosen:
            time.sleep(chance.uniform(1, 4))
            net.cut(link.address)
        rows = []
        for name, stack in running.items():
            waits = []
            for link in chosen:
                alert = f"IspLinkDown {link.name}"
                assert stack.sink.wait_for(lambda: _told_at(stack.sink, alert) > 0, 60), f"{name}: no {alert}"  # noqa: B023 - asked at once
                answer = json.loads(exporter.get(f"/api/v1/devices/{link.name}")[2])
                waits.append(_told_at(stack.sink, alert) - answer["last_reply"])
            what = f"last reply of an ISP link to webhook, {len(chosen)} cuts, {name}"
            rows.append(absolute("paging", f"{what}: median", waits, "s", MEDIAN))
            rows.append(absolute("paging", f"{what}: worst", [max(waits)], "s", WORST))
    return rows


def _told_at(told: Sink, alert: str) -> float:
    """When the alert first fired in a notification, 0 if it has not yet."""
    return next((one.at for one in list(told.notifications) if alert in one.firing), 0.0)


Fault = Callable[[Simnet], None]


def _site(net: Simnet) -> None:
    """Everything at one branch is gone for half a minute."""
    _outage(net, networks(1), 30)


def _switch(net: Simnet) -> None:
    """A switch, and with it what stands behind it."""
    _outage(net, [device.address for device in devices() if _behind(device.name, device.parent)], 30)


def _behind(name: str, parent: str) -> bool:
    return "site-02-sw1" in (name, parent)


def _flapping(net: Simnet) -> None:
    """A link that is up for 10 s and down for 10 s, six times."""
    net.flap(["10.1.3.5"], 10, 10, 6)
    time.sleep(125)


def _uplink(net: Simnet) -> None:
    """The exporter's own way out."""
    _outage(net, ["10.0.0.0/8"], 30)


def _outage(net: Simnet, targets: list[str], seconds: float) -> None:
    net.cut(targets)
    time.sleep(seconds)
    net.restore(targets)


FAULTS: Mapping[str, Fault] = {
    "a branch is cut off": _site,
    "a switch dies": _switch,
    "a link flaps": _flapping,
    "our own uplink is cut": _uplink,
}


def noise(effort: Effort) -> list[Row]:
    """Notifications of one fault and its end, beside those that `ward_device_up == 0` sends in the same run."""
    rows = []
    with _running() as (net, _, running), _plain(net) as plain:
        ours = running["prometheus"].sink
        for name, fault in FAULTS.items():
            before = _count(ours), _count(plain)
            fault(net)
            time.sleep(_SETTLE_SECONDS)
            told, plainly = _count(ours) - before[0], _count(plain) - before[1]
            rows.append(against("noise", f"notifications when {name}", [told], [plainly], "sent"))
    return rows


def _count(told: Sink) -> int:
    """Notifications but for the watchdog's."""
    return sum(not one.group.startswith("deadman") for one in list(told.notifications))


@contextmanager
def _plain(net: Simnet) -> Iterator[Sink]:
    with tempfile.TemporaryDirectory() as folder, sink(net, 9300) as webhook, ExitStack() as cleanup:
        rules = Path(folder) / "plain.yml"
        rules.write_text(yaml.safe_dump(_PLAIN_RULE))
        receivers = [{"name": "webhook", "webhook_configs": [{"url": webhook.url, "send_resolved": True}]}]
        routing = yaml.safe_dump({"route": _PLAIN_ROUTE, "receivers": receivers})
        cleanup.enter_context(Alertmanager(routing, generation=GENERATION, **place(net, 9301)))
        config = evaluating({"ward-exporter": f"127.0.0.1:{SIMNET_PORT}"}, "127.0.0.1:9301")
        config["rule_files"] = [str(rules)]
        prometheus = Prometheus(yaml.safe_dump(config), generation=GENERATION, **place(net, 9302))
        cleanup.enter_context(prometheus)
        until(lambda: prometheus.query("ward_device_up"), "Prometheus with the plain rule has scraped")
        # It finds its Alertmanager after five seconds.
        found = "prometheus_notifications_alertmanagers_discovered 1"
        until(lambda: found in prometheus.get("/metrics")[2].decode(), "it has found its Alertmanager")
        yield webhook
