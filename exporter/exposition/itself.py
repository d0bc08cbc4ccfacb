"""The part of `/metrics` in which the exporter speaks of itself."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import dataclass, field

import prometheus_client
from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector

from exporter import __version__
from exporter.exposition import families as f
from exporter.exposition.text import block, by_label, labels, single
from exporter.icmp.prober import LoopStats
from exporter.state.verdict import Verdicts


@dataclass(slots=True)
class Itself:
    """What the service knows and the page shows; written by the service, in place."""

    interval: float = 0.0
    #: Which part of the inventory, from 0, and of how many.
    shard: tuple[int, int] = (0, 1)
    #: Address family and kind of each socket, such as ("ipv4", "raw").
    sockets: tuple[tuple[str, str], ...] = ()
    unresolved: int = 0
    #: Source -> could be read, devices in it.
    sources: dict[str, tuple[bool, int]] = field(default_factory=dict)
    reload_successful: bool = True
    reloaded_at: float = 0.0
    snapshot_at: float = 0.0
    snapshot_failures: int = 0
    snapshot_duration: float = 0.0
    render_duration: float = 0.0
    renders: int = 0


class Process:
    """CPU, memory and file descriptors, as every Python exporter shows them."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def render(self) -> bytes:
        return prometheus_client.generate_latest(self._registry)


def render(stats: LoopStats, verdicts: Verdicts, itself: Itself) -> Iterator[bytes]:
    """The families, one after another, each whole."""
    yield single(f.PACKETS_SENT, stats.sent)
    yield single(f.PACKETS_RECEIVED, stats.received)
    yield by_label(f.SEND_ERRORS, dict(stats.send_errors))
    yield single(f.FOREIGN, stats.foreign)
    yield single(f.INVALID, stats.invalid)
    yield single(f.DROPS, stats.drops)
    yield single(f.VOID, stats.void)
    yield single(f.CYCLES, stats.cycles)
    yield single(f.SKIPPED, stats.skipped_cycles)
    yield single(f.CYCLE_LAG, max(stats.lags.copy()))
    yield single(f.CYCLE_DURATION, stats.busy)
    yield single(f.INTERVAL, itself.interval)
    yield from _reference(verdicts)
    yield block(
        f.SOCKET_INFO,
        [labels([("family", family), ("kind", kind)]) for family, kind in itself.sockets],
        [1] * len(itself.sockets),
    )
    yield single(f.UNRESOLVED, itself.unresolved)
    yield single(f.DEVICES, len(verdicts.inventory.devices))
    yield by_label(f.SHARDS, {str(itself.shard[0]): itself.shard[1]})
    if itself.sources:
        yield by_label(f.SOURCE_UP, {name: int(up) for name, (up, _) in itself.sources.items()})
        yield by_label(f.SOURCE_DEVICES, {name: count for name, (_, count) in itself.sources.items()})
    yield single(f.RELOADED, int(itself.reload_successful))
    yield single(f.RELOADED_AT, itself.reloaded_at)
    yield single(f.SNAPSHOT_AT, itself.snapshot_at)
    yield single(f.SNAPSHOT_FAILURES, itself.snapshot_failures)
    yield single(f.SNAPSHOT_DURATION, itself.snapshot_duration)
    yield single(f.RENDER_DURATION, itself.render_duration)
    yield single(f.RENDERS, itself.renders)
    build = labels([("version", __version__), ("pythonversion", platform.python_version())])
    yield block(f.BUILD_INFO, [build], [1])


def _reference(verdicts: Verdicts) -> Iterator[bytes]:
    recent = verdicts.window.recent(verdicts.columns.count - 1)
    rtts = [rtt for rtt in recent if rtt is not None]
    if rtts:
        yield single(f.REFERENCE_RTT, round(sum(rtts) / len(rtts), 7))
    if recent:
        yield single(f.REFERENCE_LOSS, 1 - len(rtts) / len(recent))
