"""The loop that is the network: it reads packets from a TUN device, and answers each when its time has come.

One thread and one process for all of it (`__main__.py` starts it), so that no other work delays a reply. Reads and
writes of the device are one packet each (the kernel's Documentation/networking/tuntap.rst).
"""

from __future__ import annotations

import heapq
import os
import select
import time
from multiprocessing.connection import Connection
from random import Random

from tests.simnet import packets
from tests.simnet.behaviour import Behaviour, Network, PrefixTable
from tests.simnet.host import (
    CORRUPTED,
    DUPLICATE,
    ERROR,
    FOREIGN,
    FORGED_COOKIE,
    FORGED_SOURCE,
    LATE,
    REPLY,
    Host,
    Kind,
    Plan,
)
from tests.simnet.truth import Event, Truth

#: A wait ends this early and the rest of it is spun away: that is how late select() wakes.
_SPIN = 50e-6
#: Under a flood the control connection is looked at after so many packets.
_PATIENCE = 256

#: due, a tie-break, packet, host, when the request was read, what it is
Waiting = tuple[float, int, bytes, Host, float, int]
#: due, a tie-break, network, whether to cut it (else restore), which flap it belongs to
Step = tuple[float, int, Network, bool, int]


class Simulator:
    """Answers what comes from `tun`, a non-blocking TUN descriptor, and obeys `control`."""

    def __init__(self, tun: int, control: Connection, seed: int, default: Behaviour) -> None:
        self._tun = tun
        self._control = control
        self._seed = seed
        self._default = Plan(default)
        self._plans: PrefixTable[Plan] = PrefixTable()
        self._cuts: PrefixTable[bool] = PrefixTable()
        self._generation = 0
        self._hosts: dict[bytes, Host] = {}
        self._waiting: list[Waiting] = []
        self._steps: list[Step] = []
        self._flaps: dict[int, Network] = {}
        self._events: list[Event] = []
        self._ties = 0

    def run(self) -> None:
        """Until the other end of the control connection is closed."""
        tun, waiting, steps = self._tun, self._waiting, self._steps
        read, monotonic, request, write = os.read, time.monotonic, self._request, self._write
        patience = _PATIENCE
        while True:
            now = monotonic()
            while waiting and waiting[0][0] <= now:
                write(heapq.heappop(waiting))
            if steps and steps[0][0] <= now:
                self._step(heapq.heappop(steps))
            try:
                packet = read(tun, 65535)
            except BlockingIOError:
                patience = 0
            else:
                patience -= 1
                request(packet, monotonic())
            if patience > 0:
                continue
            patience = _PATIENCE
            if not self._wait():
                return

    def _wait(self) -> bool:
        """Sleep until there is something to do; False when the control connection is closed."""
        dues = [heap[0][0] for heap in (self._waiting, self._steps) if heap]
        timeout = max(0.0, min(dues) - time.monotonic() - _SPIN) if dues else None
        watched: list[int] = [self._tun, self._control.fileno()]
        if watched[1] in select.select(watched, [], [], timeout)[0]:
            try:
                name, *arguments = self._control.recv()
            except EOFError:
                return False
            self._control.send(getattr(self, name)(*arguments))
        return True

    # What the loop does with a packet.

    def _request(self, packet: bytes, now: float) -> None:
        recognised = packets.recognise(packet)
        if recognised is None:
            return
        address, alike = recognised
        host = self._hosts.get(address)
        if host is None:
            host = self._hosts[address] = Host(address, Random(f"{self._seed} {address.hex()}"))
        if host.generation != self._generation:
            self._resolve(host)
        if not packets.intact(packet):
            host.invalid += 1
            return
        kind = host.kinds.get(alike)
        if kind is None:
            kind = host.kinds[alike] = Kind(packet)
        kind.count += 1
        host.last = kind
        host.arrivals.append(now)
        host.requests += 1
        plan = host.plan
        if plan.marked:
            plan = plan.marked.get(packets.dscp(packet), plan)
        if host.cut or (plan.outage and host.cut is None):
            host.dropped_outage += 1
            return
        if plan.loss and host.rng.random() < plan.loss:
            host.dropped_loss += 1
            return
        due = now + (plan.constant if plan.latency is None else host.draw(plan.latency))
        if not plan.plain:
            self._unusual(packet, kind, host, plan.behaviour, now, due)
            return
        self._ties += 1
        reply = packets.echo(packet, kind, plan.behaviour)
        heapq.heappush(self._waiting, (due, self._ties, reply, host, now, REPLY))

    def _unusual(self, packet: bytes, kind: Kind, host: Host, behaviour: Behaviour, now: float, due: float) -> None:
        def later(reply: bytes, what: int, due: float = due) -> None:
            self._ties += 1
            heapq.heappush(self._waiting, (due, self._ties, reply, host, now, what))

        def chance(probability: float) -> bool:
            return probability > 0 and host.rng.random() < probability

        quoted = behaviour.quoted_bytes
        if behaviour.mtu and len(packet) > behaviour.mtu and packets.whole(packet):
            if behaviour.mtu_blackhole:
                host.dropped_mtu += 1
            else:
                later(packets.error(packet, "fragmentation_needed", behaviour.mtu, quoted), ERROR)
            return
        hops = packet[8] if host.version == 4 else packet[7]
        if hops <= len(behaviour.path):
            later(packets.error(packet, "ttl_exceeded", 0, quoted, behaviour.path[hops - 1]), ERROR)
            return
        if behaviour.error:
            later(packets.error(packet, behaviour.error, behaviour.mtu, quoted), ERROR)
            return
        rng = host.rng
        if chance(behaviour.forged_cookie):
            later(packets.forged_cookie(packet, behaviour, rng), FORGED_COOKIE)
        if chance(behaviour.forged_source):
            later(packets.forged_source(packet, behaviour), FORGED_SOURCE)
        if chance(behaviour.foreign):
            later(packets.foreign(packet, behaviour, rng), FOREIGN)
        reply = packets.echo(packet, kind, behaviour)
        if chance(behaviour.corrupt):
            later(packets.corrupt(reply, len(packet) - (20 if host.version == 4 else 40), rng), CORRUPTED)
            return
        if chance(behaviour.late):
            later(reply, LATE, due + behaviour.late_seconds)
            return
        later(reply, REPLY)
        if chance(behaviour.duplicates):
            later(reply, DUPLICATE)

    def _write(self, waiting: Waiting) -> None:
        _, _, packet, host, read_at, what = waiting
        delay = time.monotonic() - read_at
        try:
            os.write(self._tun, packet)
        except OSError:
            host.unwritten += what in (REPLY, LATE, CORRUPTED, ERROR)
            return
        host.written[what] += 1
        if what != REPLY:
            return
        host.delays.append(delay)
        host.delay_sum += delay
        if host.delay_previous < 0:
            host.delay_min = host.delay_max = delay
        else:
            host.delay_variation += abs(delay - host.delay_previous)
            if delay < host.delay_min:
                host.delay_min = delay
            elif delay > host.delay_max:
                host.delay_max = delay
        host.delay_previous = delay

    def _resolve(self, host: Host) -> None:
        host.generation = self._generation
        host.plan = self._plans.find(host.version, host.number) or self._default
        host.cut = self._cuts.find(host.version, host.number)
        for kind in host.kinds.values():
            kind.header = b""

    # What the control connection asks for; the names are those of Simnet's methods.

    def set(self, targets: list[Network], behaviour: Behaviour) -> None:
        plan = Plan(behaviour)
        for network in targets:
            self._end_flaps(network)
            self._cuts.drop_inside(network)
            self._plans.put(network, plan)
            self.record(str(network), "set")
        self._generation += 1

    def switch(self, targets: list[Network], cut: bool) -> None:
        for network in targets:
            self._end_flaps(network)
            self._switch(network, cut)

    def flap(self, targets: list[Network], up_seconds: float, down_seconds: float, times: int) -> None:
        start = time.monotonic()
        for network in targets:
            self._end_flaps(network)
            self._ties += 1
            number = self._ties
            self._flaps[number] = network
            for turn in range(times):
                down = start + turn * (up_seconds + down_seconds)
                heapq.heappush(self._steps, (down, 2 * turn, network, True, number))
                heapq.heappush(self._steps, (down + down_seconds, 2 * turn + 1, network, False, number))

    def _step(self, step: Step) -> None:
        _, _, network, cut, flap = step
        if flap in self._flaps:
            self._switch(network, cut)

    def _switch(self, network: Network, cut: bool) -> None:
        self._cuts.drop_inside(network)
        self._cuts.put(network, cut)
        self._generation += 1
        self.record(str(network), "cut" if cut else "restore")

    def _end_flaps(self, network: Network) -> None:
        for number in [number for number, flapping in self._flaps.items() if network.covers(flapping)]:
            del self._flaps[number]

    def addresses(self) -> list[bytes]:
        return list(self._hosts)

    def truths(self, addresses: list[bytes]) -> list[Truth]:
        nobody = Random(0)
        return [(self._hosts.get(address) or Host(address, nobody)).truth() for address in addresses]

    def reset_truth(self) -> None:
        # New objects: what still waits to be written is counted on the old ones, with its request.
        for address, host in self._hosts.items():
            self._hosts[address] = Host(address, host.rng)

    def record(self, target: str, event: str) -> None:
        self._events.append(Event(time.time(), time.monotonic(), target, event))

    def events(self) -> list[Event]:
        return self._events

    def clear(self) -> None:
        """Back to the state after the start; what waits to be written is forgotten."""
        self._plans.clear()
        self._cuts.clear()
        self._hosts.clear()
        self._waiting.clear()
        self._steps.clear()
        self._flaps.clear()
        self._events.clear()
        self._generation += 1
