"""Raw and datagram sockets of both families: what goes out, what comes back, and what the kernel says of it."""

from __future__ import annotations

import socket
import statistics
import time
from pathlib import Path
from typing import Any

from exporter.icmp.transport import BATCH, NO_BLOCK
from tests.icmp.wire import EVERYWHERE, KINDS, SOURCES, Wire, addresses, descriptors
from tests.simnet import Simnet

LOOPBACK: dict[int, str] = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


@KINDS
def test_replies_and_both_stamps(net: Simnet, family: int, raw: bool) -> None:
    """Each request is answered once, and the kernel's two stamps lie as far apart as the network's delay."""
    net.set(EVERYWHERE, latency=0.01, ttl=43)
    targets = addresses(family, 60)
    with Wire(net, family, raw) as wire:
        assert wire.send(targets) == (60, [], 0)
        wire.listen(60)
        assert all(map(wire.honest, range(60)))
        assert set(wire.stamps) == set(range(60))
        truths = net.truths(targets)
        extra = []
        for heard in wire.heard:
            assert (heard.reason, heard.source, heard.ttl) == ("", targets[heard.slot], 43)
            before, after = wire.between[heard.slot]
            assert before <= wire.stamps[heard.slot] <= after
            delay = truths[heard.source].delay_min
            extra.append((heard.stamp - wire.stamps[heard.slot]) / 1e9 - delay)
        # The simulator reads its clock after the kernel's first stamp, and writes before the second.
        assert min(extra) > -0.0005
        assert statistics.median(extra) < 0.003
        assert not any(truth.invalid for truth in truths.values())


@KINDS
def test_two_copies_do_not_hear_each_other(net: Simnet, family: int, raw: bool) -> None:
    """Copies of the program have identifiers of their own, and get no packet of another's."""
    net.set(EVERYWHERE)
    with Wire(net, family, raw) as one, Wire(net, family, raw) as two:
        while raw and one.ident() == two.ident():  # raw identifiers are drawn: one time in 65,536 they are the same
            one.transport.rotate()
        assert one.ident() != two.ident()
        one.send(addresses(family, 20))
        one.listen(20)
        two.take()
        assert (two.heard, two.foreign) == ([], 0)


@KINDS
def test_rotation_keeps_replies_under_way(net: Simnet, family: int, raw: bool) -> None:
    """Identifiers change, and replies to the former ones are still heard until they change again."""
    net.set(EVERYWHERE, latency=0.2)
    targets = addresses(family, 10)
    with Wire(net, family, raw) as wire:
        former = wire.ident()
        wire.send(targets)
        net.inside(wire.transport.rotate)
        assert wire.ident() != former
        assert wire.transport.block_of[[former, wire.ident()]].tolist() == [0, 0]
        wire.send(targets, 10)
        wire.listen(20)
        assert all(map(wire.honest, range(20)))
        net.inside(wire.transport.rotate)
        assert wire.transport.block_of[former] == NO_BLOCK or wire.ident() == former
        assert (wire.transport.block_of != NO_BLOCK).sum() == 2


@KINDS
def test_more_blocks_more_identifiers(net: Simnet, family: int, raw: bool) -> None:
    """A slot above 65,535 travels under the next identifier and comes back as itself, before and after a resize."""
    net.set(EVERYWHERE)
    targets = addresses(family, 8)
    with Wire(net, family, raw) as wire:
        wire.send(targets, 65_528)
        wire.listen(8)
        for blocks in (3, 4):
            net.inside(wire.transport.resize, blocks, 1 << 20)
            assert (wire.transport.block_of != NO_BLOCK).sum() == blocks
            # In one call, over the border between two blocks.
            first = (blocks - 1) * 65_536 - 4
            expected = len(wire.heard) + 8
            wire.send(targets, first)
            wire.listen(expected)
            assert all(map(wire.honest, range(first, first + 8)))
            assert set(range(first, first + 8)) <= set(wire.stamps)
            net.inside(wire.transport.rotate)
            assert (wire.transport.block_of != NO_BLOCK).sum() == 2 * blocks


@KINDS
def test_resize_grants_the_receive_buffer(net: Simnet, family: int, raw: bool) -> None:
    """A larger inventory gets a larger receive buffer on sockets that are open, and loses no reply by it."""
    net.set(EVERYWHERE, latency=0.1)
    with Wire(net, family, raw, receive_bytes=65_536) as wire:
        wire.send(addresses(family, 10))
        former = wire.ident()
        net.inside(wire.transport.resize, 1, 1 << 20)
        assert wire.ident() == former
        sock = wire.kernel._channels[0].sock
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 2 << 20  # the kernel doubles it
        wire.listen(10)
        assert len(wire.stamps) == 10


@KINDS
def test_overflow_of_the_receive_buffer_is_counted_at_once(net: Simnet, family: int, raw: bool) -> None:
    """What does not fit into the buffer is told as soon as the buffer is read, and only once."""
    with Wire(net, family, raw, receive_bytes=16_384) as wire:
        wire.send([LOOPBACK[family]] * 500)
        wire.take()
        assert 0 < len(wire.heard) < 500
        drops = wire.transport.drops()
        # A full raw socket also counts the requests, which come by on loopback.
        assert 500 - len(wire.heard) <= drops <= (2 if raw else 1) * (500 - len(wire.heard))
        wire.take()
        net.inside(wire.transport.rotate)
        net.inside(wire.transport.rotate)
        assert wire.transport.drops() == drops


@KINDS
def test_broken_and_foreign_packets_are_no_overflow(net: Simnet, family: int, raw: bool) -> None:
    """The kernel counts packets with wrong checksums among its drops; they are not the receive buffer's."""
    net.set(EVERYWHERE, corrupt=1.0)
    with Wire(net, family, raw) as wire, Wire(net, family, True) as other:
        for round_ in range(4):
            wire.send(addresses(family, 50), 50 * round_)
            other.send(addresses(family, 50), 50 * round_)
        last = addresses(family, 1, subnet=2)
        net.set(last, latency=0.05)
        wire.send(last, 200)
        deadline = time.monotonic() + 5
        while not wire.honest(200):
            wire.take()
            assert time.monotonic() < deadline
            time.sleep(0.002)
        assert wire.transport.drops() == 0
        assert [packet.slot for packet in wire.heard if packet.cookie == wire.cookies[packet.slot]] == [200]


@KINDS
def test_profiles_reach_the_network(net: Simnet, family: int, raw: bool) -> None:
    """DSCP, payload size, don't-fragment and source address are as asked, each batch as its own profile says."""
    net.set(EVERYWHERE)
    own = "10.255.255.254" if family == socket.AF_INET else "fd00:ffff::fe"
    other = SOURCES[family]
    profiles: list[tuple[dict[str, Any], int, int, str]] = [
        ({}, 0, 56, own),
        ({"dscp": 46}, 46, 56, own),
        ({"payload_bytes": 8}, 0, 8, own),
        ({"payload_bytes": 1301, "dont_fragment": True}, 0, 1301, own),
    ]
    if raw or family == socket.AF_INET:
        profiles += [
            ({"source": other}, 0, 56, other),
            ({"source": other, "dscp": 10, "payload_bytes": 1400}, 10, 1400, other),
        ]
    with Wire(net, family, raw) as wire:
        for turn in range(2):
            for number, (options, *_) in enumerate(profiles):
                first = 2 * (turn * len(profiles) + number)
                assert wire.send(addresses(family, 2, subnet=number), first, **options).refused == []
        wire.listen(4 * len(profiles))
        assert all(map(wire.honest, range(4 * len(profiles))))
    for number, (options, dscp, size, source) in enumerate(profiles):
        for truth in net.truths(addresses(family, 2, subnet=number)).values():
            assert (truth.dscp, truth.sizes, truth.source) == ({dscp: 2}, {size: 2}, source)
            assert truth.invalid == 0
            if family == socket.AF_INET:
                assert truth.dont_fragment == (2 if options.get("dont_fragment") else 0)


@KINDS
def test_close_leaves_no_descriptor(net: Simnet, family: int, raw: bool) -> None:
    """All sockets, those of the former identifiers too, are closed."""
    before = descriptors()
    with Wire(net, family, raw, blocks=3) as wire:
        net.inside(wire.transport.rotate)
        assert descriptors() == before + (1 if raw else 6)
    assert descriptors() == before


@KINDS
def test_a_full_batch_and_more(net: Simnet, family: int, raw: bool) -> None:
    """A call sends one batch at most, and all that has arrived is read in one go, however many batches that is."""
    with Wire(net, family, raw, receive_bytes=8 << 20) as wire:
        target = [LOOPBACK[family]]
        assert wire.send(target * (BATCH + 100)).done == BATCH
        wire.send(target * BATCH, BATCH)
        wire.take()
        assert len(wire.heard) == 2 * BATCH
        assert all(map(wire.honest, range(2 * BATCH)))
        assert len(wire.stamps) == 2 * BATCH
        assert wire.transport.drops() == 0


def test_only_icmp_sockets_are_open(net: Simnet) -> None:
    """The sockets are what they are called: raw ones are listed as raw, datagram ones as ICMP."""
    with Wire(net, socket.AF_INET, True), Wire(net, socket.AF_INET, False), Wire(net, socket.AF_INET6, True):
        table = Path(f"/proc/{net.pid}/net")
        assert len((table / "raw").read_text().splitlines()) == 2
        assert len((table / "icmp").read_text().splitlines()) == 2
        assert len((table / "raw6").read_text().splitlines()) == 2
