"""The peers' side of the benches, on inventories small enough for a test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench import peers, process
from bench.inventory import loopback, write
from exporter.config import load_settings
from exporter.inventory.sources import Sources
from tests.servers import FLOOR, Generation, generations


def test_loopback_addresses_are_distinct_and_loopback() -> None:
    """A bench of 100,000 devices probes 100,000 addresses of this machine, and no other's."""
    addresses = loopback(100_000)
    assert len(set(addresses)) == 100_000
    assert all(address.startswith("127.") for address in addresses)


def test_the_exporter_reads_a_bench_inventory(tmp_path: Path) -> None:
    """What the benches write is a configuration with shipped settings and the addresses asked for."""
    config = tmp_path / "ward.yml"
    config.write_text(write(tmp_path, loopback(300)))
    inventory = Sources(load_settings(config)).read()
    assert [device.address for device in inventory.devices] == loopback(300)
    assert len({device.site for device in inventory.devices}) > 1


def test_fping_is_measured_and_heard() -> None:
    """Every probe of every address is counted, with a round trip of loopback's size, at the rate asked for."""
    addresses = loopback(20)
    cost, rtts = peers.fping(addresses, 2, peers.fping_spread(addresses))
    assert cost.answered == 1
    assert [len(device) for device in rtts] == [2] * 20
    assert all(0 < rtt < 1 for device in rtts for rtt in device)
    assert 0 < cost.cores < 1


@pytest.mark.parametrize("generation", generations(), ids=lambda one: one.name)
def test_blackbox_exporter_is_measured_and_heard(generation: Generation) -> None:
    """Its probes succeed, each with the round trip that it reports."""
    with peers.blackbox(generation) as blackbox:
        cost, rtts = blackbox.cost(loopback(20), 0.5)
    assert cost.answered == 1
    assert all(0 < rtt < 1 for rtt in rtts)
    assert cost.rate > 1


@pytest.mark.parametrize("protocol", ["icmp", "udp"])
def test_smokeping_prober_is_measured_in_both_modes(protocol: str) -> None:
    """Raw and datagram sockets both work, the latter in a namespace that alone allows them."""
    allowed = Path("/proc/sys/net/ipv4/ping_group_range")
    before = allowed.read_text()
    cost = peers.smokeping(loopback(5), protocol, FLOOR, 2)
    assert cost.answered == pytest.approx(1, abs=0.5)
    assert cost.rate == pytest.approx(5, rel=0.6)
    assert allowed.read_text() == before


def test_multiping_is_measured() -> None:
    """icmplib reaches every loopback device."""
    cost = peers.multiping(10, 1)
    assert cost.answered == 1
    assert cost.us_per_probe > 0


def test_cpu_of_a_process_is_read() -> None:
    """A process that burned 0.3 s is seen to have done so."""
    burn = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as burner:
        assert burner.stdout
        burner.stdout.readline()
        assert 0.25 < process.read(burner.pid).cpu < 2
        assert process.resident_megabytes(burner.pid) > 1
        burner.kill()
