"""The per-device and per-site part of `/metrics`. Labels are rendered once an inventory, values once a scrape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from exporter.exposition import families as f
from exporter.exposition.text import Family, block, labels, samples, single
from exporter.icmp.packet import REASONS
from exporter.inventory.device import Device, Inventory
from exporter.state.columns import BUCKETS, DOWN, UNKNOWN, UP
from exporter.state.verdict import Verdicts

#: RTTs are rounded to a tenth of a microsecond: what is behind it is noise, and costs bytes in every scrape.
_DECIMALS = 7
_BOUNDS = (*map(str, BUCKETS), "+Inf")


class DeviceText:
    """Renders the state of one inventory."""

    def __init__(self, verdicts: Verdicts, site_names: Sequence[str]) -> None:
        self._verdicts = verdicts
        inventory = verdicts.inventory
        self._labels = [labels(_pairs(device)) for device in inventory.devices]
        self._static = _static(inventory, self._labels)
        self._site_labels = [labels([("site", name)]) for name in site_names]
        self._all = np.arange(len(self._labels))

    def render(self) -> Iterator[bytes]:
        """The families, one after another, each whole."""
        verdicts, count = self._verdicts, len(self._labels)
        columns = verdicts.columns
        gauges = verdicts.window.gauges()
        # Together, or a probe that ends while the page is rendered would look lost; replies first, so that no
        # scrape shows more of them than of probes.
        replies = columns.replies[:count].copy()
        probes = columns.probes[:count].copy()
        rtt_total = columns.rtt_total[:count].copy()
        verdict = columns.verdict[:count].copy()
        known = np.flatnonzero(verdict != UNKNOWN)
        if len(known) == count:
            known = self._all
        yield self._block(f.UP, known, (verdict == UP).astype(np.int8))
        yield self._seconds(f.RTT, known, gauges.rtt)
        yield self._seconds(f.RTT_MIN, known, gauges.rtt_min)
        yield self._seconds(f.RTT_MAX, known, gauges.rtt_max)
        yield self._seconds(f.JITTER, known, gauges.jitter)
        yield self._seconds(f.LOSS, known, gauges.loss)
        yield self._block(f.FLAPPING, known, columns.flapping.astype(np.int8))
        yield self._suppressed()
        yield self._block(f.PROBES, known, probes)
        yield self._block(f.REPLIES, known, replies)
        yield self._block(f.RTT_TOTAL, known, np.round(rtt_total, _DECIMALS))
        yield self._block(f.LATE, known, columns.late)
        yield self._block(f.DUPLICATES, known, columns.duplicates)
        yield self._block(f.CHANGES, known, columns.changes)
        yield self._block(f.LAST_CHANGE, known, np.round(columns.last_change, 3))
        yield self._block(f.LAST_REPLY, known, np.round(columns.last_reply, 3))
        yield self._down_reasons(np.flatnonzero(verdict == DOWN))
        yield self._block(f.PATH_CHANGES, known, columns.path_changes)
        yield self._block(f.REPLY_TTL, np.flatnonzero(columns.ttl[:count] > 0), columns.ttl)
        if len(columns.histogram):
            yield from self._histograms(known)
        yield self._static
        suppression = verdicts.suppression
        isolated = suppression.isolated.astype(np.int8).tolist()
        if self._site_labels:
            yield block(f.SITE_ISOLATED, self._site_labels, isolated)
        yield single(f.MASS_OUTAGE, int(suppression.mass_outage))

    def _block(self, family: Family, rows: npt.NDArray[np.intp], column: npt.NDArray[np.generic]) -> bytes:
        if rows is self._all:
            return block(family, self._labels, column[: len(rows)].tolist())
        chosen = self._labels
        return block(family, [chosen[row] for row in rows.tolist()], column[rows].tolist())

    def _seconds(self, family: Family, rows: npt.NDArray[np.intp], column: npt.NDArray[np.float64]) -> bytes:
        there = ~np.isnan(column[rows])
        return self._block(family, rows if there.all() else rows[there], np.round(column, _DECIMALS))

    def _suppressed(self) -> bytes:
        columns, suppression = self._verdicts.columns, self._verdicts.suppression
        series: list[str] = []
        for reason, flags in (
            ("flapping", columns.flapping),
            ("maintenance", suppression.maintenance),
            ("shadowed", columns.shadowed),
            ("mass_outage", columns.mass_outage),
        ):
            rows = np.flatnonzero(flags[: len(self._labels)]).tolist()
            series += [f'{self._labels[row][:-1]},reason="{reason}"}}' for row in rows]
        return block(f.SUPPRESSED, series, [1] * len(series))

    def _down_reasons(self, rows: npt.NDArray[np.intp]) -> bytes:
        reasons = self._verdicts.columns.reason
        series = [f'{self._labels[row][:-1]},reason="{REASONS[reasons[row]]}"}}' for row in rows.tolist()]
        return block(f.DOWN_REASON, series, [1] * len(series))

    def _histograms(self, known: npt.NDArray[np.intp]) -> Iterator[bytes]:
        columns, name = self._verdicts.columns, f.HISTOGRAM.name
        rows = known[columns.histogram_row[known] >= 0]
        positions = columns.histogram_row[rows]
        sums = np.round(columns.histogram_sum[positions], _DECIMALS).tolist()
        yield f.HISTOGRAM.header().encode()
        for row, position, total in zip(rows.tolist(), positions.tolist(), sums, strict=True):
            label, counts = self._labels[row], np.cumsum(columns.histogram[position]).tolist()
            yield from samples(f"{name}_bucket", [f'{label[:-1]},le="{bound}"}}' for bound in _BOUNDS], counts)
            yield f"{name}_sum{label} {total}\n{name}_count{label} {counts[-1]}\n".encode()


def _pairs(device: Device) -> list[tuple[str, str]]:
    return [
        ("device", device.name),
        ("address", device.address),
        ("site", device.site),
        ("role", device.role),
        ("priority", str(device.priority)),
    ]


def _coordinate(value: float | None) -> str:
    return "" if value is None else repr(value)


def _static(inventory: Inventory, device_labels: list[str]) -> bytes:
    """What changes with the inventory alone: thresholds, device and site information."""
    devices, sites = inventory.devices, inventory.sites.values()
    info = [
        labels(
            [
                ("device", device.name),
                ("address", device.address),
                ("hostname", device.hostname),
                ("site", device.site),
                ("region", device.region),
                ("provider", device.provider),
                ("role", device.role),
                ("priority", str(device.priority)),
                ("vendor", device.vendor),
                ("model", device.model),
                ("parent", device.parent),
                ("latitude", _coordinate(device.latitude)),
                ("longitude", _coordinate(device.longitude)),
                *device.labels,
            ]
        )
        for device in devices
    ]
    site_info = [
        labels(
            [
                ("site", site.name),
                ("region", site.region),
                ("latitude", _coordinate(site.latitude)),
                ("longitude", _coordinate(site.longitude)),
            ]
        )
        for site in sites
    ]
    return (
        block(f.RTT_THRESHOLD, device_labels, [device.limits.rtt for device in devices])
        + block(f.LOSS_THRESHOLD, device_labels, [device.limits.loss for device in devices])
        + block(f.DEVICE_INFO, info, [1] * len(info))
        + (block(f.SITE_INFO, site_info, [1] * len(site_info)) if site_info else b"")
    )
