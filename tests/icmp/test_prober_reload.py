"""The probe loop goes over to other inventories while probes are under way."""

from __future__ import annotations

import random
import resource
import socket

import pytest

from exporter.icmp.plan import Plan
from exporter.icmp.sizing import Timing, receive_bytes, slots_needed
from tests.icmp.running import TIMING, Running, device, running
from tests.icmp.wire import EVERYWHERE
from tests.simnet import Simnet

RAW = pytest.mark.parametrize("raw", [True, False], ids=["raw", "dgram"])


def account(run: Running, net: Simnet, names: dict[str, str]) -> None:
    """Every probe of these devices (name: address) was sent once, ended once, and was answered or void."""
    truths = net.truths(list(names.values()))
    for name, address in names.items():
        ends = run.books.count(name)
        assert ends.keys() <= {"reply", "void"}
        assert ends["reply"] == truths[address].replies
    assert all(len(ends) == 1 for ends in run.books.ends.values())
    assert max(run.books.announced.values()) == 1


@RAW
def test_reloads_lose_no_probe_of_unchanged_devices(net: Simnet, raw: bool) -> None:
    """Through reload after reload each device that stays is probed once a cycle and hears every reply."""
    net.set(EVERYWHERE, latency=0.07)
    shuffle = random.Random(7)
    stay = [device(f"stay-{n}", f"10.1.0.{n}") for n in range(100)]
    stay += [device(f"stay6-{n}", f"fd00:1::{n:x}") for n in range(1, 50)]
    with running(net, stay, raw=raw) as run:
        for turn in range(12):
            others = [device(f"other-{turn}-{n}", f"10.2.{turn}.{n}") for n in range(shuffle.randrange(150))]
            devices = [*stay, *others]
            shuffle.shuffle(devices)
            run.replace(devices)
            run.cycles(1)
        run.settle()
    account(run, net, {item.name: item.address for item in stay})
    assert run.prober.stats.foreign == run.prober.stats.invalid == 0
    for item in stay:
        cycles = sorted(cycle for name, cycle in run.books.announced if name == item.name)
        skipped = {cycle for first, end in run.books.skips for cycle in range(first - 1, end)}
        assert set(range(cycles[0], cycles[-1] + 1)) - set(cycles) <= skipped


def test_devices_that_leave_tell_nothing_more(net: Simnet) -> None:
    """Replies to a device that has left reach nobody, and its row may be another's at once."""
    net.set(EVERYWHERE, latency=0.15)
    old = [device(f"old-{n}", f"10.1.0.{n}") for n in range(50)]
    new = [device(f"new-{n}", f"10.2.0.{n}") for n in range(50)]
    with running(net, old) as run:
        run.cycles(5)
        run.replace(new)
        heard = sum(run.books.count(item.name).total() for item in old)
        run.cycles(5)
        assert sum(run.books.count(item.name).total() for item in old) == heard
        run.settle()
    account(run, net, {item.name: item.address for item in new})


@RAW
def test_growth_beyond_the_room_is_void_and_goes_on(net: Simnet, raw: bool) -> None:
    """An inventory that needs more identifiers gets them: what was under way is void, and nothing is lost after."""
    net.set(EVERYWHERE, latency=0.07)
    devices = [device(f"d{n}", f"10.1.0.{n}") for n in range(100)]
    with running(net, devices, raw=raw) as run:
        run.cycles(3)
        before = run.prober.stats.void
        timing = Timing(0.1, 30.0)
        assert slots_needed(len(devices), timing) > slots_needed(len(devices), TIMING)
        run.replace(devices, timing)
        # A loop that has just been held up may have nothing under way.
        assert run.prober.stats.void > before or run.books.holds
        run.cycles(5)
        run.settle()
    assert all(len(ends) == 1 for ends in run.books.ends.values())
    for item in devices:
        ends = run.books.count(item.name)
        assert ends.keys() <= {"reply", "void"}
        assert ends.total() == net.truth(item.address).requests


def test_growth_that_is_refused_changes_nothing(net: Simnet) -> None:
    """Where the sockets for a larger inventory are not to be had, the former one is probed on."""
    net.set(EVERYWHERE)
    devices = [device(f"d{n}", f"10.1.0.{n}") for n in range(20)]
    with running(net, devices, raw=False) as run:
        run.cycles(3)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        with socket.socket() as probe:
            # Room for both sockets of the first family, and one of the second.
            resource.setrlimit(resource.RLIMIT_NOFILE, (probe.fileno() + 3, limits[1]))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                run.replace(devices, Timing(0.1, 200.0))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        run.cycles(4)
        run.settle()
    for item in devices:
        ends = run.books.count(item.name)
        assert ends.keys() <= {"reply", "void"}
        assert ends["reply"] >= 5 - run.books.holds


def test_another_interval_and_timeout(net: Simnet) -> None:
    """A new interval and timeout hold from then on, and no probe is sent twice."""
    net.set(EVERYWHERE, latency=0.15)
    devices = [device(f"d{n}", f"10.1.0.{n}") for n in range(50)]
    with running(net, devices, timing=Timing(0.2, 0.4)) as run:
        run.cycles(3)
        run.replace(devices, Timing(0.1, 0.1))
        sent = run.prober.stats.sent
        run.cycles(10)
        assert 300 - 51 * run.books.holds < run.prober.stats.sent - sent < 620
        run.settle()
    assert max(run.books.announced.values()) == 1
    for item in devices:
        ends = run.books.count(item.name)
        assert ends.keys() <= {"reply", "timeout", "void"}
        assert ends["reply"] >= 2 - run.books.holds
        assert ends["timeout"] + ends["void"] >= 9 - run.books.holds
        assert run.books.late_replies[item.name] >= 9 - run.books.holds


def test_the_receive_buffer_follows_the_inventory(net: Simnet) -> None:
    """A larger inventory is given a larger receive buffer without new identifiers."""
    net.set(EVERYWHERE)
    few = [device("d0", "10.1.0.0")]
    many = [device(f"d{n}", f"10.1.{n >> 8}.{n & 255}", payload_bytes=1400) for n in range(900)]
    wanted = receive_bytes(Plan(many, {}), TIMING)
    assert wanted > receive_bytes(Plan(few, {}), TIMING)
    with running(net, few) as run:
        transport = run.prober.transports[socket.AF_INET]
        before = transport.block_of.copy()
        run.replace(many)
        sock = transport._channels[0].sock  # type: ignore[attr-defined]
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 2 * wanted
        assert (transport.block_of == before).all()
        run.cycles(2)


@pytest.mark.parametrize(
    ("devices", "timing", "slots"),
    [
        (0, Timing(1.0, 1.0), 65_536),
        (875, Timing(1.0, 1.0), 65_536),
        (16_383, Timing(1.0, 1.0), 65_536),
        (16_384, Timing(1.0, 1.0), 131_072),
        (100_000, Timing(1.0, 1.0), 524_288),
        (100_000, Timing(60.0, 2.0), 262_144),
        (1_000, Timing(0.1, 5.0), 262_144),
    ],
)
def test_room_for_what_is_under_way_and_late(devices: int, timing: Timing, slots: int) -> None:
    """There is a slot for each probe of three timeouts, and a power of two of them."""
    assert slots_needed(devices, timing) == slots
    assert slots >= (devices + 1) * 3 * timing.timeout / timing.interval
