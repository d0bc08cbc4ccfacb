"""How much room the probes of an inventory need."""

from __future__ import annotations

from typing import NamedTuple

from exporter.icmp.plan import Plan

#: Memory for probes under way is bounded: 60 bytes each, and one identifier for 65,536 of them.
MOST_SLOTS = 1 << 23
#: A receive buffer of this size holds a second of 100,000 devices.
MOST_BYTES = 256 << 20


class Timing(NamedTuple):
    """Seconds between two probes of a device, and seconds that a reply may take."""

    interval: float
    timeout: float


def slots_needed(devices: int, timing: Timing) -> int:
    """Slots for all probes under way and for telling late replies from foreign ones: a power of two."""
    cycles = int(-(-3 * timing.timeout // timing.interval)) + 1
    return int(max(65_536, 1 << ((devices + 1) * cycles - 1).bit_length()))


def burst_bytes(plan: Plan, timing: Timing) -> int:
    """What arrives in a quarter of a second: a reply and a transmit stamp a probe, in kernel bytes."""
    per_probe = 2 * (768 + plan.max_payload)
    return int((plan.devices + 1) / timing.interval * 0.25 * per_probe)


def receive_bytes(plan: Plan, timing: Timing) -> int:
    """A receive buffer for that much, and some for a small inventory."""
    return min(MOST_BYTES, max(1 << 20, burst_bytes(plan, timing)))
