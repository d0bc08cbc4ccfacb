"""The probe loop against a network whose truth is known: every probe of every device, by count and by kind."""

from __future__ import annotations

import socket

import pytest

from tests.icmp.running import device, running
from tests.icmp.table import hold_against_the_truth
from tests.icmp.wire import EVERYWHERE, KINDS, REFUSALS
from tests.simnet import Simnet

RAW = pytest.mark.parametrize("raw", [True, False], ids=["raw", "dgram"])


@KINDS
def test_counts_are_the_networks_own(net: Simnet, family: int, raw: bool) -> None:
    """Replies, losses by reason, late and duplicate replies of each device are what the network did, exactly."""
    # A datagram socket believes that a packet was too large only where it forbade to break it up.
    hold_against_the_truth(net, family, raw=raw, whole=not raw)


def test_both_families_and_every_profile_in_one_loop(net: Simnet) -> None:
    """Devices of both families, under several DSCP marks and sizes, are probed by one loop, each as it is asked."""
    net.set("10.0.0.0/8", dscp_loss={46: 1.0})
    net.set("fd00::/8", latency=0.02)
    devices = [
        *(device(f"v4-{n}", f"10.1.0.{n}") for n in range(20)),
        *(device(f"v6-{n}", f"fd00:1::{n:x}") for n in range(1, 20)),
        *(device(f"marked-{n}", f"10.1.0.{n}", dscp=46) for n in range(20)),
        *(device(f"large-{n}", f"fd00:2::{n:x}", payload_bytes=1201) for n in range(1, 20)),
    ]
    with running(net, devices) as run:
        run.cycles(8)
        run.settle()
    for item in devices:
        ends = run.books.count(item.name)
        assert ends.keys() <= {"timeout" if item.name.startswith("marked") else "reply", "void"}
        assert ends.total() >= 8 - run.books.holds
    truths = net.truths()
    assert all(truth.sizes.keys() <= {56} for at, truth in truths.items() if not at.startswith("fd00:2::"))
    assert all(truth.sizes.keys() == {1201} for at, truth in truths.items() if at.startswith("fd00:2::"))


def test_no_devices_at_all(net: Simnet) -> None:
    """An empty inventory leaves the loop's own reference."""
    with running(net, []) as run:
        run.until(lambda: run.books.count("loopback")["reply"] >= 3)
    assert max(run.books.rtts["loopback"]) < 0.05


@RAW
def test_a_ttl_step_is_told(net: Simnet, raw: bool) -> None:
    """Each reply's TTL or hop limit reaches the sink: a changed path shows."""
    places = {"v4": "10.1.0.1", "v6": "fd00:1::1"}
    net.set(places.values(), ttl=61)
    with running(net, [device(name, at) for name, at in places.items()], raw=raw) as run:
        run.cycles(4)
        net.set(places.values(), ttl=58)
        run.until(lambda: all(run.books.ttls[name][-1] == 58 for name in places))
    for name in places:
        steps = [
            ttl
            for ttl, former in zip(run.books.ttls[name], [0, *run.books.ttls[name]], strict=False)
            if ttl != former
        ]
        assert steps == [61, 58]


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["v4", "v6"])
@RAW
def test_refused_probes_have_their_reasons(net: Simnet, family: int, raw: bool) -> None:
    """What the route refuses is a loss with its reason, what our packet filter refuses is void; all is counted."""
    net.set(EVERYWHERE)
    reasons = {
        "EPERM": "void",
        "EACCES": "admin_prohibited",
        "EHOSTUNREACH": "host_unreachable",
        "ENETUNREACH": "net_unreachable",
    }
    good = "10.1.0.1" if family == socket.AF_INET else "fd00:1::1"
    devices = [device(code, at) for at, code in REFUSALS[family].items()]
    devices += [device("good", good), device("EMSGSIZE", good, payload_bytes=1600, dont_fragment=True)]
    with running(net, devices, raw=raw) as run:
        run.cycles(8)
        run.settle()
    ends = {item.name: run.books.count(item.name) for item in devices}
    for code, reason in (reasons | {"EMSGSIZE": "fragmentation_needed"}).items():
        assert ends[code].keys() <= {reason, "void"}
        assert run.prober.stats.send_errors[code] == ends[code][reason] >= 8 - run.books.holds
    assert ends["good"]["reply"] == net.truth(good).requests
    assert ends["good"].keys() <= {"reply", "void"}
    assert sum(ends["good"].values()) + run.books.count("loopback").total() == run.prober.stats.sent


def test_names_that_do_not_resolve(net: Simnet) -> None:
    """A name is void until its first answer, lost for want of one, and probed once it has an address."""
    net.set(EVERYWHERE)
    with running(net, [device("name", "host.example"), device("there", "10.1.0.1")]) as run:
        run.cycles(3)
        run.prober.call(lambda: run.plan.resolve("host.example", None)).result(5)
        run.until(lambda: run.books.count("name")["dns"] >= 3)
        run.prober.call(lambda: run.plan.resolve("host.example", "10.2.0.1")).result(5)
        run.until(lambda: run.books.count("name")["reply"] >= 3)
        run.prober.call(lambda: run.plan.resolve("host.example", "fd00:2::1")).result(5)
        run.until(lambda: net.truth("fd00:2::1").replies >= 3)
        run.settle()
    ends = run.books.count("name")
    assert ends.keys() == {"void", "dns", "reply"}
    assert ends["reply"] == net.truth("10.2.0.1").replies + net.truth("fd00:2::1").replies
    order = [ends[0] for (name, _), ends in sorted(run.books.ends.items()) if name == "name"]
    assert list(dict.fromkeys(order))[:3] == ["void", "dns", "reply"]
