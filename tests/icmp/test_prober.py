"""The probe loop against a network whose truth is known: every probe of every device, by count and by kind."""

from __future__ import annotations

import socket
import statistics
from collections import Counter

import pytest

from tests.icmp.running import TIMING, device, running
from tests.icmp.wire import EVERYWHERE, KINDS, REFUSALS
from tests.simnet import Behaviour, Jitter, Simnet, Truth
from tests.simnet.behaviour import ERRORS_V4

RAW = pytest.mark.parametrize("raw", [True, False], ids=["raw", "dgram"])
CYCLES = 20

#: What devices do, by name; the address of each follows from its place.
KINDS_OF_DEVICE = {
    "near": Behaviour(latency=0.002),
    "far": Behaviour(latency=0.08),
    "jittery": Behaviour(latency=Jitter(0.03, 0.01)),
    "lossy": Behaviour(loss=0.3),
    "silent": Behaviour(outage=True),
    "twice": Behaviour(duplicates=0.5),
    "late": Behaviour(late=0.5, late_seconds=TIMING.timeout + 0.15),
    "forged-cookie": Behaviour(forged_cookie=0.5, loss=0.3),
    "forged-source": Behaviour(forged_source=0.5, loss=0.3),
    "foreign": Behaviour(foreign=0.5, loss=0.3),
    "corrupt": Behaviour(corrupt=0.5),
    "options": Behaviour(ip_options=True),
    **{f"error-{kind}": Behaviour(error=kind) for kind in ERRORS_V4},
    **{f"short-{kind}": Behaviour(error=kind, quoted_bytes=8) for kind in ERRORS_V4},
    "everything": Behaviour(
        latency=Jitter(0.02, 0.02),
        loss=0.1,
        duplicates=0.3,
        late=0.1,
        late_seconds=TIMING.timeout + 0.2,
        forged_cookie=0.3,
        forged_source=0.3,
        foreign=0.3,
        corrupt=0.1,
    ),
}
COPIES = 4


def address(family: int, place: int, copy: int) -> str:
    # Even last bits: a forged source is the neighbour's.
    return f"10.{place}.0.{2 * copy}" if family == socket.AF_INET else f"fd00:{place}::{2 * copy:x}"


@KINDS
def test_counts_are_the_networks_own(net: Simnet, family: int, raw: bool) -> None:
    """Replies, losses by reason, late and duplicate replies of each device are what the network did, exactly."""
    devices, where = [], {}
    for place, (kind, behaviour) in enumerate(KINDS_OF_DEVICE.items()):
        for copy in range(COPIES):
            name = f"{kind}.{copy}"
            where[name] = address(family, place, copy)
            # A datagram socket believes that a packet was too large only where it forbade to break it up.
            devices.append(device(name, where[name], dont_fragment=kind.endswith("fragmentation_needed")))
            net.set(where[name], behaviour)
    with running(net, devices, raw=raw) as run:
        run.cycles(CYCLES)
        run.settle()
    truths = net.truths(list(where.values()))
    assert net.overruns() == 0
    for name, at in where.items():
        check(name.split(".")[0], run.books.count(name), truths[at])
        assert run.books.late_replies[name] == truths[at].late
        assert run.books.duplicate_replies[name] == truths[at].duplicates
        check_rtts(run.books.rtts[name], truths[at])
        assert set(run.books.ttls[name]) <= {64}
    assert run.books.count("loopback").keys() <= {"reply", "void"}
    assert all(len(ends) == 1 for ends in run.books.ends.values())
    total = sum(truth.requests for truth in truths.values())
    assert run.prober.stats.sent == total + run.books.count("loopback")["reply"]
    forged = sum(t.forged_cookie + t.forged_source + t.foreign for t in truths.values())
    corrupted = sum(t.corrupted for t in truths.values())
    stats = run.prober.stats
    assert forged <= stats.foreign + stats.invalid <= forged + corrupted
    assert (stats.drops, stats.send_errors) == (0, Counter())
    assert max(map(abs, run.books.clock)) < 1


def check(kind: str, ends: Counter[str], truth: Truth) -> None:
    """How the probes of one device ended, against the truth; what a busy machine made void is no loss."""
    void = ends.pop("void", 0)
    assert truth.requests >= CYCLES
    assert ends["reply"] == truth.replies
    unanswered = truth.late + truth.corrupted + truth.dropped_loss + truth.dropped_outage
    reason = kind.partition("-")[2] if truth.errors else ""
    assert unanswered - void <= ends["timeout"] <= unanswered
    assert ends[reason] == truth.errors
    assert set(ends) <= {"reply", "timeout", reason}
    assert truth.pending == truth.unwritten == truth.invalid == 0


def check_rtts(rtts: list[float], truth: Truth) -> None:
    """RTTs are the delays of the network, and the way there and back on top."""
    if not truth.replies:
        assert not rtts
        return
    extra = [rtt - delay for rtt, delay in zip(sorted(rtts), sorted(truth.delays), strict=True)]
    assert min(extra) > -0.0005
    assert statistics.median(extra) < 0.01


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
        assert ends.total() >= 8
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
        assert run.prober.stats.send_errors[code] == ends[code][reason] >= 8
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
