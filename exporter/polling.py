"""SNMP as a part of the service: devices and modules to the poller processes, and their polls to the page."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence

from exporter.config_snmp import SnmpSettings
from exporter.credentials import open_to_all
from exporter.exposition import snmp as exposition
from exporter.exposition.text import labels
from exporter.inventory.device import Device
from exporter.snmp.jobs import Assignment, Job, access
from exporter.snmp.modules import Module
from exporter.snmp.pool import Pool

log = logging.getLogger(__name__)

#: Samples of one device that are served: 20 columns of 1,000 interfaces.
MOST_SAMPLES = 20_000


class Polling:
    """The pollers, and the page of what they have brought."""

    def __init__(self) -> None:
        self._pool = Pool()
        self._labels: Mapping[str, str] = {}
        self._oldest = 0.0
        #: The warnings that the log has.
        self._warned: frozenset[str] = frozenset()

    def assign(self, settings: SnmpSettings, devices: Sequence[Device], modules: Mapping[str, Module]) -> None:
        """Poll these devices from now on."""
        warnings = open_to_all(settings.secret_files)
        for warning in warnings:
            if warning not in self._warned:
                log.warning("%s", warning)
        self._warned = frozenset(warnings)
        polled = [device for device in devices if device.snmp is not None]
        rendered = {device.name: labels(_pairs(device)) for device in polled}
        jobs = [_job(device, settings, rendered[device.name]) for device in polled if device.snmp is not None]
        self._labels = rendered
        self._oldest = exposition.STALE_INTERVALS * settings.interval + settings.timeout * (settings.retries + 1)
        self._pool.assign(
            Assignment(
                jobs=tuple(jobs),
                modules=modules,
                interval=settings.interval,
                slow_interval=settings.slow_interval,
                timeout=settings.timeout,
                retries=settings.retries,
                max_repetitions=settings.max_repetitions,
                limit=MOST_SAMPLES,
            ),
            settings.workers,
        )

    def render(self, shard: tuple[int, int]) -> bytes:
        """The page at /metrics/snmp; runs in a thread of its own."""
        now = time.monotonic()
        polls = self._pool.polls
        return b"".join(exposition.render(polls, self._labels, self._pool.restarts, now - self._oldest, shard))

    def close(self) -> None:
        self._pool.close()


def _pairs(device: Device) -> list[tuple[str, str]]:
    return [
        ("device", device.name),
        ("site", device.site),
        ("role", device.role),
        ("priority", str(device.priority)),
    ]


def _job(device: Device, settings: SnmpSettings, rendered: str) -> Job:
    assert device.snmp is not None
    return Job(
        device=device.name,
        host=device.address,
        port=device.snmp.port,
        access=access(settings.auths[device.snmp.auth]),
        labels=rendered[1:-1],
        modules=device.snmp.modules,
    )
