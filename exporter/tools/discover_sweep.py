"""Which addresses answer a ping: a few echo requests to each, at an even pace, over the exporter's own sockets."""

from __future__ import annotations

import asyncio
import errno
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
import numpy.typing as npt

from exporter.errors import DiscoverError
from exporter.icmp.flight import Flight
from exporter.icmp.plan import Plan
from exporter.icmp.schedule import Ints, Rows
from exporter.icmp.transport import BATCH, Batch, Transport
from exporter.inventory.device import Device

#: Echo requests to an address that stays silent.
PROBES = 3
NANO = 1_000_000_000
_SLOTS = 65_536
#: Addresses that are swept together.
_TOGETHER = 16_384
#: Nanoseconds between two requests to one address: a neighbour that has to be found first takes about as long.
_GAP = NANO
_TICK = 0.005
#: What a hold-up has left behind goes out at once as far as it is worth so many seconds.
_BURST = 0.05
#: Rounds on top, where replies may have been lost on this side.
_MOST_ROUNDS = 2 * PROBES
#: Seconds without a packet that the kernel takes, after which nobody waits for another.
_STUCK = 10.0


class Sweep:
    """Sends to the addresses it is given, and to nobody else."""

    def __init__(
        self,
        transports: Mapping[int, Transport],
        rate: int,
        timeout: float,
        answered: Callable[[str], None],
        passed: Callable[[int], None],
    ) -> None:
        """`rate` is packets a second; `timeout`, in seconds, is how long a reply may take.

        `answered` is called for each address, once, as soon as it answers; `passed` with counts of addresses
        that are done with, whatever came of them.
        """
        self.refused: Counter[str] = Counter()
        self._transports = transports
        self._rate = rate
        self._timeout = int(timeout * NANO)
        self._answered = answered
        self._passed = passed

    async def run(self, addresses: Iterable[str]) -> None:
        """Probe them all; raises DiscoverError where the kernel stops sending."""
        every = iter(addresses)
        while chunk := list(islice(every, _TOGETHER)):
            await _Chunk(self, self._transports, chunk, self._rate, self._timeout).run()

    def heard(self, address: str) -> None:
        self._answered(address)
        self._passed(1)

    def given_up(self, count: int) -> None:
        self._passed(count)


class _Chunk:
    """Some addresses, and what is known of each."""

    def __init__(
        self,
        sweep: Sweep,
        transports: Mapping[int, Transport],
        addresses: Sequence[str],
        rate: int,
        timeout: int,
    ) -> None:
        self._sweep = sweep
        self._transports = transports
        self._addresses = addresses
        self._rate = rate
        self._timeout = timeout
        self._plan = Plan([Device(name=address, address=address) for address in addresses], {})
        # A plan ends with the loopback address, which nobody has asked for.
        count = len(addresses)
        self._families = np.array([profile.family for profile in self._plan.profiles])[self._plan.profile[:count]]
        self._done: npt.NDArray[np.bool_] = np.zeros(count, np.bool_)
        self._flight = Flight(_SLOTS)
        self._drops = self._count_drops()

    async def run(self) -> None:
        rounds = PROBES
        number = 0
        while number < rounds and not self._done.all():
            begin = time.monotonic_ns()
            await self._round(np.flatnonzero(~self._done).astype(np.int32))
            number += 1
            last = number == rounds
            await self._listen(time.monotonic_ns() + self._timeout if last else begin + _GAP)
            if (drops := self._count_drops()) > self._drops:
                # Nobody can tell whose replies the receive buffer had no room for: all again, and slower.
                self._drops = drops
                self._rate = max(1, self._rate // 4)
                rounds = min(rounds + 1, _MOST_ROUNDS)
        self._sweep.given_up(int((~self._done).sum()))

    async def _round(self, rows: Rows) -> None:
        """One request to each row, unless it has answered by then."""
        burst = max(1.0, self._rate * _BURST)
        allowance = 1.0
        before = moved = time.monotonic()
        while len(rows):
            now = time.monotonic()
            allowance = min(burst, allowance + (now - before) * self._rate)
            before = now
            chunk = rows[: min(int(allowance), BATCH, self._flight.room())]
            held = self._send(chunk[~self._done[chunk]])
            rows = np.concatenate([held, rows[len(chunk) :]])
            allowance -= len(chunk) - len(held)
            if not len(held) or len(held) < len(chunk):
                moved = now
            if now - moved > _STUCK:
                raise DiscoverError(f"nothing can be sent for {_STUCK:g} s: the kernel's queues stay full")
            self._take_in()
            await asyncio.sleep(_TICK)

    def _send(self, rows: Rows) -> Rows:
        """Send one request to each; returns the rows for which the kernel has no room now."""
        left = [rows[:0]]
        for family in np.unique(self._families[rows]):
            chosen = rows[self._families[rows] == family]
            left.append(self._send_family(int(family), chosen))
        return np.concatenate(left)

    def _send_family(self, family: int, rows: Rows) -> Rows:
        transport = self._transports.get(family)
        if transport is None:
            self._refuse(rows, errno.EAFNOSUPPORT)
            return rows[:0]
        plan, flight = self._plan, self._flight
        profile = plan.profiles[int(plan.profile[rows[0]])]
        cycles: Ints = np.zeros(len(rows), np.int64)
        slots, cookies = flight.launch(rows, cycles, plan.high[rows], plan.low[rows])
        before = time.monotonic_ns()
        sent = transport.send(Batch(profile, plan.names[rows], slots, cookies))
        gone = slots[: sent.done]
        flight.sent(gone, transport.idents(gone >> 16), before, time.monotonic_ns(), self._timeout)
        for position, code in sent.refused:
            flight.refuse(slots[[position]])
            self._refuse(rows[[position]], code)
        return rows[sent.done :]

    def _refuse(self, rows: Rows, code: int) -> None:
        """The kernel will not send there: asking it again would not help."""
        fresh = rows[~self._done[rows]]
        self._done[fresh] = True
        self._sweep.refused[errno.errorcode.get(code, str(code))] += len(fresh)
        self._sweep.given_up(len(fresh))

    async def _listen(self, until: int) -> None:
        """Take in what comes until then, or until all have answered."""
        while not self._done.all() and time.monotonic_ns() < until:
            await asyncio.sleep(_TICK)
            self._take_in()

    def _take_in(self) -> None:
        for transport in self._used():
            arrived = transport.receive()
            transport.transmit_stamps()
            now = time.monotonic_ns()
            for arrivals in arrived:
                # When a packet came does not matter here, and nothing is stamped: it came now.
                stamps = np.zeros(len(arrivals.stamp), np.int64)
                matched = self._flight.match(arrivals, transport.block_of, stamps, now, self._timeout)
                for row in (*matched.replies.rows.tolist(), *matched.late.tolist()):
                    if not self._done[row]:
                        self._done[row] = True
                        self._sweep.heard(self._addresses[row])
        self._flight.expire(time.monotonic_ns())

    def _used(self) -> Iterator[Transport]:
        for family in {profile.family for profile in self._plan.profiles}:
            if family in self._transports:
                yield self._transports[family]

    def _count_drops(self) -> int:
        return sum(transport.drops() for transport in self._used())
