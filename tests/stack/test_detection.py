"""How soon an outage shows, by the network's own clock, with 875 devices on the shipped settings."""

from __future__ import annotations

import http.client
import json
import random
import statistics
import time
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from bench.exporter import SIMNET_PORT
from tests.simnet import Simnet
from tests.stack.branches import Branch, branches, build
from tests.stack.inside import exporter

CUTS = 10
POLL = 0.05
#: What the README promises.
PROMISED_DOWN = 4.5
TIMEOUT, UP_AFTER, DOWN_AFTER = 1.0, 2, 3
#: From the moment when the exporter can know to the one at which a poll shows it: two wake-ups of the loop, the
#: time between two polls, and a busy machine.
SHOWN = 0.5
#: A device with jitter may answer sooner than the latest that the network intends.
JITTER = 0.05


@dataclass
class Cut:
    """One outage as it went: times of the monotonic clock, 0 where it has not come to that."""

    device: Branch
    begins: float
    down_shown: float = 0.0
    up_shown: float = 0.0


class Api:
    """The exporter's API over one connection."""

    def __init__(self, net: Simnet) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", SIMNET_PORT)
        self._connection.sock = net.connect(SIMNET_PORT)

    def state(self, device: str) -> str:
        self._connection.request("GET", f"/api/v1/devices/{device}")
        state: str = json.loads(self._connection.getresponse().read())["state"]
        return state

    def close(self) -> None:
        self._connection.close()


def watch(net: Simnet, cuts: list[Cut]) -> float:
    """Begin each outage in its time, end it when it is shown, and see it shown that it is over.

    Returns the longest time by which this machine has overslept, in seconds: nothing on it can be more punctual.
    """
    api, begun, overslept = Api(net), set[str](), 0.0
    deadline = cuts[-1].begins + 30
    while open_ := [cut for cut in cuts if not cut.up_shown]:
        round_ = time.monotonic()
        assert round_ < deadline, f"never shown: {open_}"
        for cut in open_:
            name = cut.device.name
            if cut.begins > round_:
                continue
            if name not in begun:
                net.cut(cut.device.address)
                begun.add(name)
            state = api.state(name)
            if state == "down" and not cut.down_shown:
                cut.down_shown = time.monotonic()
                net.restore(cut.device.address)
            elif state == "up" and cut.down_shown:
                cut.up_shown = time.monotonic()
        asleep, pause = time.monotonic(), max(0.0, round_ + POLL - time.monotonic())
        time.sleep(pause)
        overslept = max(overslept, time.monotonic() - asleep - pause)
    api.close()
    return overslept


@pytest.fixture(scope="module")
def net(module_simnet: Simnet) -> Iterator[Simnet]:
    """The branches' network, and an exporter on its shipped settings inside."""
    devices = branches()
    build(module_simnet, devices)
    with exporter(module_simnet, devices):
        yield module_simnet


def test_a_kept_connection_is_answered_at_once(net: Simnet) -> None:
    """No answer waits for the delayed acknowledgement (40 ms, tcp(7)) of the one before it."""
    api, taken = Api(net), []
    for _ in range(50):
        asked = time.monotonic()
        api.state("branch-00-rt1")
        taken.append(time.monotonic() - asked)
    api.close()
    assert statistics.median(taken) < 0.03, taken


def test_an_outage_shows_in_time(net: Simnet) -> None:
    """Down is shown within 4.5 s of the cut and right after the third timeout; up, right after the second reply."""
    generator, start = random.Random(0), time.monotonic()
    chosen = generator.sample([device for device in branches() if not device.loss], CUTS)
    cuts = [Cut(device, start + number * 0.7 + generator.random()) for number, device in enumerate(chosen)]
    overslept = watch(net, cuts)
    truths = net.truths([cut.device.address for cut in cuts])
    events = {(event.target, event.event): event.monotonic for event in net.events() if event.event != "set"}
    assert net.overruns() == 0
    told = []
    for cut in cuts:
        address = cut.device.address
        cut_at, restored_at = events[address, "cut"], events[address, "restore"]
        arrivals = truths[address].arrivals
        # The network's own word on when the third probe was lost and the second answered.
        lost = arrivals[bisect(arrivals, cut_at) + DOWN_AFTER - 1] + TIMEOUT
        answered = arrivals[bisect(arrivals, restored_at) + UP_AFTER - 1] + cut.device.slowest
        told.append((cut.down_shown - cut_at, cut.down_shown - lost, cut.up_shown - answered))
    message = "".join(
        f"down {down:.3f} s after the cut, {timeout:.3f} s after the timeout; up {reply:.3f} s after the reply\n"
        for down, timeout, reply in told
    )
    message += f"the machine has overslept by {overslept:.3f} s at most"
    assert max(down for down, _, _ in told) <= PROMISED_DOWN + overslept, message
    assert all(0 <= timeout <= SHOWN + overslept for _, timeout, _ in told), message
    assert all(-JITTER <= reply <= SHOWN + overslept for _, _, reply in told), message
