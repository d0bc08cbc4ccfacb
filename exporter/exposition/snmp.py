"""`/metrics/snmp`: what devices answer to SNMP, in snmp_exporter's names, and how polling them goes.

A device's samples come rendered from the poller processes; here they are only sorted by family. What a failed poll
leaves out is absent: a number of the past is never shown as today's.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from exporter.exposition.text import Family, block, samples, single
from exporter.snmp.jobs import Polled

DEVICE = ("device", "site", "role", "priority")
UP = Family("ward_snmp_up", "gauge", "1 if the device has answered the last poll.", DEVICE)
PARTIAL = Family("ward_snmp_partial", "gauge", "1 if the last poll has brought a part of what was asked.", DEVICE)
DURATION = Family("ward_snmp_poll_duration_seconds", "gauge", "Time that the last poll took.", DEVICE)
POLLED_AT = Family("ward_snmp_last_poll_timestamp_seconds", "gauge", "When the last poll began.", DEVICE)
SAMPLES = Family("ward_snmp_samples", "gauge", "Samples that the last poll has brought.", DEVICE)
SENT = Family("ward_snmp_packets_sent_total", "counter", "Requests sent, retries among them.", DEVICE)
RECEIVED = Family("ward_snmp_packets_received_total", "counter", "Answers that counted.", DEVICE)
RETRIES = Family("ward_snmp_retries_total", "counter", "Requests sent again for want of an answer.", DEVICE)
ERRORS = Family(
    "ward_snmp_errors_total", "counter", "Requests that came to nothing, by kind of error.", (*DEVICE, "kind")
)
DROPPED = Family(
    "ward_snmp_samples_dropped_total",
    "counter",
    "Samples left out: their labels were taken, the device had too many, or a value was none of its type.",
    (*DEVICE, "reason"),
)
RESTARTS = Family(
    "ward_snmp_worker_restarts_total", "counter", "Poller processes that died and were started again."
)
CPU = Family("ward_device_cpu_ratio", "gauge", "CPU in use, 0 to 1, as the device's vendor tells it.", DEVICE)
MEMORY = Family("ward_device_memory_used_ratio", "gauge", "Memory in use, 0 to 1.", DEVICE)
UPTIME = Family("ward_device_uptime_seconds", "gauge", "Time since the device started.", DEVICE)

ALL = (
    *(UP, PARTIAL, DURATION, POLLED_AT, SAMPLES, SENT, RECEIVED, RETRIES, ERRORS, DROPPED),
    *(CPU, MEMORY, UPTIME, RESTARTS),
)

#: A poll that is older than so many intervals says nothing about now.
STALE_INTERVALS = 3


def shard_of(device: str, shards: int) -> int:
    """Which of so many shards a device is in: stays the same over restarts and inventories."""
    return zlib.crc32(device.encode()) % shards


def render(
    polls: Mapping[str, Polled],
    labels: Mapping[str, str],
    restarts: int,
    oldest: float,
    shard: tuple[int, int] = (0, 1),
) -> Iterator[bytes]:
    """The page's families, each whole.

    `labels` of devices are rendered, with braces; polls that began before `oldest` (CLOCK_MONOTONIC) are stale.
    """
    number, shards = shard
    chosen = [polls[device] for device in labels if device in polls and shard_of(device, shards) == number]
    yield from _polling(chosen, labels, oldest)
    if number == 0:
        yield single(RESTARTS, restarts)
    blocks: dict[str, list[bytes]] = {}
    heads: dict[str, bytes] = {}
    for polled in chosen:
        for name, (kind, text, lines) in polled.page.blocks.items() if polled.began >= oldest else ():
            if name not in heads:
                heads[name] = f"# HELP {name} {text}\n# TYPE {name} {kind}\n".encode()
                blocks[name] = []
            blocks[name].append(lines)
    for name in sorted(blocks):
        yield heads[name]
        yield from blocks[name]


def _polling(polls: Sequence[Polled], labels: Mapping[str, str], oldest: float) -> Iterator[bytes]:
    series = [labels[polled.device] for polled in polls]
    answered = [int(polled.began >= oldest and (not polled.failure or polled.page.samples > 0)) for polled in polls]
    yield block(UP, series, answered)
    yield block(PARTIAL, series, [int(bool(polled.failure) and polled.page.samples > 0) for polled in polls])
    yield block(DURATION, series, [round(polled.duration, 6) for polled in polls])
    yield block(POLLED_AT, series, [round(polled.at, 3) for polled in polls])
    yield block(SAMPLES, series, [polled.page.samples for polled in polls])
    yield block(SENT, series, [polled.sent for polled in polls])
    yield block(RECEIVED, series, [polled.received for polled in polls])
    yield block(RETRIES, series, [polled.retries for polled in polls])
    yield from _by(ERRORS, [(polled, polled.errors) for polled in polls], labels)
    left_out = [
        (polled, {"duplicate": polled.duplicates, "limit": polled.over_limit, "malformed": polled.malformed})
        for polled in polls
    ]
    yield from _by(DROPPED, left_out, labels)
    for family, attribute in ((CPU, "cpu"), (MEMORY, "memory"), (UPTIME, "uptime")):
        known = [
            (labels[polled.device], value) for polled in polls if (value := getattr(polled, attribute)) is not None
        ]
        if known:
            yield block(family, [label for label, _ in known], [value for _, value in known])


def _by(
    family: Family, counts: Iterable[tuple[Polled, Mapping[str, int]]], labels: Mapping[str, str]
) -> Iterator[bytes]:
    """A counter whose last label takes the keys of a device's counts."""
    series, values = [], []
    for polled, numbers in counts:
        for key, value in numbers.items():
            series.append(f'{labels[polled.device][:-1]},{family.labels[-1]}="{key}"}}')
            values.append(value)
    yield family.header().encode()
    yield from samples(family.name, series, values)
