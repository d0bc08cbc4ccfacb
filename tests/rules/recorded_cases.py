"""What rules/recording.yml and rules/compat.yml record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from tests.rules.world import EXPORTER, Answer, Case, Device, Labels, Series, scraped

A = Device("a", "isp", "batumi-02", "magti")
B = Device("b", "isp", "batumi-02", "silknet")
NOWHERE = Device("c", "isp", "", "magti")
SWITCH = Device("sw", "switch", "batumi-02")
#: Probes, replies, and round-trip time in seconds, all of one second.
RATES: Mapping[Device, tuple[float, float, float]] = {
    A: (1, 0.5, 0.01),
    B: (1, 1, 0.03),
    NOWHERE: (4, 3, 0.3),
    SWITCH: (2, 2, 0.1),
}
#: Another exporter that watches one of them, too; its numbers are not mixed with those.
SECOND = replace(A, instance="second:9841")
END = 360


def _counted(device: Device, rates: tuple[float, float, float]) -> list[Series]:
    def counter(name: str, rate: float) -> Series:
        return Series(f"ward_device_{name}_total", device.labels, lambda second: rate * second)

    return [*map(counter, ("probes_sent", "replies", "rtt_seconds"), rates)]


def _recorded(name: str, samples: list[tuple[Labels, float]]) -> Answer:
    # Sums of rates are not exact; and only an operator makes VictoriaMetrics drop the name.
    return Answer(END, f"1 * round({name}, 0.0001)", samples)


def _by(label: str, values: Mapping[str, float], second: Mapping[str, float]) -> list[tuple[Labels, float]]:
    return [
        ({"job": "ward-exporter", "instance": instance, label: name}, value)
        for instance, found in ((EXPORTER, values), (SECOND.instance, second))
        for name, value in found.items()
    ]


def _of(values: Mapping[Device, float]) -> list[tuple[Labels, float]]:
    return [(device.labels, value) for device, value in values.items()]


def recorded() -> Iterator[Case]:
    devices = [
        *(one for device in (A, NOWHERE, SWITCH) for one in device.series()),
        *B.series(up=0),
        *(one for device, rates in RATES.items() for one in _counted(device, rates)),
        *SECOND.series(),
        *_counted(SECOND, (1, 0.25, 0.01)),
    ]
    yield Case(
        "recording rules",
        scraped(devices),
        gives=[
            _recorded("site:ward_device_up:count", _by("site", {"batumi-02": 3}, {"batumi-02": 1})),
            _recorded("site:ward_device_up:sum", _by("site", {"batumi-02": 2}, {"batumi-02": 1})),
            _recorded("role:ward_device_up:count", _by("role", {"isp": 3, "switch": 1}, {"isp": 1})),
            _recorded("role:ward_device_up:sum", _by("role", {"isp": 2, "switch": 1}, {"isp": 1})),
            _recorded("provider:ward_device_up:count", _by("provider", {"magti": 2, "silknet": 1}, {"magti": 1})),
            _recorded("provider:ward_device_up:sum", _by("provider", {"magti": 2, "silknet": 0}, {"magti": 1})),
            _recorded("device:ward_device_up:avg1m", _of({A: 1, B: 0, NOWHERE: 1, SWITCH: 1, SECOND: 1})),
            _recorded(
                "device:ward_device_replies:ratio_rate5m",
                _of({A: 0.5, B: 1, NOWHERE: 0.75, SWITCH: 1, SECOND: 0.25}),
            ),
            _recorded(
                "device:ward_device_rtt_seconds:mean_rate5m",
                _of({A: 0.02, B: 0.03, NOWHERE: 0.1, SWITCH: 0.05, SECOND: 0.04}),
            ),
            _recorded("site:ward_device_replies:rate5m", _by("site", {"batumi-02": 3.5}, {"batumi-02": 0.25})),
            _recorded("site:ward_device_probes_sent:rate5m", _by("site", {"batumi-02": 4}, {"batumi-02": 1})),
            _recorded(
                "provider:ward_device_replies:rate5m",
                _by("provider", {"magti": 3.5, "silknet": 1}, {"magti": 0.25}),
            ),
            _recorded(
                "provider:ward_device_probes_sent:rate5m", _by("provider", {"magti": 5, "silknet": 1}, {"magti": 1})
            ),
        ],
    )


def compat() -> Iterator[Case]:
    yield Case(
        "the names of the former platform",
        scraped([*A.series(rtt_seconds=0.0125, packet_loss_ratio=0.125), *B.series(up=0, packet_loss_ratio=1)]),
        gives=[
            _recorded("device_ping_status", _of({A: 1, B: 0})),
            _recorded("device_ping_rtt_ms", _of({A: 12.5, B: 10})),
            _recorded("device_packet_loss", _of({A: 12.5, B: 100})),
        ],
    )
