"""Prometheus, the exporter and 200 simulated switches for some minutes: `python -m tests.snmp.soak [MINUTES]`.

No scrape may fail, no device be silent, and every port's rate must be what the device counts.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from bench.exporter import SIMNET_PORT, Exporter
from tests.servers import Prometheus, ensure
from tests.simnet import Simnet
from tests.snmp.fleet import COMMUNITY, Fleet, rate
from tests.stack.inside import place, until

DEVICES = [f"127.20.{number // 100}.{number % 100 + 1}" for number in range(200)]
_IF_HC_IN_OCTETS, _IF_HC_OUT_OCTETS = 6, 10
_MINUTES = 10


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between polls, and between scrapes."""

    interval: int
    timeout: str
    ports: int


FAST = Pace(2, "500ms", 8)
USUAL = Pace(15, "2s", 50)


@contextmanager
def running(pace: Pace) -> Iterator[Prometheus]:
    """Prometheus, once it has every device."""
    with Simnet() as net, Fleet(net, pace.ports), TemporaryDirectory() as folder:
        inventory = Path(folder) / "devices.yml"
        devices = [{"name": address, "address": address, "site": "hq", "role": "switch"} for address in DEVICES]
        inventory.write_text(yaml.safe_dump({"devices": devices}))
        config = {
            "inventory": [{"file": str(inventory)}],
            "classes": [{"name": "all", "snmp": {"auth": "branch"}}],
            "snmp": {
                "interval": f"{pace.interval}s",
                "timeout": pace.timeout,
                "auths": {"branch": {"version": 2, "community": COMMUNITY}},
            },
        }
        job = {
            "job_name": "snmp",
            "metrics_path": "/metrics/snmp",
            "scrape_interval": f"{pace.interval}s",
            "scrape_timeout": f"{pace.interval}s",
            "static_configs": [{"targets": [f"127.0.0.1:{SIMNET_PORT}"]}],
        }
        with (
            Exporter(yaml.safe_dump(config), **place(net, SIMNET_PORT)),
            Prometheus(yaml.safe_dump({"scrape_configs": [job]}), **place(net, 9090)) as prometheus,
        ):
            until(
                lambda: [one.value for one in prometheus.query("sum(ward_snmp_up)")] == [len(DEVICES)],
                "every device is polled",
                60,
            )
            yield prometheus


def soak(prometheus: Prometheus, pace: Pace, seconds: int) -> str:
    """Let it run for a while; AssertionError where anything went wrong, else a sentence on what was seen."""
    time.sleep(seconds)
    span = f"[{seconds}s]"
    scrapes = _one(prometheus, f'count_over_time(up{{job="snmp"}}{span})')
    assert scrapes >= seconds / pace.interval - 1
    assert _one(prometheus, f'min_over_time(up{{job="snmp"}}{span})') == 1
    assert _one(prometheus, f"count(min_over_time(ward_snmp_up{span}) == 1)") == len(DEVICES)
    assert _one(prometheus, f"sum(max_over_time(ward_snmp_partial{span}))") == 0
    for name in ("ward_snmp_retries_total", "ward_snmp_samples_dropped_total", "ward_snmp_worker_restarts_total"):
        assert _one(prometheus, f"sum(increase({name}{span}))") == 0, name
    assert prometheus.query("ward_snmp_errors_total") == []
    worst = 0.0
    for name, column in (("ifHCInOctets", _IF_HC_IN_OCTETS), ("ifHCOutOctets", _IF_HC_OUT_OCTETS)):
        errors = _errors(prometheus, f"rate({name}{span})", column)
        assert len(errors) == len(DEVICES) * pace.ports
        worst = max(worst, *map(abs, errors))
        # A counter is as old as its poll when it is scraped: at either end of the span up to an interval.
        assert worst < 1.2 * pace.interval / seconds
        assert abs(statistics.mean(errors)) < 0.01
    rates = 2 * len(DEVICES) * pace.ports
    return (
        f"{scrapes:.0f} scrapes of {len(DEVICES)} devices, none failed; {rates:,} rates, the worst {worst:.2%} off"
    )


def _one(prometheus: Prometheus, expression: str) -> float:
    (found,) = prometheus.query(expression)
    return found.value


def _errors(prometheus: Prometheus, expression: str, column: int) -> list[float]:
    """How wrong each port's rate is, as a share of what the device counts."""
    return [
        one.value / rate(one.labels["device"], column, int(one.labels["ifIndex"])) - 1
        for one in prometheus.query(expression)
    ]


def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else _MINUTES
    ensure()
    with running(USUAL) as prometheus:
        print(soak(prometheus, USUAL, int(minutes * 60)))


if __name__ == "__main__":
    main()
