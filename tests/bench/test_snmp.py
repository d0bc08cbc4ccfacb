"""Polling and its peers, on a few simulated switches."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from bench import snmp, snmp_inventory, snmp_peers
from bench.inventory import loopback
from tests.servers import Generation, generations
from tests.simnet import Simnet
from tests.snmp.fleet import Fleet
from tests.stack.inside import until

ADDRESSES = loopback(4)


@pytest.fixture(scope="module")
def net() -> Iterator[Simnet]:
    with Simnet() as network:
        yield network


@pytest.fixture(scope="module")
def fleet(net: Simnet) -> Iterator[Fleet]:
    with Fleet(net, snmp_inventory.PORTS) as running:
        yield running


def test_the_exporter_does_the_work_and_is_watched(net: Simnet, fleet: Fleet) -> None:
    """Each device is polled each second, all of W comes, and what it costs is that of both processes."""
    with snmp.polling(net, ADDRESSES, interval="1s", modules=[snmp_inventory.WORK]) as running:
        wanted = f" {snmp_inventory.VALUES}\n".encode()
        until(lambda: running.get(snmp.PAGE)[2].count(wanted) == len(ADDRESSES), "all of W from every device")
        with snmp.spending(running, fleet) as spent:
            time.sleep(3)
    assert len(ADDRESSES) <= spent[0].polls <= 5 * len(ADDRESSES)
    assert spent[0].pollers > 0
    assert 0 < spent[0].percent < 100


@pytest.mark.parametrize("generation", generations(), ids=lambda one: one.name)
@pytest.mark.usefixtures("fleet")
def test_snmp_exporter_does_the_same_work(net: Simnet, generation: Generation) -> None:
    """Its pages hold W's samples, no more and no less, or it is not measured."""
    with snmp_peers.snmp_exporter(net, generation) as peer:
        assert peer.cost(ADDRESSES, 2) > 0


@pytest.mark.parametrize("way", ["bare", "engine"])
@pytest.mark.usefixtures("fleet")
def test_pysnmp_does_the_same_work(net: Simnet, way: str) -> None:
    """By either of its ways it brings all of W, or it is not measured."""
    assert snmp_peers.pysnmp(net, ADDRESSES[0], 1, way) > 1
