"""What goes wrong at the sockets: refused requests, ICMP errors, and changes that fail half-way."""

from __future__ import annotations

import errno
import resource
import socket
import time

import pytest

from exporter.errors import SocketPermissionError
from tests.faults.causes import narrow_link
from tests.icmp.wire import EVERYWHERE, KINDS, REFUSALS, SOURCES, Wire, addresses, descriptors, furnish
from tests.simnet import Simnet
from tests.simnet.behaviour import ERRORS_V4

_SO_LOCK_FILTER = 44


def test_a_source_that_linux_would_ignore_is_refused(net: Simnet) -> None:
    """An IPv6 datagram socket cannot choose its source for each packet: refused, for the path might be another."""
    with Wire(net, socket.AF_INET6, False) as wire:
        sent = wire.send(addresses(socket.AF_INET6, 2), source=SOURCES[socket.AF_INET6])
        assert sent == (2, [(0, errno.EOPNOTSUPP), (1, errno.EOPNOTSUPP)], 0)


@KINDS
def test_refusals_have_their_errno(net: Simnet, family: int, raw: bool) -> None:
    """A request that the kernel refuses is told by place and errno, and the others of its batch go out."""
    net.set(EVERYWHERE)
    bad = REFUSALS[family]
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
    bad = list(REFUSALS[family])
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
        former = [wire.ident(0), wire.ident(1)]
        wire.send(addresses(family, 10))
        before = descriptors()
        net.inside(rotate_without_descriptors, wire)
        assert descriptors() == before
        assert [wire.ident(0), wire.ident(1)] == former
        wire.send(addresses(family, 10), 65_536)
        wire.listen(20)


def test_datagram_rotation_without_permission_changes_nothing(net: Simnet) -> None:
    """Permission that was taken away after the start is an error to report, and the sockets go on."""
    net.set(EVERYWHERE)
    with Wire(net, socket.AF_INET, False) as wire:
        former = wire.ident()
        net.run(["sysctl", "-q", "-w", "net.ipv4.ping_group_range=1 0"], check=True)
        try:
            with pytest.raises(SocketPermissionError):
                net.inside(wire.transport.rotate)
        finally:
            net.run(["sysctl", "-q", "-w", "net.ipv4.ping_group_range=0 2147483647"], check=True)
        assert wire.ident() == former
        wire.send(addresses(socket.AF_INET, 5))
        wire.listen(5)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_raw_rotation_that_fails_changes_nothing(net: Simnet, family: int) -> None:
    """Where the kernel refuses the new filter, the former identifiers and their filter stay."""
    net.set(EVERYWHERE, latency=0.05)
    with Wire(net, family, True) as wire:
        former = wire.ident()
        wire.send(addresses(family, 10))
        wire.kernel._channels[0].sock.setsockopt(socket.SOL_SOCKET, _SO_LOCK_FILTER, 1)
        for change in (wire.transport.rotate, lambda: wire.transport.resize(2, 1 << 20)):
            with pytest.raises(PermissionError):
                change()
        assert wire.ident() == former
        wire.send(addresses(family, 10), 10)
        wire.listen(20)
        assert all(map(wire.honest, range(20)))


@pytest.mark.parametrize(
    ("family", "raw"), [(socket.AF_INET, True), (socket.AF_INET, False), (socket.AF_INET6, True)]
)
def test_a_queue_that_is_full(net: Simnet, family: int, raw: bool) -> None:
    """What the way out has no room for is told, and was not sent: it can be sent again when there is room. Of IPv6
    datagram sockets Linux keeps it to itself."""
    net.set(EVERYWHERE)
    targets = addresses(family, 100)
    with Wire(net, family, raw) as wire:
        done = 0
        with narrow_link(net, "64kbit"):
            sent = wire.send(targets)
            assert (sent.busy, sent.refused) == (errno.ENOBUFS, [])
            assert 0 < sent.done < len(targets)
            done = sent.done
            wire.listen(done)
        assert wire.send(targets[done:], done) == (len(targets) - done, [], 0)
        wire.listen(len(targets))
        assert all(map(wire.honest, range(len(targets))))
