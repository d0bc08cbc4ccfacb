"""Raw and datagram sockets of both families: what goes out, what comes back, and what the kernel says of it."""

from __future__ import annotations

import errno
import resource
import socket
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exporter.errors import SocketPermissionError
from exporter.icmp.transport import BATCH, NO_BLOCK, KernelTransport
from tests.icmp.wire import REFUSALS, SOURCES, Wire, addresses, furnish
from tests.simnet import Simnet
from tests.simnet.behaviour import ERRORS_V4

KINDS = pytest.mark.parametrize(
    ("family", "raw"),
    [(socket.AF_INET, True), (socket.AF_INET, False), (socket.AF_INET6, True), (socket.AF_INET6, False)],
    ids=["raw-v4", "dgram-v4", "raw-v6", "dgram-v6"],
)
EVERYWHERE = ("10.0.0.0/8", "fd00::/8")
LOOPBACK: dict[int, str] = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
_SO_LOCK_FILTER = 44


def version(family: int) -> int:
    return 4 if family == socket.AF_INET else 6


def ident(wire: Wire, block: int = 0) -> int:
    return int(wire.transport.idents(np.array([block]))[0])


def kernel(wire: Wire) -> KernelTransport:
    assert isinstance(wire.transport, KernelTransport)
    return wire.transport


def descriptors() -> int:
    """How many this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


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
        while raw and ident(one) == ident(two):  # raw identifiers are drawn: one time in 65,536 they are the same
            one.transport.rotate()
        assert ident(one) != ident(two)
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
        former = ident(wire)
        wire.send(targets)
        net.inside(wire.transport.rotate)
        assert ident(wire) != former
        assert wire.transport.block_of[[former, ident(wire)]].tolist() == [0, 0]
        wire.send(targets, 10)
        wire.listen(20)
        assert all(map(wire.honest, range(20)))
        net.inside(wire.transport.rotate)
        assert wire.transport.block_of[former] == NO_BLOCK or ident(wire) == former
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
        former = ident(wire)
        net.inside(wire.transport.resize, 1, 1 << 20)
        assert ident(wire) == former
        sock = kernel(wire)._channels[0].sock
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
    own, other = ("10.255.255.254", SOURCES[4]) if family == socket.AF_INET else ("fd00:ffff::fe", SOURCES[6])
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


def test_a_source_that_linux_would_ignore_is_refused(net: Simnet) -> None:
    """An IPv6 datagram socket cannot choose its source for each packet: refused, for the path might be another."""
    with Wire(net, socket.AF_INET6, False) as wire:
        sent = wire.send(addresses(socket.AF_INET6, 2), source=SOURCES[6])
        assert sent == (2, [(0, errno.EOPNOTSUPP), (1, errno.EOPNOTSUPP)], 0)


@KINDS
def test_refusals_have_their_errno(net: Simnet, family: int, raw: bool) -> None:
    """A request that the kernel refuses is told by place and errno, and the others of its batch go out."""
    net.set(EVERYWHERE)
    bad = REFUSALS[version(family)]
    good = addresses(family, len(bad) + 1)
    mixed = [good[0]]
    for number, address in enumerate(bad):
        mixed += [address, good[number + 1]]
    with Wire(net, family, raw) as wire:
        sent = wire.send(mixed)
        assert (sent.done, sent.busy) == (len(mixed), 0)
        expected = [(1 + 2 * number, getattr(errno, name)) for number, name in enumerate(bad.values())]
        assert sent.refused == expected
        wire.listen(len(good))
        assert all(map(wire.honest, range(0, len(mixed), 2)))


@KINDS
def test_refusals_of_the_profile(net: Simnet, family: int, raw: bool) -> None:
    """A source address that is not ours, and a packet too large to go whole, are refusals and no more than that."""
    net.set(EVERYWHERE)
    target = addresses(family, 1)
    foreign = "10.99.99.99" if family == socket.AF_INET else "fd99::99"
    with Wire(net, family, raw) as wire:
        ((place, code),) = wire.send(target, 0, source=foreign).refused
        assert place == 0
        assert code in (errno.EINVAL, errno.EADDRNOTAVAIL, errno.ENETUNREACH, errno.EOPNOTSUPP)
        assert wire.send(target, 1, payload_bytes=1600, dont_fragment=True).refused == [(0, errno.EMSGSIZE)]
        assert wire.send(target, 2).refused == []
        wire.listen(1)
        assert wire.honest(2)


@KINDS
def test_a_link_that_is_down(net: Simnet, family: int, raw: bool) -> None:
    """While the interface is down every request is refused, and afterwards they go out again."""
    net.set(EVERYWHERE)
    with Wire(net, family, raw) as wire:
        net.drop_interface()
        try:
            sent = wire.send(addresses(family, 20))
        finally:
            net.raise_interface()
            furnish(net)
        assert sent.refused == [(place, errno.ENETUNREACH) for place in range(20)]
        assert wire.send(addresses(family, 20), 20).refused == []
        wire.listen(20)


@KINDS
def test_stamps_stay_with_their_packets(net: Simnet, family: int, raw: bool) -> None:
    """Refused packets among the others, at every place of a batch, put no stamp on another packet's account."""
    net.set(EVERYWHERE, latency=0.001)
    bad = list(REFUSALS[version(family)])
    expected: set[int] = set()
    with Wire(net, family, raw) as wire:
        first = 0
        for number in range(12):
            good = addresses(family, 4, subnet=number)
            batch = good[: number % 5] + [bad[number % len(bad)]] * (1 + number % 2) + good[number % 5 :]
            refused = {first + place for place, _ in wire.send(batch, first).refused}
            expected |= set(range(first, first + len(batch))) - refused
            first += len(batch)
            if number % 3 == 0:
                assert wire.send(good[:1], first, payload_bytes=1600, dont_fragment=True).refused
                first += 1
            time.sleep(0.003)  # so that a stamp of another batch is told apart
        wire.listen(48)
        assert set(wire.stamps) == expected
        for slot, stamp in wire.stamps.items():
            before, after = wire.between[slot]
            assert before <= stamp <= after


@KINDS
def test_icmp_errors_come_with_the_replies(net: Simnet, family: int, raw: bool) -> None:
    """Each kind of ICMP error is read in the same pass as replies, with its reason and the probe that it ends."""
    with Wire(net, family, raw) as wire:
        # Stamps first, in the memory that errors will be read into.
        net.set(EVERYWHERE)
        wire.send(addresses(family, 64))
        wire.listen(64)
        wire.heard.clear()
        slot = 64
        expected = {}
        for subnet, kind in enumerate(ERRORS_V4):
            for quoted in (8, 520):
                target = addresses(family, 1, subnet=subnet + 10 * (quoted == 8) + 10)
                net.set(target, error=kind, quoted_bytes=quoted)
                # No router asks to fragment what may be fragmented, and datagram sockets do not believe it.
                whole = kind == "fragmentation_needed"
                assert wire.send(target, slot, dont_fragment=whole).refused == []
                expected[slot] = kind, target[0]
                slot += 1
                wire.listen(len(expected))
        good = addresses(family, 5)
        wire.send(good, slot)
        wire.listen(len(expected) + 5)
        found = {heard.slot: (heard.reason, heard.source) for heard in wire.heard}
        assert {key: found[key] for key in expected} == expected
        assert all(map(wire.honest, range(64, slot + 5)))
        stamped = set(wire.stamps)
        assert stamped == set(range(slot + 5))


@KINDS
def test_an_icmp_error_refuses_no_other_request(net: Simnet, family: int, raw: bool) -> None:
    """The error of an earlier request, pending on its socket, does not fall on the next one."""
    net.set(EVERYWHERE)
    unreachable = addresses(family, 10, subnet=2)
    net.set(unreachable, error="host_unreachable", latency=0.0)
    with Wire(net, family, raw) as wire:
        for turn in range(20):
            first = 20 * turn
            assert wire.send(unreachable, first).refused == []
            assert wire.send(addresses(family, 10), first + 10).refused == []
        wire.listen(400)
        assert all(map(wire.honest, range(400)))
        for slot, stamp in wire.stamps.items():
            before, after = wire.between[slot]
            assert before <= stamp <= after


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_datagram_rotation_that_fails_changes_nothing(net: Simnet, family: int) -> None:
    """Out of file descriptors, rotation fails whole: the former sockets go on, and none is left open."""
    net.set(EVERYWHERE, latency=0.05)

    def rotate_without_descriptors(wire: Wire) -> None:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        # Room for one more descriptor: the second of the two sockets is one too many.
        with socket.socket() as probe:
            room = probe.fileno() + 1
        resource.setrlimit(resource.RLIMIT_NOFILE, (room, limits[1]))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                wire.transport.rotate()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    with Wire(net, family, False, blocks=2) as wire:
        former = [ident(wire, 0), ident(wire, 1)]
        wire.send(addresses(family, 10))
        before = descriptors()
        net.inside(rotate_without_descriptors, wire)
        assert descriptors() == before
        assert [ident(wire, 0), ident(wire, 1)] == former
        wire.send(addresses(family, 10), 65_536)
        wire.listen(20)


def test_datagram_rotation_without_permission_changes_nothing(net: Simnet) -> None:
    """Permission that was taken away after the start is an error to report, and the sockets go on."""
    net.set(EVERYWHERE)
    with Wire(net, socket.AF_INET, False) as wire:
        former = ident(wire)
        net.run(["sysctl", "-q", "-w", "net.ipv4.ping_group_range=1 0"], check=True)
        try:
            with pytest.raises(SocketPermissionError):
                net.inside(wire.transport.rotate)
        finally:
            net.run(["sysctl", "-q", "-w", "net.ipv4.ping_group_range=0 2147483647"], check=True)
        assert ident(wire) == former
        wire.send(addresses(socket.AF_INET, 5))
        wire.listen(5)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_raw_rotation_that_fails_changes_nothing(net: Simnet, family: int) -> None:
    """Where the kernel refuses the new filter, the former identifiers and their filter stay."""
    net.set(EVERYWHERE, latency=0.05)
    with Wire(net, family, True) as wire:
        former = ident(wire)
        wire.send(addresses(family, 10))
        kernel(wire)._channels[0].sock.setsockopt(socket.SOL_SOCKET, _SO_LOCK_FILTER, 1)
        for change in (wire.transport.rotate, lambda: wire.transport.resize(2, 1 << 20)):
            with pytest.raises(PermissionError):
                change()
        assert ident(wire) == former
        wire.send(addresses(family, 10), 10)
        wire.listen(20)
        assert all(map(wire.honest, range(20)))


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
