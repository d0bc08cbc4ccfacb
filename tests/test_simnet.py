"""What simulated addresses do, as a pinger sees it, and that the truth told about it is the same."""

from __future__ import annotations

import statistics
from collections import Counter
from ipaddress import ip_address
from itertools import pairwise

import pytest

from tests.simnet import Behaviour, Jitter, Simnet, Spiky, Truth
from tests.simnet.behaviour import ERRORS_V4, ERRORS_V6
from tests.simnet.pinger import FRAGMENT, IDENT, PROBE, Received, payload, pinger

V4, V6 = "10.1.2.4", "fd00:1::4"
BOTH = pytest.mark.parametrize("address", [V4, V6])


def watch(net: Simnet, address: str, count: int) -> tuple[list[Received], Truth]:
    """Ping an address, on counts of its own; what came back, and the truth."""
    net.reset_truth()
    with pinger(net, ip_address(address).version) as pings:
        found = pings.ping(address, count)
    return found, net.truth(address)


@BOTH
def test_truth_is_what_a_pinger_sees(shared_simnet: Simnet, address: str) -> None:
    """Replies come from the address asked, whole, once each and in order, and are counted so."""
    shared_simnet.set(["10.1.0.0/16", "fd00:1::/32"], latency=0.003)
    found, truth = watch(shared_simnet, address, 50)
    assert [reply.sequence for reply in found] == list(range(50))
    assert all(reply.honest and reply.source == address for reply in found)
    assert (truth.requests, truth.replies, truth.pending, truth.invalid) == (50, 50, 0, 0)
    assert truth.sizes == {56: 50}
    assert len(truth.arrivals) == 50
    assert all(later > earlier for earlier, later in pairwise(truth.arrivals))
    assert truth.source == ("10.255.255.254" if address == V4 else "fd00:ffff::fe")


@pytest.mark.parametrize("size", [0, 1, 7, 56, 1201, 1400])
@BOTH
def test_every_payload_size_comes_back(shared_simnet: Simnet, address: str, size: int) -> None:
    """Checksums are right for odd and empty payloads too."""
    shared_simnet.set(address)
    with pinger(shared_simnet, ip_address(address).version) as pings:
        for sequence in (0, 1, 0x7FFF, 0xF7FE, 0xF7FF, 0xFFFF):
            reply = pings.one(address, sequence, size)
            assert (reply.sequence, reply.payload, reply.honest) == (sequence, payload(sequence, size), True)
    assert shared_simnet.truth(address).sizes == {size: 6}


@pytest.mark.parametrize("latency", [0.005, 0.02, 0.15])
def test_latency_is_kept(shared_simnet: Simnet, latency: float) -> None:
    """A constant latency is what the pinger measures and what the truth says, within half a millisecond."""
    shared_simnet.set(V4, latency=latency)
    found, truth = watch(shared_simnet, V4, 100)
    rtts = [reply.rtt for reply in found]
    assert len(rtts) == 100
    # Medians: a pause of a busy machine is no fault of the clock's.
    assert statistics.median(rtts) == pytest.approx(latency, abs=0.0005)
    assert statistics.median(truth.delays) == pytest.approx(latency, abs=0.0005)
    assert min(truth.delays) == truth.delay_min >= latency
    assert max(truth.delays) == truth.delay_max
    assert sum(truth.delays) == pytest.approx(truth.delay_sum)
    assert truth.delay_mean == pytest.approx(statistics.fmean(truth.delays))
    steps = [abs(after - before) for before, after in pairwise(truth.delays)]
    assert truth.delay_variation == pytest.approx(sum(steps))


def test_jitter_has_its_shape(shared_simnet: Simnet) -> None:
    """Uniform jitter stays in its range, normal jitter has its mean and deviation."""
    shared_simnet.set("10.1.0.1", latency=Jitter(0.02, 0.01, "uniform"))
    shared_simnet.set("10.1.0.2", latency=Jitter(0.02, 0.004))
    _, uniform = watch(shared_simnet, "10.1.0.1", 300)
    assert uniform.delay_min >= 0.01
    assert statistics.median(uniform.delays) == pytest.approx(0.02, abs=0.003)
    assert statistics.quantiles(uniform.delays, n=10)[-1] == pytest.approx(0.028, abs=0.003)
    _, normal = watch(shared_simnet, "10.1.0.2", 300)
    assert statistics.median(normal.delays) == pytest.approx(0.02, abs=0.002)
    quartiles = statistics.quantiles(normal.delays, n=4)
    assert (quartiles[2] - quartiles[0]) / 1.349 == pytest.approx(0.004, rel=0.35)


def test_spikes_come_in_their_turn(shared_simnet: Simnet) -> None:
    """Each n-th reply, and no other, has the latency of a spike."""
    shared_simnet.set(V4, latency=Spiky(0.002, 0.08, every=5))
    found, _ = watch(shared_simnet, V4, 20)
    assert sorted(reply.sequence for reply in found if reply.rtt >= 0.08) == [4, 9, 14, 19]


@BOTH
def test_loss_is_counted_and_repeats(address: str) -> None:
    """What the pinger misses is what the truth says was lost, and the same seed loses the same packets."""
    lost = []
    for seed in (7, 7, 8):
        with Simnet(seed=seed) as net:
            net.set(address, loss=0.3)
            found, truth = watch(net, address, 200)
        assert truth.dropped_loss == 200 - len(found)
        assert 30 <= truth.dropped_loss <= 90
        lost.append({reply.sequence for reply in found})
    assert lost[0] == lost[1] != lost[2]


def test_addresses_lose_each_for_itself(shared_simnet: Simnet) -> None:
    """Two addresses with the same loss do not lose the same sequences."""
    shared_simnet.set("10.2.0.0/16", loss=0.5)
    first, second = (watch(shared_simnet, address, 60)[0] for address in ("10.2.0.1", "10.2.0.2"))
    assert {reply.sequence for reply in first} != {reply.sequence for reply in second}


def test_the_most_specific_behaviour_counts(shared_simnet: Simnet) -> None:
    """An address goes before its prefix, a prefix before a wider one, and the latest call before an equal one."""
    shared_simnet.set("10.3.1.1", ttl=10)
    shared_simnet.set(["10.3.0.0/16", "fd00:3::/32"], ttl=20)
    shared_simnet.set("10.3.1.0/24", ttl=30)
    shared_simnet.set("fd00:3::7", ttl=40)
    with pinger(shared_simnet) as pings:
        ttls = [pings.one(address).ttl for address in ("10.3.1.1", "10.3.1.2", "10.3.2.1")]
        assert ttls == [10, 30, 20]
        shared_simnet.set("10.3.1.0/24", ttl=31)
        assert [pings.one(address).ttl for address in ("10.3.1.1", "10.3.1.2")] == [10, 31]
    with pinger(shared_simnet, 6) as pings:
        assert [pings.one(address).ttl for address in ("fd00:3::7", "fd00:3::8")] == [40, 20]


def test_what_is_not_set_is_silent_unless_told_otherwise(shared_simnet: Simnet) -> None:
    """An address that no call has named answers nothing; another default makes it answer."""
    found, truth = watch(shared_simnet, "10.9.9.9", 3)
    assert (found, truth.requests, truth.dropped_outage) == ([], 3, 3)
    with Simnet(default=Behaviour(ttl=33)) as net, pinger(net) as pings:
        assert pings.one("10.9.9.9").ttl == 33


@BOTH
@pytest.mark.parametrize("what", ["duplicates", "late", "forged_cookie", "forged_source", "foreign", "corrupt"])
def test_the_ways_to_misbehave(shared_simnet: Simnet, what: str, address: str) -> None:
    """Each sends what its name says, as often as the truth says."""
    shared_simnet.set(address, late_seconds=0.15, **{what: 0.5})
    found, truth = watch(shared_simnet, address, 40)
    neighbour = str(ip_address(address) + 1)
    number = getattr(truth, {"corrupt": "corrupted"}.get(what, what))
    assert 5 <= number <= 35
    good = Counter(reply.sequence for reply in found if reply.honest and reply.source == address)
    odd = [reply for reply in found if not (reply.honest and reply.source == address)]
    if what == "duplicates":
        assert Counter(good.values()) == {1: 40 - number, 2: number}
        assert (truth.replies, odd) == (40, [])
    elif what == "late":
        assert len([reply for reply in found if reply.rtt >= 0.15]) == number
        assert (truth.replies, odd) == (40 - number, [])
    elif what == "corrupt":
        assert len(good) == truth.replies == 40 - number
        # On IPv6 the kernel drops what a raw socket for ICMPv4 still gets to see.
        assert [reply.sound for reply in odd] == [False] * (number if address == V4 else 0)
    else:
        assert (len(good), truth.replies, len(odd)) == (40, 40, number)
        assert all(reply.sound and reply.ident == IDENT for reply in odd)
    if what == "forged_source":
        assert {(reply.source, reply.honest) for reply in odd} == {(neighbour, True)}
    if what in ("forged_cookie", "foreign"):
        assert all(reply.payload[:8] != payload(reply.sequence, 8) for reply in odd)
    if what == "forged_cookie":
        assert all(reply.payload[8:] == payload(reply.sequence, 48) for reply in odd)


def test_forgeries_come_before_the_reply(shared_simnet: Simnet) -> None:
    """A prober that takes the first that looks like a reply takes the forgery."""
    shared_simnet.set(V4, forged_cookie=1.0)
    found, _ = watch(shared_simnet, V4, 10)
    assert [reply.honest for reply in found] == [False, True] * 10


@BOTH
@pytest.mark.parametrize("kind", ERRORS_V4)
def test_errors_quote_the_request(shared_simnet: Simnet, kind: str, address: str) -> None:
    """An error comes from the router, with its type and code, and carries the request it is about."""
    shared_simnet.set(address, error=kind, latency=0.01)
    found, truth = watch(shared_simnet, address, 3)
    assert (truth.requests, truth.errors, truth.replies) == (3, 3, 0)
    header = 20 if address == V4 else 40
    for sequence, error in enumerate(found):
        assert (error.type, error.code) == (ERRORS_V4 if address == V4 else ERRORS_V6)[kind]
        assert error.source == ("10.255.255.1" if address == V4 else "fd00:ffff::1")
        assert error.sound
        assert len(error.payload) == header + 8 + 56
        assert error.payload[header - 4 : header] == ip_address(address).packed[-4:]
        assert error.payload[header] == (8 if address == V4 else 128)
        assert int.from_bytes(error.payload[header + 6 : header + 8], "big") == sequence


def test_a_miserly_router_quotes_eight_bytes(shared_simnet: Simnet) -> None:
    """An error may quote no more of the request than RFC 792 asks for."""
    shared_simnet.set(V4, error="host_unreachable", quoted_bytes=8)
    found, _ = watch(shared_simnet, V4, 1)
    assert [len(error.payload) for error in found] == [28]


def test_a_path_answers_hop_by_hop(shared_simnet: Simnet) -> None:
    """A request whose TTL ends on the way is answered by the router it ends at; others reach the device."""
    for address, path in ((V4, ("10.254.0.1", "10.254.0.2")), (V6, ("fd00:254::1", "fd00:254::2"))):
        shared_simnet.set(address, path=path)
        with pinger(shared_simnet, ip_address(address).version) as pings:
            sources = []
            for ttl in (1, 2, 3, 64):
                pings.hops(ttl)
                sources.append(pings.one(address).source)
        assert sources == [*path, address, address]
        assert shared_simnet.truth(address).ttl == 64


@BOTH
def test_options_and_a_ttl_step(shared_simnet: Simnet, address: str) -> None:
    """Replies with options are still replies; the TTL is the one last set."""
    seen = []
    for options, ttl in ((False, 60), (True, 60), (True, 57), (False, 57)):
        shared_simnet.set(address, ip_options=options, ttl=ttl)
        found, _ = watch(shared_simnet, address, 1)
        assert [reply.honest for reply in found] == [True]
        seen.append((found[0].header, found[0].ttl))
    short, long = (20, 28) if address == V4 else (0, 0)
    assert seen == [(short, 60), (long, 60), (long, 57), (short, 57)]


def test_mtu_is_met_by_whole_packets_alone(shared_simnet: Simnet) -> None:
    """Too large with DF: an error with the MTU. Without DF, or small enough: a reply. A black hole: nothing."""
    shared_simnet.set("10.4.0.0/24", mtu=1000)
    shared_simnet.set("10.4.0.9", mtu=1000, mtu_blackhole=True)
    with pinger(shared_simnet) as pings:
        pings.fragment(FRAGMENT)
        assert pings.one("10.4.0.1", size=1200).honest
        pings.fragment(PROBE)
        assert pings.one("10.4.0.1", size=1000 - 28).honest
        error = pings.one("10.4.0.1", size=1001 - 28)
        assert (error.type, error.code, error.sequence) == (3, 4, 1000)
        assert shared_simnet.truth("10.4.0.1").dont_fragment == 2
        pings.send("10.4.0.9", 1, size=1001 - 28)
        assert pings.one("10.4.0.9", 2).sequence == 2
    truth = shared_simnet.truth("10.4.0.9")
    assert (truth.dropped_mtu, truth.errors, truth.replies) == (1, 0, 1)


def test_mtu_on_ipv6(shared_simnet: Simnet) -> None:
    """A packet too big for the path is answered with the path's MTU."""
    shared_simnet.set(V6, mtu=1280)
    with pinger(shared_simnet, 6) as pings:
        pings.fragment(PROBE)
        assert pings.one(V6, size=1280 - 48).honest
        error = pings.one(V6, size=1281 - 48)
        assert (error.type, error.code, error.ident << 16 | error.sequence) == (2, 0, 1280)


@BOTH
def test_a_mark_changes_what_is_done(shared_simnet: Simnet, address: str) -> None:
    """One address behaves differently under two DSCP marks, and the truth counts the marks."""
    shared_simnet.set(address, ttl=50, dscp_loss={46: 1.0}, by_dscp={10: Behaviour(ttl=40)})
    answered = {}
    with pinger(shared_simnet, ip_address(address).version) as pings:
        for mark in (0, 10, 46):
            pings.mark(mark)
            answered[mark] = [reply.ttl for reply in pings.ping(address, 3)]
    assert answered == {0: [50] * 3, 10: [40] * 3, 46: []}
    truth = shared_simnet.truth(address)
    assert (truth.dscp, truth.dropped_loss) == ({0: 3, 10: 3, 46: 3}, 3)


def test_a_wrong_checksum_gets_no_answer(shared_simnet: Simnet) -> None:
    """A request that a real host would drop is dropped, and counted apart."""
    shared_simnet.set(V4)
    with pinger(shared_simnet) as pings:
        pings.send(V4, 1, spoil=0x0101)
        assert pings.one(V4, 2).sequence == 2
    truth = shared_simnet.truth(V4)
    assert (truth.invalid, truth.requests, truth.replies) == (1, 1, 1)


@pytest.mark.parametrize(
    "fields", [{"loss": 1.5}, {"error": "gone"}, {"ttl": 0}, {"dscp_loss": {64: 0.1}}, {"speed": 9}]
)
def test_nonsense_is_refused(shared_simnet: Simnet, fields: dict[str, object]) -> None:
    """A behaviour that cannot be is an error where it is written."""
    with pytest.raises((ValueError, TypeError)):
        shared_simnet.set(V4, **fields)
    with pytest.raises(ValueError, match="a flap"):
        shared_simnet.flap(V4, 1, 1, times=0)
    with pytest.raises(ValueError, match=r"10\.0\.0\.300"):
        shared_simnet.set("10.0.0.300")
