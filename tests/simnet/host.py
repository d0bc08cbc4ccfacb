"""One simulated address: what it does now, and what has happened to it."""

from __future__ import annotations

import ipaddress
from array import array
from collections import Counter, deque
from dataclasses import replace
from random import Random

from tests.simnet.behaviour import OUTAGE, Behaviour, Jitter, Spiky
from tests.simnet.truth import Truth

KEPT = 1000

#: What a packet that waits to be written is; each is a place in Host.written, and in WRITTEN.
REPLY, LATE, DUPLICATE, FORGED_COOKIE, FORGED_SOURCE, FOREIGN, CORRUPTED, ERROR = range(8)
WRITTEN = (
    "replies",
    "late",
    "duplicates",
    "forged_cookie",
    "forged_source",
    "foreign",
    "corrupted",
    "errors",
)


class Plan:
    """A behaviour made ready for the loop: what is asked of every packet is an attribute."""

    __slots__ = ("behaviour", "constant", "latency", "loss", "marked", "outage", "plain")

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.outage = behaviour.outage
        self.loss = behaviour.loss
        self.plain = behaviour.plain
        latency = behaviour.latency
        #: What to draw the latency from; None where it is the constant.
        self.latency = latency if isinstance(latency, (Jitter, Spiky)) else None
        self.constant = 0.0 if isinstance(latency, (Jitter, Spiky)) else float(latency)
        #: Plans by DSCP, of those that have one of their own.
        self.marked: dict[int, Plan] = {}
        for mark, loss in behaviour.dscp_loss.items():
            self.marked[mark] = Plan(replace(behaviour, loss=loss, dscp_loss={}, by_dscp={}))
        for mark, other in behaviour.by_dscp.items():
            self.marked[mark] = Plan(other)


NOBODY = Plan(OUTAGE)


class Kind:
    """Requests alike in all but ICMP identifier, sequence and payload; they share one reply header."""

    __slots__ = ("count", "header", "request")

    def __init__(self, request: bytes) -> None:
        self.count = 0
        self.request = request
        self.header = b""


class Host:
    """State of one address. The loop writes these fields itself: a call a packet is what it cannot afford."""

    __slots__ = (
        "arrivals",
        "cut",
        "delay_max",
        "delay_min",
        "delay_previous",
        "delay_sum",
        "delay_variation",
        "delays",
        "draws",
        "dropped_loss",
        "dropped_mtu",
        "dropped_outage",
        "generation",
        "invalid",
        "kinds",
        "last",
        "number",
        "plan",
        "requests",
        "rng",
        "unwritten",
        "version",
        "written",
    )

    def __init__(self, address: bytes, rng: Random) -> None:
        self.version = 4 if len(address) == 4 else 6
        self.number = int.from_bytes(address, "big")
        self.rng = rng
        self.generation = -1
        self.plan = NOBODY
        self.cut: bool | None = None
        self.requests = 0
        self.written = [0] * len(WRITTEN)
        self.dropped_loss = 0
        self.dropped_outage = 0
        self.dropped_mtu = 0
        self.unwritten = 0
        self.invalid = 0
        self.draws = 0
        self.kinds: dict[bytes, Kind] = {}
        self.last = Kind(b"")
        self.arrivals: deque[float] = deque(maxlen=KEPT)
        self.delay_sum = 0.0
        self.delay_min = 0.0
        self.delay_max = 0.0
        self.delay_variation = 0.0
        self.delay_previous = -1.0
        self.delays: deque[float] = deque(maxlen=KEPT)

    def draw(self, latency: Jitter | Spiky) -> float:
        """The latency of the next reply, in seconds."""
        if isinstance(latency, Spiky):
            self.draws += 1
            return latency.base if self.draws % latency.every else latency.spike
        if latency.shape == "normal":
            return max(0.0, self.rng.gauss(latency.mean, latency.spread))
        return max(0.0, self.rng.uniform(latency.mean - latency.spread, latency.mean + latency.spread))

    def truth(self) -> Truth:
        dscp: Counter[int] = Counter()
        sizes: Counter[int] = Counter()
        dont_fragment = 0
        for kind in self.kinds.values():
            request = kind.request
            if self.version == 4:
                dscp[request[1] >> 2] += kind.count
                sizes[int.from_bytes(request[2:4], "big") - 28] += kind.count
                dont_fragment += kind.count if request[6] & 0x40 else 0
            else:
                dscp[(request[0] << 8 | request[1]) >> 6 & 63] += kind.count
                sizes[int.from_bytes(request[4:6], "big") - 8] += kind.count
        last = self.last.request
        written = dict(zip(WRITTEN, self.written, strict=True))
        dropped = self.dropped_loss + self.dropped_outage + self.dropped_mtu
        answered = sum(written[name] for name in ("replies", "late", "corrupted", "errors"))
        return Truth(
            requests=self.requests,
            **written,
            dropped_loss=self.dropped_loss,
            dropped_outage=self.dropped_outage,
            dropped_mtu=self.dropped_mtu,
            unwritten=self.unwritten,
            invalid=self.invalid,
            pending=self.requests - dropped - answered - self.unwritten,
            delay_sum=self.delay_sum,
            delay_min=self.delay_min,
            delay_max=self.delay_max,
            delay_variation=self.delay_variation,
            delays=array("d", self.delays),
            arrivals=array("d", self.arrivals),
            dscp=dict(dscp),
            sizes=dict(sizes),
            dont_fragment=dont_fragment,
            ttl=(last[8] if self.version == 4 else last[7]) if last else 0,
            source=_source(last),
        )


def _source(request: bytes) -> str:
    if not request:
        return ""
    return str(ipaddress.ip_address(request[12:16] if request[0] >> 4 == 4 else request[8:24]))
