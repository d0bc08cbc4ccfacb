"""Devices as JSON for the API and for service discovery, and the landing page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import Any

from exporter import __version__
from exporter.icmp.packet import REASONS
from exporter.inventory.device import Device
from exporter.state.columns import DOWN, UP
from exporter.state.verdict import Verdicts

_STATES = ("unknown", "up", "down")


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
    """`device_state`, the inventory's facts, the counters, and the window's RTTs (None for a lost probe)."""
    device, columns = verdicts.inventory.devices[row], verdicts.columns
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
        "recent": verdicts.window.recent(row),
    }


def discovery(devices: Sequence[Device], roles: Sequence[str]) -> list[dict[str, Any]]:
    """Target groups of Prometheus http_sd, one a device, of these roles; of all if there are none."""
    return [
        {
            "targets": [device.address],
            "labels": {
                "device": device.name,
                "role": device.role,
                "priority": str(device.priority),
                **{
                    name: value
                    for name, value in (
                        ("site", device.site),
                        ("region", device.region),
                        ("provider", device.provider),
                        *device.labels,
                    )
                    if value
                },
            },
        }
        for device in devices
        if not roles or device.role in roles
    ]


_LINKS = (
    ("/metrics", "metrics, for Prometheus"),
    ("/api/v1/devices", "the devices as JSON"),
    ("/sd", "the devices for Prometheus http_sd; ?role=isp for one role"),
    ("/-/healthy", "is the probe loop alive"),
    ("/-/ready", "has every device been probed once"),
)


#: Devices on the landing page: in a mass outage of a large inventory nobody reads them all.
_LISTED = 500


def landing(verdicts: Verdicts) -> str:
    """Totals, the first devices that are down, and where to find the rest."""
    devices = verdicts.inventory.devices
    verdict = verdicts.columns.verdict[: len(devices)].copy()
    up, down = int((verdict == UP).sum()), int((verdict == DOWN).sum())
    rows = "".join(
        f"<tr><td>{escape(devices[row].name)}<td>{escape(devices[row].address)}<td>{escape(devices[row].site)}"
        f"<td>{escape(devices[row].role)}<td>{REASONS[verdicts.columns.reason[row]]}"
        for row in (verdict == DOWN).nonzero()[0][:_LISTED].tolist()
    )
    if down > _LISTED:
        rows += f"<tr><td colspan=5>and {down - _LISTED} more"
    head = "<tr><th>device<th>address<th>site<th>role<th>reason"
    table = f"<h2>Down</h2><table>{head}{rows}</table>" if rows else ""
    links = "".join(f'<li><a href="{path}">{path}</a> {text}' for path, text in _LINKS)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>ward-exporter</title>'
        '<meta name="viewport" content="width=device-width"><style>'
        "body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem;color:#222}"
        "b{font-size:1.6rem}p.totals span{margin-right:2rem}td,th{text-align:left;padding:.1rem 1rem .1rem 0}"
        "@media(prefers-color-scheme:dark){body{background:#161616;color:#ddd}a{color:#8bf}}</style>"
        f"<h1>ward-exporter {__version__}</h1>"
        f'<p class="totals"><span><b>{len(devices)}</b> devices</span><span><b>{up}</b> up</span>'
        f"<span><b>{down}</b> down</span><span><b>{len(devices) - up - down}</b> not known yet</span></p>"
        f"{table}<ul>{links}</ul></html>"
    )
