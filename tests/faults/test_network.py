"""Faults of the network and of the way into it, met by one running exporter."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from exporter.state import snapshot
from exporter.state.history import Event
from tests.faults.causes import beside, firewall, interface_down, narrow_link, route_gone, silence
from tests.faults.forger import KINDS
from tests.faults.patient import (
    CHANGES,
    DEVICES,
    HOST,
    LATENCY,
    NAMED,
    PREFIX,
    REPLIES,
    Patient,
    errors,
    losses,
    suppressed,
)
from tests.serving import until
from tests.simnet import Simnet
from tests.simnet.kernel import DEVICE


@contextmanager
def default_route_gone(net: Simnet) -> Iterator[None]:
    """Everything goes by a default route, and that is taken away."""
    net.run(["ip", "route", "add", "default", "dev", DEVICE], check=True)
    net.run(["ip", "route", "delete", "10.0.0.0/8", "dev", DEVICE], check=True)
    try:
        with route_gone(net, "default"):
            yield
    finally:
        net.run(["ip", "route", "add", "10.0.0.0/8", "dev", DEVICE], check=True)
        net.run(["ip", "route", "delete", "default", "dev", DEVICE], check=True)


@pytest.mark.parametrize(
    ("gone", "reason"),
    [
        (interface_down, "net_unreachable"),
        (default_route_gone, "net_unreachable"),
        (lambda net: silence(net, PREFIX), "timeout"),
    ],
    ids=["interface", "default-route", "silence"],
)
def test_the_network_is_gone(
    patient: Patient, gone: Callable[[Simnet], AbstractContextManager[None]], reason: str
) -> None:
    """All devices are down, for the reason that it is; one flag says so, every single alert is held back, nothing
    flaps; and with the network all are back by themselves."""
    before = patient.until_well()
    with gone(patient.net):
        page = patient.serving.until_page(
            lambda page: set(page.devices("ward_device_up").values()) == {0} and len(suppressed(page)) == 41, 30
        )
        assert page.value("ward_mass_outage") == 1
        assert set(suppressed(page).values()) == {"mass_outage"}
        # Those that were under way when it went have been lost for another reason.
        patient.serving.until_page(lambda page: len(page.samples("ward_device_down_reason", reason=reason)) == 41)
    after = patient.until_well()
    assert after.value("ward_mass_outage") == 0
    assert set(after.devices("ward_device_flapping").values()) == {0}
    changes = before.devices(CHANGES)
    assert {name: value - changes[name] for name, value in after.devices(CHANGES).items()} == dict.fromkeys(
        changes, 2
    )


def test_a_firewall_of_our_own(patient: Patient) -> None:
    """What this machine's packet filter refuses says nothing of the devices: no loss, no verdict, void and told."""
    before = patient.page()
    with firewall(patient.net, PREFIX):
        page = patient.serving.until_page(lambda page: errors(page, "EPERM") >= errors(before, "EPERM") + 5 * 41)
        assert page.value("ward_probe_void_total") >= before.value("ward_probe_void_total") + 5 * 40
    after = patient.later(patient.page(), 3)
    assert losses(after) == losses(before)
    assert after.devices(CHANGES) == before.devices(CHANGES)


def test_a_full_queue(patient: Patient) -> None:
    """With room for less than half of the requests none is a loss: they are told, and sent later or given up."""
    before = patient.page()
    with narrow_link(patient.net, "64kbit"):
        patient.serving.until_page(lambda page: errors(page, "ENOBUFS") >= errors(before, "ENOBUFS") + 20)
        # Some get through all the while.
        patient.later(before, 3)
    after = patient.later(patient.page(), 3)
    assert losses(after) == losses(before)
    assert after.devices(CHANGES) == before.devices(CHANGES)


def test_the_dns_server_is_gone(patient: Patient) -> None:
    """A device with a name is probed on at the address that it had; it is told; a new address is taken when there
    is a server again."""
    before = patient.page()
    patient.end_names()
    assert patient.serving.reload().status == 200
    page = patient.serving.until_page(lambda page: page.value("ward_probe_unresolved_names") == 1, 30)
    page = patient.later(page, 3)
    assert losses(page) == losses(before)
    assert f"{HOST} does not resolve" in patient.serving.log.read_text()
    moved = "10.1.2.2"
    patient.serve_names(moved)
    assert patient.serving.reload().status == 200
    patient.serving.until_page(lambda page: page.value("ward_probe_unresolved_names") == 0, 30)
    until(lambda: patient.net.truth(moved).replies > 3)
    assert patient.net.truth(NAMED).replies > 3
    assert patient.page().devices(CHANGES) == before.devices(CHANGES)


def test_a_flood_of_forged_replies(patient: Patient) -> None:
    """Of thousands a second that are wrong in one thing alone, and come before the right ones, none is taken: no
    device has more replies than the network has given it, and one that is silent is down, and stays so."""
    victim = "d7"
    patient.net.reset_truth()
    # All that was answered before is on the page.
    before = patient.later(patient.page(), 2)
    with silence(patient.net, DEVICES[victim]):
        with beside(patient.net, "tests.faults.forger", [100, 3]) as forger:
            patient.serving.until_page(lambda page: page.value("ward_device_up", victim) == 0)
            said, _ = forger.communicate(timeout=60)
            assert patient.page().value("ward_device_up", victim) == 0
        forged = dict(word.split("=") for word in str(said).split()[1:])
        assert forged.keys() == set(KINDS)
        page = patient.page()
        truths = patient.net.truths(list(DEVICES.values()))
        for name, address in DEVICES.items():
            assert page.value(REPLIES, name) - before.value(REPLIES, name) <= truths[address].replies
    # Those for other identifiers the kernel does not even hand over; what its buffer cannot hold is void.
    told = sum(
        page.value(name) - before.value(name)
        for name in (
            "ward_probe_invalid_replies_total",
            "ward_probe_foreign_replies_total",
            "ward_probe_receive_buffer_drops_total",
        )
    )
    assert told > int(forged["cookie"])
    after = patient.until_well()
    for name in ("ward_device_duplicate_replies_total", "ward_device_late_replies_total"):
        assert after.devices(name) == before.devices(name)
    assert {name for name in DEVICES if after.value(CHANGES, name) != before.value(CHANGES, name)} == {victim}
    assert min(after.devices("ward_device_rtt_min_seconds").values()) >= LATENCY


def lasted(patient: Patient, device: str) -> float | None:
    """How long the device had been up when it went down last, as it is saved; None before that."""
    state = snapshot.load(patient.mounts.seen(patient.serving.storage))
    assert state is not None
    events = [Event(*json.loads(line)) for line in state.events]
    found = [event.lasted for event in events if (event.kind, event.subject) == ("down", device)]
    return found[-1] if found else None


@pytest.mark.parametrize(("step", "victim"), [(-3600.0, "d3"), (3600.0, "d4")], ids=["back", "forward"])
def test_the_wall_clock_is_stepped(patient: Patient, step: float, victim: str) -> None:
    """By an hour: no probe is lost, none is sent twice, round trips stay what they are, times on the page are those
    of the new clock, and an outage is seen at once, with a time before it that can be."""
    before = patient.page()
    patient.clock.step(step)
    page = patient.later(patient.page(), 5)
    assert losses(page) == losses(before)
    assert page.devices(CHANGES) == before.devices(CHANGES)
    assert max(page.devices("ward_device_rtt_max_seconds").values()) < 0.5
    assert min(page.devices("ward_device_rtt_min_seconds").values()) >= LATENCY
    last = page.devices("ward_device_last_reply_timestamp_seconds")
    assert all(abs(at - patient.clock.time()) < 5 for at in last.values())
    begun = time.monotonic()
    with silence(patient.net, DEVICES[victim]):
        patient.serving.until_page(lambda page: page.value("ward_device_up", victim) == 0)
        assert time.monotonic() - begun < 10
        until(lambda: lasted(patient, victim) is not None)
    # Set back, it cannot tell how long the device was up; it does not say less than nothing.
    assert (lasted(patient, victim) or 0) >= 0
    patient.until_well()
