"""Other pingers on the same machine: a second copy of the exporter, smokeping_prober of every generation in both of
its modes, and one that uses the exporter's own identifier. All ping the same devices, and nobody's numbers suffer.

Each sends requests of a size of its own, so that the network can tell whose are whose.
"""

from __future__ import annotations

import json
import re
import statistics
import struct
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bench.exporter import Exporter, Metrics
from tests.servers import Generation, SmokepingProber, generations
from tests.simnet import Simnet, Truth
from tests.simnet.packets import sealed
from tests.simnet.pinger import Pinger, pinger
from tests.stack.branches import Branch, branches, build
from tests.stack.inside import exporter, place, until

#: Bytes of ICMP payload: the shipped setting, and others.
OURS, SECOND, SMOKEPING, IMPOSTOR = 56, 64, 40, 48
SIZES = {"ours": OURS, "second": SECOND}
PORTS = {"ours": 9841, "second": 9842}
#: In raw mode each target of smokeping_prober has a socket that gets every packet of everyone.
SMOKEPING_TARGETS = {"udp": 40, "icmp": 5}
DEVICES = 100
SECONDS = 15.0
#: The exporter knows of each probe after its timeout, and this much for a busy machine.
SETTLED = 1.5
TYPICAL_RTT_ERROR = 0.0005

every_copy = pytest.mark.parametrize("copy", SIZES)
every_generation = pytest.mark.parametrize("generation", generations(), ids=lambda one: one.name)


@dataclass(frozen=True)
class Counts:
    """Requests and answers of smokeping_prober by host."""

    requests: Mapping[str, float]
    answers: Mapping[str, float]
    #: Duplicates, and errors of sending and receiving, all hosts together.
    faults: float


@dataclass
class Neighbours:
    """Everyone at work, and what they counted over the same time."""

    net: Simnet
    devices: Sequence[Branch]
    copies: Mapping[str, Exporter]
    #: Pages from the start, and from before and after the network's counts, the last one by `SETTLED`.
    start: Mapping[str, Metrics]
    before: Mapping[str, Metrics]
    truths: Mapping[str, Truth]
    after: Mapping[str, Metrics]
    smokeping: Mapping[tuple[str, str], tuple[Counts, Counts]]
    #: Identifiers of requests, by the size of their payload.
    idents: Mapping[int, set[int]]


def counts(server: SmokepingProber) -> Counts:
    page = server.get("/metrics")[2].decode()

    def by_host(name: str) -> dict[str, float]:
        found = re.findall(rf'^smokeping_{name}\{{host="([^"]+)".*\}} (\S+)$', page, re.MULTILINE)
        return {host: float(value) for host, value in found}

    faults = re.findall(r"^smokeping_(?:response_duplicates|\w+_errors)_total\S* (\S+)$", page, re.MULTILINE)
    return Counts(by_host("requests_total"), by_host("response_duration_seconds_count"), sum(map(float, faults)))


def start_smokeping(
    net: Simnet, devices: Sequence[Branch], stack: ExitStack
) -> dict[tuple[str, str], SmokepingProber]:
    """One of every generation and mode; each generation has devices of its own."""
    net.inside(Path("/proc/sys/net/ipv4/ping_group_range").write_text, "0 2147483647")
    found: dict[tuple[str, str], SmokepingProber] = {}
    for number, generation in enumerate(generations()):
        for protocol, count in SMOKEPING_TARGETS.items():
            hosts = [device.address for device in devices[number::2][:count]]
            target = {"hosts": hosts, "interval": "1s", "network": "ip4", "protocol": protocol, "size": SMOKEPING}
            server = SmokepingProber(
                json.dumps({"targets": [target]}), generation=generation, **place(net, 9374 + len(found))
            )
            found[generation.name, protocol] = stack.enter_context(server)
    return found


def identifiers(sniffer: Pinger, seconds: float) -> dict[int, set[int]]:
    """The identifiers of what devices reply, by the size of the payload: a raw socket gets everyone's packets."""
    found: dict[int, set[int]] = defaultdict(set)
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        received = sniffer.receive(left)
        # Each copy pings the loopback address as well, with the shipped size.
        if received is not None and not received.source.startswith("127."):
            found[len(received.payload)].add(received.ident)
    return found


@pytest.fixture(scope="module")
def neighbours(module_simnet: Simnet) -> Iterator[Neighbours]:
    net = module_simnet
    devices = [
        replace(device, latency=0.002 + number % 25 * 0.002, loss=0.0)
        for number, device in enumerate(branches()[:DEVICES])
    ]
    build(net, devices)
    addresses = [device.address for device in devices]
    with ExitStack() as stack:
        smokeping = start_smokeping(net, devices, stack)
        copies = {
            "ours": stack.enter_context(exporter(net, devices, port=PORTS["ours"])),
            "second": stack.enter_context(
                exporter(net, devices, port=PORTS["second"], more=f"probe: {{payload_bytes: {SECOND}}}\n")
            ),
        }
        with pinger(net) as sniffer:
            idents = identifiers(sniffer, SETTLED)
        counted = {key: counts(server) for key, server in smokeping.items()}
        start = {name: copy.metrics() for name, copy in copies.items()}
        begun = time.monotonic()
        until(lambda: time.monotonic() >= begun + SECONDS, "the end of the measurement")
        before = {name: copy.metrics() for name, copy in copies.items()}
        truths = net.truths(addresses)
        taken = time.monotonic()
        until(lambda: time.monotonic() >= taken + SETTLED, "the end of what was under way")
        assert net.overruns() == 0, "the network lost packets of its own: it knows no truth"
        yield Neighbours(
            net,
            devices,
            copies,
            start,
            before,
            {device.name: truths[device.address] for device in devices},
            {name: copy.metrics() for name, copy in copies.items()},
            {key: (counted[key], counts(server)) for key, server in smokeping.items()},
            idents,
        )


def assert_nothing_lost(page: Metrics) -> None:
    """Every device is up, has never changed, and has had one reply in time to each probe."""
    probes = page.by_device("ward_device_probes_sent_total")
    assert len(probes) == DEVICES
    assert page.by_device("ward_device_replies_total") == probes
    assert set(page.by_device("ward_device_up").values()) == {1}
    for metric in ("late_replies", "duplicate_replies", "status_changes"):
        assert set(page.by_device(f"ward_device_{metric}_total").values()) == {0}, metric
    assert page.total("ward_probe_receive_buffer_drops_total") == 0


def strange(page: Metrics) -> float:
    """Packets that belong to no probe."""
    return page.total("ward_probe_foreign_replies_total") + page.total("ward_probe_invalid_replies_total")


@every_copy
def test_each_copy_counts_its_own(neighbours: Neighbours, copy: str) -> None:
    """Each copy's probes are those that the network has seen of it, each was answered, and no packet is strange."""
    before, after = neighbours.before[copy], neighbours.after[copy]
    assert_nothing_lost(before)
    assert_nothing_lost(after)
    earlier, later = (page.by_device("ward_device_probes_sent_total") for page in (before, after))
    void = after.total("ward_probe_void_total")
    seen = {device: truth.sizes.get(SIZES[copy], 0) for device, truth in neighbours.truths.items()}
    wrong = {
        device: (earlier[device], count, later[device])
        for device, count in seen.items()
        if not earlier[device] <= count <= later[device] + void
    }
    assert not wrong, f"probes before, requests seen, probes after (void: {void:g}): {wrong}"
    ident = neighbours.idents[SIZES[copy]]
    assert len(ident) == 1
    shared = [size for size, others in neighbours.idents.items() if size != SIZES[copy] and others & ident]
    stranger = strange(after) - strange(neighbours.start[copy])
    if shared:
        print(f"by chance, one of the others has the same identifier as {copy}: {stranger:g} packets")
    else:
        assert stranger == 0


@every_copy
def test_round_trips_stay_what_they_are(neighbours: Neighbours, copy: str) -> None:
    """The mean RTT of each device is the network's delay, whoever else pings it."""
    totals, replies = (
        neighbours.after[copy].by_device(f"ward_device_{metric}_total") for metric in ("rtt_seconds", "replies")
    )
    errors = [totals[device] / replies[device] - truth.delay_mean for device, truth in neighbours.truths.items()]
    told = f"median {statistics.median(errors) * 1e3:.3f} ms, worst {max(errors) * 1e3:.3f} ms"
    assert abs(statistics.median(errors)) < TYPICAL_RTT_ERROR, told


@every_generation
@pytest.mark.parametrize("protocol", SMOKEPING_TARGETS)
def test_smokeping_loses_nothing(neighbours: Neighbours, generation: Generation, protocol: str) -> None:
    """smokeping_prober gets an answer to each of its requests, once, beside the two copies."""
    before, after = neighbours.smokeping[generation.name, protocol]
    assert len(after.requests) == SMOKEPING_TARGETS[protocol]
    for host, requests in after.requests.items():
        sent = requests - before.requests[host]
        answered = after.answers[host] - before.answers[host]
        assert sent >= SECONDS - 2, host
        # One may have been under way at either end.
        assert abs(sent - answered) <= 1, f"{host}: {sent:g} requests, {answered:g} answers"
    assert after.faults == 0


def test_an_impostor_changes_nothing(neighbours: Neighbours) -> None:
    """Replies to a pinger with our identifier and our probes' sequences are told apart, to the last one."""
    net = neighbours.net
    addresses = [device.address for device in neighbours.devices]
    # And routers that answer with what another pinger with our identifier would have been sent.
    haunted = neighbours.devices[-10:]
    for device in haunted:
        net.set(device.address, latency=device.latency, foreign=1.0)
    before = {name: strange(copy.metrics()) for name, copy in neighbours.copies.items()}
    begun, sent = time.monotonic(), 0
    with pinger(net) as impostor:
        while time.monotonic() < begun + 5:
            received = impostor.receive(1.0)
            # Each reply to us is followed by one to a request with our identifier, and the sequence that is next.
            if received is None or len(received.payload) != OURS or received.source not in addresses:
                continue
            sequence = (received.sequence + sent % 100) & 0xFFFF
            message = struct.pack("!BBHHH", 8, 0, 0, received.ident, sequence) + bytes(IMPOSTOR)
            impostor.socket.sendto(sealed(4, b"", b"", message), (received.source, 0))
            sent += 1
    taken = time.monotonic()
    until(lambda: time.monotonic() >= taken + SETTLED, "the end of what was under way")
    pages = {name: copy.metrics() for name, copy in neighbours.copies.items()}
    truths = net.truths(addresses)
    for page in pages.values():
        assert_nothing_lost(page)
    answered = sum(truth.sizes.get(IMPOSTOR, 0) for truth in truths.values())
    assert answered == sent > 100
    forged = sum(truth.foreign for truth in truths.values())
    found = {name: strange(page) - before[name] for name, page in pages.items()}
    assert found["ours"] >= sent, f"{sent} replies to the impostor, {found['ours']:g} told apart"
    # The routers' own count for both copies and for smokeping_prober, and for what has come since the pages.
    assert found["ours"] + found["second"] <= sent + forged
    assert found["second"] >= 5 * len(haunted)
