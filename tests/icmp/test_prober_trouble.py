"""The probe loop when it is held up, when its buffers are too small, and when clocks and links misbehave."""

from __future__ import annotations

import logging
import socket
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from exporter.icmp import prober as module
from exporter.icmp.arrivals import Arrivals
from exporter.icmp.flight import Outcomes
from exporter.icmp.plan import Plan
from exporter.icmp.prober import Prober
from exporter.icmp.sizing import Timing
from exporter.icmp.transport import KernelTransport, Transport
from tests.icmp.running import TIMING, Books, device, running
from tests.icmp.wire import EVERYWHERE, descriptors, furnish
from tests.simnet import Simnet

RAW = pytest.mark.parametrize("raw", [True, False], ids=["raw", "dgram"])


@RAW
def test_a_hold_up_yields_voids_and_no_losses(net: Simnet, raw: bool) -> None:
    """While the loop stood, nobody can tell what was lost: silence is void, and replies that came still count."""
    net.set(EVERYWHERE, latency=0.05)
    net.set("10.9.0.0/16", outage=True)
    fine = [device(f"fine-{n}", f"10.1.0.{n}") for n in range(40)]
    silent = [device(f"silent-{n}", f"10.9.0.{n}") for n in range(40)]
    with running(net, [*fine, *silent], raw=raw, timing=Timing(0.3, 0.25)) as run:
        run.cycles(3)

        def hold_up() -> tuple[set[tuple[str, int]], int, float]:
            under_way = set(run.books.announced) - set(run.books.ends)
            before = time.monotonic()
            time.sleep(1.5)
            return under_way, run.books.holds, time.monotonic() - before

        under_way, earlier, held = run.prober.call(hold_up).result(5)
        run.until(lambda: run.books.holds > earlier)
        first, end = run.books.skips[earlier]
        assert held // 0.3 - 1 <= end - first <= held // 0.3 + 1
        assert run.prober.stats.skipped_cycles == sum(end - first for first, end in run.books.skips)
        run.cycles(2)
        run.settle()
    silenced = {key for key in under_way if key[0].startswith("silent")}
    assert silenced
    assert under_way - silenced
    for key in under_way:
        assert run.books.ends[key] == (["void"] if key in silenced else ["reply"])
    assert run.prober.stats.void > len(silenced)
    assert run.books.skips
    # Before and after, silence is a loss.
    assert all(run.books.count(item.name)["timeout"] >= 3 - run.books.holds for item in silent)
    truths = net.truths([item.address for item in fine])
    for item in fine:
        assert run.books.count(item.name) == {"reply": truths[item.address].replies}
        assert max(run.books.rtts[item.name]) < 0.2


def test_a_short_hold_up_changes_nothing(net: Simnet) -> None:
    """Below an interval everything is sent a little later, and RTTs are as true as ever."""
    net.set(EVERYWHERE, latency=0.05)
    devices = [device(f"d{n}", f"10.1.0.{n}") for n in range(60)]
    with running(net, devices, timing=Timing(0.6, 0.5)) as run:
        run.cycles(1)
        run.prober.call(lambda: time.sleep(0.3)).result(5)
        run.cycles(2)
        assert run.prober.stats.void == 0
        assert max(run.prober.stats.lags) > 0.1
        run.settle()
    for item in devices:
        assert run.books.count(item.name).keys() == {"reply"}
        assert max(run.books.rtts[item.name]) < 0.2


def test_what_our_buffer_drops_is_void(net: Simnet) -> None:
    """Replies that the receive buffer could not hold are neither lost nor silently missing: they are void."""
    devices = [device(f"d{n}", f"127.1.{n >> 8}.{n & 255}") for n in range(400)]
    with running(net, devices, timing=Timing(0.2, 0.1), space=8_192) as run:
        run.until(lambda: run.prober.stats.drops > 500)
        run.settle()
    ends = [end for found in run.books.ends.values() for end in found]
    assert set(ends) == {"reply", "void"}
    # One device would be down for good if its replies were always the ones that do not fit.
    assert run.prober.stats.void >= ends.count("void") > 100


@RAW
def test_a_link_that_goes_down_and_comes_back(net: Simnet, raw: bool) -> None:
    """Without a route probes are lost at once, with that reason, and replies come back with the route."""
    net.set(EVERYWHERE)
    devices = [device(f"v4-{n}", f"10.1.0.{n}") for n in range(9)]
    devices += [device(f"v6-{n}", f"fd00:1::{n:x}") for n in range(1, 9)]
    with running(net, devices, raw=raw) as run:
        run.cycles(3)
        net.drop_interface()
        try:
            run.until(lambda: all(run.books.count(d.name)["net_unreachable"] >= 3 for d in devices))
        finally:
            net.raise_interface()
            furnish(net)
        back = {d.name: run.books.count(d.name)["reply"] for d in devices}
        run.until(lambda: all(run.books.count(d.name)["reply"] >= back[d.name] + 3 for d in devices))
        # Errors interleaved or not: RTTs are those of the network.
        assert max(run.books.rtts[devices[0].name][-2:]) < 0.1
        assert run.prober.stats.send_errors["ENETUNREACH"] >= 3 * len(devices)
        assert run.books.count("loopback").keys() <= {"reply", "void"}


@RAW
def test_rotation_under_load_loses_nothing(net: Simnet, raw: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With identifiers that change all the time, each probe still finds its reply."""
    monkeypatch.setattr(module, "ROTATE_SECONDS", 0.2)
    net.set(EVERYWHERE, latency=0.08)
    devices = [device(f"d{n}", f"10.1.0.{n}") for n in range(100)]
    with running(net, devices, raw=raw) as run:
        before = run.prober.transports[socket.AF_INET].idents(np.zeros(1, np.int64)).tolist()
        run.cycles(15)
        run.settle()
        assert run.prober.transports[socket.AF_INET].idents(np.zeros(1, np.int64)).tolist() != before
    for item in devices:
        assert run.books.count(item.name).keys() <= {"reply", "void"}
        assert run.books.count(item.name)["reply"] == net.truth(item.address).replies
    assert run.prober.stats.foreign == run.prober.stats.invalid == 0


def test_rotation_that_is_refused(
    net: Simnet, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without permission for new sockets the old ones go on, and the log says so."""
    monkeypatch.setattr(module, "ROTATE_SECONDS", 0.3)
    net.set(EVERYWHERE)
    with running(net, [device("d", "10.1.0.1")], raw=False) as run, caplog.at_level(logging.WARNING):
        net.run(["sysctl", "-q", "-w", "net.ipv4.ping_group_range=1 0"], check=True)
        try:
            run.until(lambda: "identifiers stay" in caplog.text)
            run.cycles(3)
        finally:
            furnish(net)
        run.settle()
    assert run.books.count("d").keys() <= {"reply", "void"}


class SteppedKernel:
    """A transport whose kernel's wall clock was stepped by `step` ns at `at` (CLOCK_REALTIME ns)."""

    def __init__(self, real: Transport) -> None:
        self._real = real
        self.step = 0
        self.at = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)

    def _stepped(self, stamps: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return np.where((stamps >= self.at) & (stamps > 0), stamps + self.step, stamps)

    def receive(self) -> list[Arrivals]:
        return [a._replace(stamp=self._stepped(a.stamp)) for a in self._real.receive()]

    def transmit_stamps(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        slots, stamps = self._real.transmit_stamps()
        return slots, self._stepped(stamps)


@pytest.mark.parametrize("step", [3600.0, -3600.0, 0.7, -0.7])
def test_a_stepped_wall_clock(net: Simnet, monkeypatch: pytest.MonkeyPatch, step: float) -> None:
    """Steps of the wall clock change no RTT, lose nothing and hurry nothing."""
    net.set("10.1.0.0/16", latency=0.002)
    net.set("10.2.0.0/16", latency=0.1)
    devices = [device(f"near-{n}", f"10.1.0.{n}") for n in range(50)]
    devices += [device(f"far-{n}", f"10.2.0.{n}") for n in range(50)]
    kernels: list[SteppedKernel] = []

    def make(*arguments: Any) -> Transport:
        kernels.append(SteppedKernel(KernelTransport(*arguments)))
        wrapped: Transport = kernels[-1]  # type: ignore[assignment]  # the rest is the real one's
        return wrapped

    def time_ns() -> int:
        now = time.time_ns()
        return now + kernels[0].step if kernels and now >= kernels[0].at else now

    clock = SimpleNamespace(
        time_ns=time_ns, monotonic=time.monotonic, monotonic_ns=time.monotonic_ns, sleep=time.sleep
    )
    monkeypatch.setattr(module, "time", clock)
    with running(net, devices, make=make) as run:
        run.cycles(5)
        at = time.time_ns() + 10_000_000
        for kernel in kernels:
            kernel.at, kernel.step = at, int(step * 1e9)
        run.cycles(5)
        run.settle()
    assert abs(run.books.clock[0] - step) < 1
    truths = net.truths([item.address for item in devices])
    assert run.prober.stats.sent - run.books.count("loopback").total() == sum(t.requests for t in truths.values())
    for item in devices:
        ends = run.books.count(item.name)
        assert ends.keys() <= {"reply", "void"}
        assert ends["reply"] == truths[item.address].replies
        latency = 0.002 if item.name.startswith("near") else 0.1
        assert latency - 0.001 < min(run.books.rtts[item.name])
        # A busy machine delays, but not by so much as the smallest of these steps.
        assert max(run.books.rtts[item.name]) < latency + 0.5
        assert len(truths[item.address].arrivals) <= 25


class Broken(Books):
    """A sink that fails."""

    def replies(self, outcomes: Outcomes, now: int, wall: float) -> None:
        raise ZeroDivisionError("the sink is broken")


def test_a_failure_in_the_loop_is_told(net: Simnet, caplog: pytest.LogCaptureFixture) -> None:
    """An exception ends the loop, is kept as its failure, closes the sockets, and leaves no call waiting."""
    before = descriptors()
    plan = Plan([], {})

    def start() -> Prober:
        transport = KernelTransport(socket.AF_INET, True, 1, 1 << 20)
        prober = Prober({socket.AF_INET: transport}, TIMING, plan, Broken([]))
        prober.start()
        return prober

    prober = net.inside(start)
    deadline = time.monotonic() + 5
    while prober.failure is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert isinstance(prober.failure, ZeroDivisionError)
    prober.stop()
    assert "the probe loop has failed" in caplog.text
    assert descriptors() == before
    assert prober.call(lambda: 5).result(0) == 5


def test_stop_is_prompt_and_final(net: Simnet) -> None:
    """Whatever the interval, stop returns at once, closes the sockets, and calls still come to an end."""
    before = descriptors()
    net.set(EVERYWHERE)
    with running(net, [device("d", "10.1.0.1")], timing=Timing(60.0, 60.0)) as run:
        pending = [run.prober.call(lambda: time.sleep(0.001)) for _ in range(50)]
        start = time.monotonic()
        run.prober.stop()
        assert time.monotonic() - start < 1
        assert descriptors() == before
        assert all(future.done() for future in pending)
        later = run.prober.call(lambda: run.prober.stats.sent)
        assert later.result(0) >= 0
        failing = run.prober.call(lambda: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            failing.result(0)
        run.prober.stop()


def test_a_prober_that_was_never_started(net: Simnet) -> None:
    """Stop closes its sockets all the same, and makes up for its calls."""
    before = descriptors()
    transport = net.inside(KernelTransport, socket.AF_INET, True, 1, 1 << 20)
    prober = Prober({socket.AF_INET: transport}, TIMING, Plan([], {}), Books([]))
    future = prober.call(lambda: 7)
    prober.stop()
    assert descriptors() == before
    assert future.result(0) == 7


def test_calls_run_between_ticks_and_tell_their_errors(net: Simnet) -> None:
    """A call's result and its exception come back, and an exception does not end the loop."""
    with running(net, []) as run:
        assert run.prober.call(lambda: 7).result(5) == 7
        with pytest.raises(KeyError):
            run.prober.call(lambda: {}["absent"]).result(5)  # type: ignore[index]
        run.cycles(2)


def test_a_family_that_the_machine_lacks(net: Simnet) -> None:
    """Devices of a family without a socket are lost with a reason, and the rest is probed."""
    net.set(EVERYWHERE)
    plan = Plan([device("v4", "10.1.0.1"), device("v6", "fd00:1::1")], {})
    books = Books(["v4", "v6"])

    def start() -> Prober:
        transport = KernelTransport(socket.AF_INET, True, 1, 1 << 20)
        prober = Prober({socket.AF_INET: transport}, TIMING, plan, books)
        prober.start()
        return prober

    prober = net.inside(start)
    deadline = time.monotonic() + 5
    while books.count("v6").total() < 3 or books.count("v4").total() < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    prober.stop()
    assert books.count("v6").keys() == {"send_error"}
    assert books.count("v4").keys() <= {"reply", "void"}
    assert prober.stats.send_errors["EAFNOSUPPORT"] >= 3
