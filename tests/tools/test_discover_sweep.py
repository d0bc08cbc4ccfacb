"""The pings of a discovery: who is found by them, whom they go to, and how fast."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import subprocess
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from exporter.errors import DiscoverError
from exporter.icmp.fallback import IcmplibTransport
from exporter.icmp.transport import Batch, KernelTransport, Sent, Transport
from exporter.tools import discover_sweep
from exporter.tools.discover_sweep import Sweep
from tests.icmp.wire import furnish
from tests.serving import PROGRAM, until
from tests.simnet import Simnet
from tests.simnet.packets import ICMP, ICMP6
from tests.tools.discovering import QUICK, Wire, by_address, discover, hosts


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "ward.yml"
    path.write_text(QUICK)
    return path


def test_those_are_found_that_answer(shared_simnet: Simnet, config: Path) -> None:
    """Rows are the addresses that answer, late ones among them; nobody outside of the ranges is asked."""
    net = shared_simnet
    alive = [f"10.1.0.{last}" for last in range(1, 255, 3)]
    net.set(alive, latency=0.005)
    net.set("10.1.0.4", late=1.0, late_seconds=0.3)
    net.set("10.1.0.2", error="host_unreachable")
    net.set("10.1.0.3", corrupt=1.0)
    net.set(["10.1.0.0", "10.1.0.255", "10.1.1.1", "10.0.255.254"], latency=0.001)
    net.set("fd00::3", latency=0.001)
    with Wire(net) as wire:
        done = discover(net, f"--config.file={config}", "10.1.0.0/25", "10.1.0.0/24", "fd00::/124", "10.1.0.9")
    # The ends of the smaller network are left out as well.
    asked = set(hosts("10.1.0.0/24")) - {"10.1.0.127"}
    assert done.status == 0
    assert set(done.rows) == {*alive, "fd00::3"} & {*asked, "fd00::3"}
    assert wire.targets(ICMP) == asked
    assert wire.targets(ICMP6) == {str(one) for one in ipaddress.ip_network("fd00::/124")}
    assert {one.protocol for one in wire.sent} == {ICMP, ICMP6}
    counts = {address: truth.requests for address, truth in net.truths(sorted(asked)).items()}
    assert {counts[address] for address in set(alive) & asked - {"10.1.0.4"}} == {1}
    assert {counts[address] for address in asked - set(alive)} == {3}


def test_a_lost_packet_is_not_the_last(shared_simnet: Simnet, config: Path) -> None:
    """An address that answers only later is asked again, and found."""
    net = shared_simnet
    net.set("10.2.0.0/28", outage=True)
    program = net.popen(
        [PROGRAM, "discover", f"--config.file={config}", "10.2.0.0/28"], stdout=subprocess.PIPE, text=True
    )
    until(lambda: all(truth.requests for truth in net.truths(hosts("10.2.0.0/28")).values()))
    net.restore("10.2.0.3")
    out, _ = program.communicate(timeout=60)
    assert list(by_address(out)) == ["10.2.0.3"]


def test_requests_are_paced(shared_simnet: Simnet, config: Path) -> None:
    """They go out at the rate that was asked for, and those to one address at least a second apart."""
    net = shared_simnet
    discover(net, f"--config.file={config}", "--rate=100", "10.3.0.0/25")
    times = [sorted(truth.arrivals) for truth in net.truths(hosts("10.3.0.0/25")).values()]
    every = sorted(moment for moments in times for moment in moments)
    assert len(every) == 3 * 126
    # 126 packets take 1.26 s; half a second has room for 50, and for what a busy machine has held up.
    assert all(later - first > 0.5 for first, later in zip(every, every[100:], strict=False))
    assert all(second - first > 0.9 for moments in times for first, second in pairwise(moments))


def test_a_large_range_that_is_meant(shared_simnet: Simnet, config: Path) -> None:
    """With --yes more than 4,096 addresses are swept, each of them."""
    net = shared_simnet
    net.set("10.16.0.0/12", latency=0.001)
    with Wire(net) as wire:
        done = discover(net, f"--config.file={config}", "--yes", "--rate=10000", "10.16.0.0/19")
    assert len(done.rows) == 2**13 - 2
    assert wire.targets(ICMP) == set(hosts("10.16.0.0/19"))


def test_a_network_that_is_not_there(simnet: Simnet, config: Path) -> None:
    """Where the kernel has no way to an address, that is told; nobody waits for it."""
    done = discover(simnet, f"--config.file={config}", "192.0.2.0/28", "127.0.0.1")
    assert list(done.rows) == ["127.0.0.1"]
    assert "the kernel would not send to some addresses: ENETUNREACH 14\n" in done.err


# The sweep by itself, over sockets that make trouble.


class Swept:
    """What a sweep has told; `open_` makes its IPv4 transport."""

    def __init__(self, net: Simnet, transport: Transport, addresses: Sequence[str], rate: int = 5000) -> None:
        self.found: list[str] = []
        self.passed = 0
        self.sweep = Sweep({int(socket.AF_INET): transport}, rate, 0.2, self.found.append, self._pass)
        try:
            net.inside(asyncio.run, self.sweep.run(addresses))
        finally:
            transport.close()

    def _pass(self, count: int) -> None:
        self.passed += count


def test_replies_that_the_receive_buffer_drops(shared_simnet: Simnet) -> None:
    """They are asked for again at another pace, and whoever answers is found all the same."""
    net = shared_simnet
    net.set("10.20.0.0/22", latency=0.001)
    transport: KernelTransport = net.inside(KernelTransport, int(socket.AF_INET), True, 1, 16_384)
    swept = Swept(net, transport, hosts("10.20.0.0/22"), 50_000)
    assert transport.drops() > 0
    assert sorted(swept.found) == sorted(hosts("10.20.0.0/22"))
    assert swept.passed == len(swept.found)


class _Full(KernelTransport):
    """One whose kernel has no room for each second batch; of the others it takes the half."""

    tries = 0

    def send(self, batch: Batch) -> Sent:
        self.tries += 1
        half = (len(batch.slots) + 1) // 2
        if self.tries % 2:
            return Sent(0, [], errno.ENOBUFS)
        sent = super().send(Batch(batch.profile, batch.names[:half], batch.slots[:half], batch.cookies[:half]))
        return Sent(sent.done, sent.refused, errno.ENOBUFS)


def test_full_queues(shared_simnet: Simnet) -> None:
    """What the kernel has no room for is sent later, once; each address is passed once."""
    net = shared_simnet
    net.set("10.21.0.0/24", latency=0.001)
    swept = Swept(net, net.inside(_Full, int(socket.AF_INET), True, 1, 1 << 20), hosts("10.21.0.0/24"))
    assert sorted(swept.found) == sorted(hosts("10.21.0.0/24"))
    assert swept.passed == len(swept.found)
    assert Counter(truth.requests for truth in net.truths(hosts("10.21.0.0/24")).values()) == {1: 254}


class _Stuck(KernelTransport):
    def send(self, batch: Batch) -> Sent:
        return Sent(0, [], errno.ENOBUFS)


def test_queues_that_stay_full(shared_simnet: Simnet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing goes out any more, the sweep ends and says why."""
    monkeypatch.setattr(discover_sweep, "_STUCK", 0.3)
    transport = shared_simnet.inside(_Stuck, int(socket.AF_INET), True, 1, 1 << 20)
    with pytest.raises(DiscoverError, match="nothing can be sent for"):
        Swept(shared_simnet, transport, hosts("10.22.0.0/28"))


@pytest.mark.parametrize("kind", ["dgram", "icmplib"])
def test_other_sockets(shared_simnet: Simnet, kind: str) -> None:
    """Datagram sockets and icmplib's find the same devices as raw ones do."""
    net = shared_simnet
    furnish(net)
    alive = [f"10.23.0.{last}" for last in range(1, 15, 3)]
    net.set(alive, latency=0.001)
    family = int(socket.AF_INET)
    transport: Transport = (
        net.inside(KernelTransport, family, False, 1, 1 << 20)
        if kind == "dgram"
        else net.inside(IcmplibTransport, family, 1, 1 << 20)
    )
    swept = Swept(net, transport, hosts("10.23.0.0/28"))
    assert sorted(swept.found) == sorted(alive)
    assert swept.passed == 14
