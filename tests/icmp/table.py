"""What a prober is held against: devices of every behaviour, and the network's own counts."""

from __future__ import annotations

import socket
import statistics
from collections import Counter

from tests.icmp.running import TIMING, Make, device, kernel, running
from tests.simnet import Behaviour, Jitter, Simnet, Truth
from tests.simnet.behaviour import ERRORS_V4

CYCLES = 15

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


def hold_against_the_truth(
    net: Simnet, family: int, *, raw: bool = True, make: Make = kernel, whole: bool = False
) -> None:
    """Probe devices of every kind, and compare each one's counts with the network's.

    `whole` forbids to break up packets where the network complains about that.
    """
    devices, where = [], {}
    for place, (kind, behaviour) in enumerate(KINDS_OF_DEVICE.items()):
        for copy in range(COPIES):
            name = f"{kind}.{copy}"
            where[name] = address(family, place, copy)
            dont_fragment = whole and kind.endswith("fragmentation_needed")
            devices.append(device(name, where[name], dont_fragment=dont_fragment))
            net.set(where[name], behaviour)
    with running(net, devices, raw=raw, make=make) as run:
        run.cycles(CYCLES)
        run.settle()
    truths = net.truths(list(where.values()))
    assert net.overruns() == 0
    for name, at in where.items():
        # One for the hold-up, and one more where it was still catching up at the end.
        assert truths[at].requests >= CYCLES - 2 * run.books.holds
        check(name.split(".")[0], run.books.count(name), truths[at])
        assert run.books.late_replies[name] == truths[at].late
        assert run.books.duplicate_replies[name] == truths[at].duplicates
        check_rtts(run.books.rtts[name], truths[at])
        assert set(run.books.ttls[name]) <= {64, 0}
    assert run.books.count("loopback").keys() <= {"reply", "void"}
    assert all(len(ends) == 1 for ends in run.books.ends.values())
    total = sum(truth.requests for truth in truths.values())
    stats = run.prober.stats
    assert stats.sent == total + run.books.count("loopback").total()
    assert (stats.drops, stats.send_errors) == (0, Counter())
    assert max(map(abs, run.books.clock)) < 1
    if make is kernel:
        forged = sum(t.forged_cookie + t.forged_source + t.foreign for t in truths.values())
        corrupted = sum(t.corrupted for t in truths.values())
        assert forged <= stats.foreign + stats.invalid <= forged + corrupted
        replied = [ttl for name in where for ttl in run.books.ttls[name]]
        assert 0 not in replied


def check(kind: str, ends: Counter[str], truth: Truth) -> None:
    """How the probes of one device ended, against the truth; what a busy machine made void is no loss."""
    void = ends.pop("void", 0)
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
