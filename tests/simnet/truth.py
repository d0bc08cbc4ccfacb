"""What the simulator knows to be true: counts of one address, and the log of what was done to the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Event(NamedTuple):
    """Something done to the network; `event` is set, cut, restore, interface down or interface up."""

    #: CLOCK_REALTIME, seconds.
    time: float
    #: CLOCK_MONOTONIC, seconds.
    monotonic: float
    #: An address, a prefix, or "" for the whole network.
    target: str
    event: str


@dataclass(frozen=True)
class Truth:
    """Counts of one address since the start, or since the last reset_truth().

    requests = replies + late + corrupted + errors + dropped_loss + dropped_outage + dropped_mtu
    + unwritten + pending.
    A delay runs from the reading of a request to the writing of its reply, in seconds; those of late
    replies and of forgeries are not counted.
    """

    requests: int
    #: Honest replies, without those counted as late.
    replies: int
    late: int
    #: Second copies.
    duplicates: int
    forged_cookie: int
    forged_source: int
    foreign: int
    corrupted: int
    errors: int
    dropped_loss: int
    dropped_outage: int
    dropped_mtu: int
    #: Answers that the kernel would not take, for the interface was down.
    unwritten: int
    #: Requests with a wrong ICMP checksum: dropped, and not counted in `requests`.
    invalid: int
    #: Not yet written, at the moment of asking.
    pending: int
    delay_sum: float
    #: 0 where there was no reply; so are the next ones.
    delay_min: float
    delay_max: float
    #: The sum of |delay - previous delay|.
    delay_variation: float
    #: The last delays, oldest first, 1,000 at most.
    delays: Sequence[float]
    #: CLOCK_MONOTONIC of the last requests, oldest first, 1,000 at most.
    arrivals: Sequence[float]
    #: Requests by DSCP, by bytes of ICMP payload, and with the don't-fragment flag.
    dscp: Mapping[int, int]
    sizes: Mapping[int, int]
    dont_fragment: int
    #: TTL and source address of the last request.
    ttl: int
    source: str

    @property
    def delay_mean(self) -> float:
        return self.delay_sum / self.replies if self.replies else 0.0
