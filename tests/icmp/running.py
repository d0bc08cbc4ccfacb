"""A prober inside the simulated network, and a sink that keeps the books."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from exporter.icmp.flight import Outcomes
from exporter.icmp.packet import REASONS
from exporter.icmp.plan import PENDING, Plan
from exporter.icmp.prober import Prober
from exporter.icmp.schedule import Ints, Rows
from exporter.icmp.sizing import Timing, receive_bytes, slots_needed
from exporter.icmp.transport import KernelTransport, Transport
from exporter.inventory.device import Device, ProbeOptions
from tests.simnet import Simnet

TIMING = Timing(0.1, 0.25)

#: Makes a transport: family, whether raw, blocks, bytes of receive buffer.
Make = Callable[[int, bool, int, int], Transport]


def kernel(family: int, raw: bool, blocks: int, receive_bytes: int) -> Transport:
    return KernelTransport(family, raw, blocks, receive_bytes)


class Books:
    """Every outcome by the name of its device; the loop's own reference is `loopback`."""

    def __init__(self, names: Sequence[str], former: Books | None = None) -> None:
        self.names = [*names, "loopback"]
        #: Probes by (name, cycle) that were announced, and how each ended.
        self.announced: Counter[tuple[str, int]] = former.announced if former else Counter()
        self.ends: dict[tuple[str, int], list[str]] = former.ends if former else defaultdict(list)
        self.rtts: dict[str, list[float]] = former.rtts if former else defaultdict(list)
        self.ttls: dict[str, list[int]] = former.ttls if former else defaultdict(list)
        self.late_replies: Counter[str] = former.late_replies if former else Counter()
        self.duplicate_replies: Counter[str] = former.duplicate_replies if former else Counter()
        self.skips: list[tuple[int, int]] = former.skips if former else []
        #: Set when no more is to be sent; probes that are announced from then on are not counted.
        self.closed = False
        #: How far the times of the last replies were from this process's own, in seconds.
        self.clock = (0.0, 0.0)
        self.evaluations = 0
        self.threads: set[int] = set()

    def _end(self, outcomes: Outcomes, ends: Sequence[str]) -> None:
        for row, cycle, end in zip(outcomes.rows.tolist(), outcomes.cycles.tolist(), ends, strict=True):
            key = self.names[row], cycle
            if key in self.announced or not self.closed:
                self.ends[key].append(end)

    def sending(self, rows: Rows, cycles: Ints) -> None:
        if self.closed:
            return
        self.announced.update(
            (self.names[row], cycle) for row, cycle in zip(rows.tolist(), cycles.tolist(), strict=True)
        )

    def skipped(self, first: int, end: int) -> None:
        self.skips.append((first, end))

    def replies(self, outcomes: Outcomes, now: int, wall: float) -> None:
        self.clock = wall - time.time(), now / 1e9 - time.monotonic()
        self._end(outcomes, ["reply"] * len(outcomes.rows))
        for row, rtt, ttl in zip(outcomes.rows, outcomes.rtts.tolist(), outcomes.ttls.tolist(), strict=True):
            self.rtts[self.names[row]].append(rtt)
            self.ttls[self.names[row]].append(ttl)

    def losses(self, outcomes: Outcomes, now: int, wall: float) -> None:
        self._end(outcomes, [REASONS[reason] for reason in outcomes.reasons])

    def voids(self, outcomes: Outcomes) -> None:
        self._end(outcomes, ["void"] * len(outcomes.rows))

    def late(self, rows: Rows) -> None:
        self.late_replies.update(self.names[row] for row in rows)

    def duplicates(self, rows: Rows) -> None:
        self.duplicate_replies.update(self.names[row] for row in rows)

    def evaluate(self, now: int, wall: float) -> None:
        self.evaluations += 1
        self.threads.add(threading.get_ident())

    def count(self, name: str) -> Counter[str]:
        """How the probes of a device ended."""
        return Counter(end for (device, _), ends in self.ends.items() if device == name for end in ends)

    @property
    def holds(self) -> int:
        """How often the loop was held up for so long that cycles were given up: each costs a device one probe."""
        return len(self.skips)

    def open(self) -> int:
        """Probes that were announced and have not ended, of devices that are still here."""
        here = set(self.names)
        return sum(key[0] in here and key not in self.ends for key in self.announced)


class Running:
    """A prober that runs, and what it runs on."""

    def __init__(self, net: Simnet, prober: Prober, plan: Plan, books: Books) -> None:
        self.net, self.prober, self.plan, self.books = net, prober, plan, books

    def until(self, holds: Callable[[], bool], seconds: float = 10.0) -> None:
        """Wait until something holds; fails when it does not, or when the loop has failed."""
        deadline = time.monotonic() + seconds
        while not holds():
            assert self.prober.failure is None, repr(self.prober.failure)
            assert time.monotonic() < deadline, "it did not come to that in time"
            time.sleep(0.01)

    def cycles(self, count: int, seconds: float = 30.0) -> None:
        """Let so many cycles begin."""
        end = self.prober.stats.cycles + count
        self.until(lambda: self.prober.stats.cycles >= end, seconds)

    def settle(self) -> None:
        """Send no more, and wait until every probe that was sent has ended, and late replies have come."""

        def freeze() -> None:
            self.plan.state[:] = PENDING
            self.books.closed = True

        self.prober.call(freeze).result(5)
        self.until(lambda: self.books.open() == 0)
        self.until(lambda: all(truth.pending == 0 for truth in self.net.truths().values()))
        while True:
            received = self.prober.stats.received
            # The loop reads its sockets every tenth of a second; nothing tells when it has found them empty.
            time.sleep(0.2)
            if received == self.prober.stats.received:
                return

    def replace(self, devices: Sequence[Device], timing: Timing = TIMING) -> None:
        """Go over to another inventory; a device is the same while its name is."""
        names = [device.name for device in devices]
        places = {name: row for row, name in enumerate([*names, "loopback"])}
        plan, books = Plan(devices, {}), Books(names, self.books)

        def go_over() -> None:
            rows = np.array([places.get(name, -1) for name in self.books.names], np.int32)
            self.prober.replace(plan, rows, books, timing)
            self.plan, self.books = plan, books

        self.prober.call(go_over).result(5)


def device(name: str, address: str, **options: object) -> Device:
    return Device(name=name, address=address, probe=ProbeOptions(**options))  # type: ignore[arg-type]


@contextmanager
def running(
    net: Simnet,
    devices: Sequence[Device],
    *,
    raw: bool = True,
    timing: Timing = TIMING,
    space: int = 0,
    make: Make = kernel,
) -> Iterator[Running]:
    """Probe these devices inside, from the start of the block to its end; `space` is the receive buffer's size."""
    plan = Plan(devices, {})
    books = Books([device.name for device in devices])

    def start() -> Prober:
        blocks = slots_needed(plan.devices, timing) >> 16
        buffer = space or receive_bytes(plan, timing)
        families = (int(socket.AF_INET), int(socket.AF_INET6))
        transports = {family: make(family, raw, blocks, buffer) for family in families}
        prober = Prober(transports, timing, plan, books)
        prober.start()
        return prober

    prober = net.inside(start)
    try:
        yield Running(net, prober, plan, books)
    finally:
        prober.stop()
    assert prober.failure is None, repr(prober.failure)
    assert len(books.threads) <= 1
