"""Devices as JSON for the API and for service discovery."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from exporter.icmp.packet import REASONS
from exporter.inventory.device import Device
from exporter.state.columns import DOWN
from exporter.state.verdict import Verdicts
from exporter.web.changes import event_json

_STATES = ("unknown", "up", "down")


#: What follows is of these kinds of events: `subject` is then a device's name.
_OF_DEVICES = ("down", "up", "flapping", "steady")


def row_of(verdicts: Verdicts, name: str) -> int | None:
    """The row of the device of this name."""
    return next((row for row, device in enumerate(verdicts.inventory.devices) if device.name == name), None)


def device_state(verdicts: Verdicts, row: int) -> dict[str, Any]:
    """What is known of one device; times in Unix seconds, None for what there is not."""
    device, columns = verdicts.inventory.devices[row], verdicts.columns
    verdict = int(columns.verdict[row])
    flags = {
        "flapping": columns.flapping[row],
        "maintenance": verdicts.suppression.maintenance[row],
        "shadowed": columns.shadowed[row],
        "mass_outage": columns.mass_outage[row],
    }
    return {
        "name": device.name,
        "address": device.address,
        "site": device.site,
        "role": device.role,
        "priority": device.priority,
        "state": _STATES[verdict],
        "reason": REASONS[columns.reason[row]] if verdict == DOWN else None,
        "since": float(columns.last_change[row]) or None,
        "last_reply": float(columns.last_reply[row]) or None,
        "flapping": bool(columns.flapping[row]),
        "suppressed": [reason for reason, on in flags.items() if on],
    }


def device_states(verdicts: Verdicts) -> bytes:
    """`device_state` of every device, as JSON; made one by one, for the JSON encoder keeps the interpreter lock."""
    rows = range(len(verdicts.inventory.devices))
    states = [json.dumps(device_state(verdicts, row), ensure_ascii=False) for row in rows]
    return f'{{"devices": [{", ".join(states)}]}}'.encode()


def device_detail(verdicts: Verdicts, row: int) -> dict[str, Any]:
    """`device_state`, the inventory's facts, counters, gauges, last probes (None for a lost one), and events."""
    device, columns = verdicts.inventory.devices[row], verdicts.columns
    gauges = [
        None if np.isnan(column[0]) else round(float(column[0]), 7) for column in verdicts.window.gauges_of(row)
    ]
    names = ("rtt_seconds", "rtt_min_seconds", "rtt_max_seconds", "jitter_seconds", "packet_loss_ratio")
    events = [
        event_json(event)
        for event in verdicts.history.events()
        if event.subject == device.name and event.kind in _OF_DEVICES
    ]
    return {
        **device_state(verdicts, row),
        "hostname": device.hostname,
        "region": device.region,
        "provider": device.provider,
        "vendor": device.vendor,
        "model": device.model,
        "parent": device.parent or None,
        "latitude": device.latitude,
        "longitude": device.longitude,
        "labels": dict(device.labels),
        "limits": {
            "rtt_seconds": device.limits.rtt,
            "packet_loss_ratio": device.limits.loss,
            "flap_changes": device.limits.flap_changes,
        },
        "probes_sent": int(columns.probes[row]),
        "replies": int(columns.replies[row]),
        "late_replies": int(columns.late[row]),
        "duplicate_replies": int(columns.duplicates[row]),
        "status_changes": int(columns.changes[row]),
        "path_changes": int(columns.path_changes[row]),
        "reply_ttl": int(columns.ttl[row]) or None,
        **dict(zip(names, gauges, strict=True)),
        "recent": verdicts.window.recent(row),
        "strip": verdicts.window.strip(row),
        "events": events,
    }


def discovery(devices: Sequence[Device], roles: Sequence[str]) -> bytes:
    """Target groups of Prometheus http_sd, as JSON: one a device, of these roles, of all if there are none.

    Made one by one, for the JSON encoder keeps the interpreter lock.
    """
    groups = [
        json.dumps(_target_group(device), ensure_ascii=False)
        for device in devices
        if not roles or device.role in roles
    ]
    return f"[{','.join(groups)}]".encode()


def _target_group(device: Device) -> dict[str, Any]:
    facts = (("site", device.site), ("region", device.region), ("provider", device.provider), *device.labels)
    return {
        "targets": [device.address],
        "labels": {
            "device": device.name,
            "role": device.role,
            "priority": str(device.priority),
            **{name: value for name, value in facts if value},
        },
    }
