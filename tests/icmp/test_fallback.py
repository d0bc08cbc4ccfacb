"""icmplib in the place of batch calls: held against the same network as the kernel's sockets."""

from __future__ import annotations

import errno
import socket
from typing import Any

import numpy as np
import pytest

from exporter.errors import SocketPermissionError
from exporter.icmp.fallback import IcmplibTransport
from exporter.icmp.transport import NO_BLOCK, Transport
from tests.icmp.table import hold_against_the_truth
from tests.icmp.wire import EVERYWHERE, REFUSALS, Wire, addresses, descriptors
from tests.simnet import Simnet
from tests.simnet.behaviour import ERRORS_V4

FAMILY = pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["v4", "v6"])


def fallback(net: Simnet, family: int, blocks: int = 1) -> Wire:
    return Wire(net, family, True, make=lambda: IcmplibTransport(family, blocks, 1 << 20))


def make(family: int, raw: bool, blocks: int, receive_bytes: int) -> Transport:
    return IcmplibTransport(family, blocks, receive_bytes)


@FAMILY
def test_counts_are_the_networks_own(net: Simnet, family: int) -> None:
    """The loop's counts are the network's with icmplib too."""
    hold_against_the_truth(net, family, make=make)


@FAMILY
def test_replies_have_cookie_source_and_stamp(net: Simnet, family: int) -> None:
    """A reply is told with all that the loop compares, and with the kernel's receive stamp."""
    net.set(EVERYWHERE, latency=0.05, ttl=43)
    targets = addresses(family, 20)
    with fallback(net, family) as wire:
        assert wire.send(targets) == (20, [], 0)
        wire.listen(20)
        assert all(map(wire.honest, range(20)))
        for heard in wire.heard:
            assert heard.source == targets[heard.slot]
            assert heard.ttl == (43 if family == socket.AF_INET else 0)
            before, after = wire.between[heard.slot]
            assert before - 1000 <= wire.stamps[heard.slot] <= after + 1000  # a float of seconds is that coarse
            assert 0.049 < (heard.stamp - wire.stamps[heard.slot]) / 1e9 < 2
        assert wire.transport.drops() == 0


@FAMILY
def test_errors_quote_their_request(net: Simnet, family: int) -> None:
    """ICMP errors end the probe that they quote, with their reason."""
    with fallback(net, family) as wire:
        for slot, kind in enumerate(ERRORS_V4):
            net.set(addresses(family, 1, subnet=slot), error=kind)
            wire.send(addresses(family, 1, subnet=slot), slot)
        wire.listen(len(ERRORS_V4))
        assert {heard.slot: heard.reason for heard in wire.heard} == dict(enumerate(ERRORS_V4))
        assert all(map(wire.honest, range(len(ERRORS_V4))))


@FAMILY
def test_profiles_reach_the_network(net: Simnet, family: int) -> None:
    """DSCP and payload size are as asked; what icmplib cannot do is refused, not done otherwise."""
    net.set(EVERYWHERE)
    options: list[dict[str, Any]] = [{"dscp": 46}, {"payload_bytes": 8}, {"payload_bytes": 1301}, {}]
    with fallback(net, family) as wire:
        for number, option in enumerate(options):
            wire.send(addresses(family, 2, subnet=number), 2 * number, **option)
        wire.listen(8)
        assert all(map(wire.honest, range(8)))
        source = "10.255.255.253" if family == socket.AF_INET else "fd00:ffff::fd"
        for option in ({"source": source}, {"dont_fragment": True}):
            refused = [(0, errno.EOPNOTSUPP), (1, errno.EOPNOTSUPP)]
            assert wire.send(addresses(family, 2), 10, **option) == (2, refused, 0)
    for number, option in enumerate(options):
        for truth in net.truths(addresses(family, 2, subnet=number)).values():
            assert truth.dscp == {option.get("dscp", 0): 1}
            assert truth.sizes == {option.get("payload_bytes", 56): 1}
            assert truth.invalid == 0


@FAMILY
def test_refusals_have_their_errno(net: Simnet, family: int) -> None:
    """A request that the kernel refuses is told by place and errno, and the others of its batch go out."""
    net.set(EVERYWHERE)
    bad = REFUSALS[family]
    with fallback(net, family) as wire:
        sent = wire.send([*bad, *addresses(family, 3)])
        assert sent.done == len(bad) + 3
        assert sent.refused == [(place, getattr(errno, code)) for place, code in enumerate(bad.values())]
        wire.listen(3)


@FAMILY
def test_identifiers(net: Simnet, family: int) -> None:
    """Each block has its own, rotation keeps the former ones alive, another number of blocks does not."""
    net.set(EVERYWHERE, latency=0.1)
    with fallback(net, family, blocks=2) as wire:
        former = wire.transport.idents(np.arange(2)).tolist()
        wire.send(addresses(family, 8), 65_532)
        wire.transport.rotate()
        assert not set(former) & set(wire.transport.idents(np.arange(2)).tolist())
        wire.send(addresses(family, 8), 10)
        wire.listen(16)
        assert all(map(wire.honest, [*range(65_532, 65_540), *range(10, 18)]))
        wire.transport.resize(2, 1 << 21)
        assert (wire.transport.block_of != NO_BLOCK).sum() == 4
        wire.transport.resize(3, 1 << 21)
        assert (wire.transport.block_of != NO_BLOCK).sum() == 3
        wire.send(addresses(family, 2), 2 * 65_536)
        wire.listen(18)
        assert wire.honest(2 * 65_536)


def test_one_socket_that_is_closed(net: Simnet) -> None:
    """The transport opens one descriptor and leaves none."""
    before = descriptors()
    with fallback(net, socket.AF_INET):
        assert descriptors() == before + 1
    assert descriptors() == before


def test_a_refusal_to_open_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    """No permission is an error of ours, and anything else keeps its errno."""

    def denied(code: int) -> Any:
        def open_socket(*_: object, **__: object) -> None:
            raise OSError(code, "refused")

        return open_socket

    monkeypatch.setattr(socket, "socket", denied(errno.EPERM))
    with pytest.raises(SocketPermissionError):
        IcmplibTransport(socket.AF_INET, 1, 1 << 20)
    monkeypatch.setattr(socket, "socket", denied(errno.EAFNOSUPPORT))
    with pytest.raises(OSError, match="refused") as failure:
        IcmplibTransport(socket.AF_INET, 1, 1 << 20)
    assert failure.value.errno == errno.EAFNOSUPPORT
