"""Exporter and stack: whether what the other dashboards show can be believed, and what it costs."""

from __future__ import annotations

from dashboards import health
from dashboards.board import Section, dashboard
from dashboards.look import ORANGE, RED, YELLOW, Json, limits
from dashboards.panels import SNMP, STACK, Column, Query, quiet, series, stat, table

_NEUTRAL: Json = {"mode": "absolute", "steps": [{"value": None, "color": "blue"}]}
_BY = "{{instance}}"
_EXPORTER = 'job="ward-exporter"'


def _rate(metric: str, by: str = "instance") -> str:
    return f"sum by ({by}) (rate({metric}[$__rate_interval]))"


def _last(metric: str) -> str:
    return f"max by (instance) ({metric})"


def _totals() -> list[Json]:
    return [
        stat(
            "Devices",
            "In the inventory, and probed.",
            Query("count(count by (device) (ward_device_info))"),
            unit="none",
            thresholds=_NEUTRAL,
        ),
        stat(
            "Probe interval",
            "Time between two probes of a device.",
            Query("max(ward_probe_interval_seconds)"),
            unit="s",
            thresholds=_NEUTRAL,
        ),
        stat(
            "Busy share of a round",
            "Part of the interval that the last round kept the loop busy; above 80 % the alert "
            "ProbeLoopOverrun fires.",
            Query("max(ward_probe_cycle_duration_seconds / ward_probe_interval_seconds)"),
            unit="percentunit",
            decimals=1,
            thresholds=limits((0.5, YELLOW), (0.8, RED)),
        ),
        stat(
            "Loop lag",
            "Longest delay of a probe against its schedule in the last 60 rounds.",
            Query("max(ward_probe_cycle_lag_seconds)"),
            unit="s",
            thresholds=limits((0.1, YELLOW), (1, RED)),
        ),
        stat(
            "Void probes",
            "Void probes per second: their outcome is unknown because the exporter's own machine was at fault.",
            Query("sum(rate(ward_probe_void_total[$__rate_interval]))"),
            unit="cps",
            thresholds=limits((0.001, ORANGE)),
        ),
        stat(
            "Loss to loopback",
            "Lost probes to the exporter's own loopback address. Above 0 the fault is on this machine.",
            Query("max(ward_probe_reference_packet_loss_ratio)"),
            unit="percentunit",
            decimals=1,
            thresholds=limits((0.0001, RED)),
        ),
        stat(
            "Unresolved names",
            "Host names of the inventory whose last look-up failed.",
            Query("max(ward_probe_unresolved_names)"),
            unit="none",
            thresholds=quiet(ORANGE),
        ),
        stat(
            "Inventory age",
            "Time since what runs now was loaded.",
            Query("time() - max(ward_config_last_reload_success_timestamp_seconds)"),
            unit="s",
            decimals=0,
            thresholds=_NEUTRAL,
        ),
    ]


def _loop() -> list[Json]:
    return [
        series(
            "Packets",
            "Echo requests that the kernel took, and packets read from the sockets.",
            [
                Query(_rate("ward_probe_packets_sent_total"), f"{_BY} sent"),
                Query(_rate("ward_probe_packets_received_total"), f"{_BY} received"),
            ],
            unit="pps",
        ),
        series(
            "Rounds",
            "How long the last round through the inventory kept the loop busy, and the longest delay of a probe "
            "in the last 60.",
            [
                Query(_last("ward_probe_cycle_duration_seconds"), f"{_BY} busy"),
                Query(_last("ward_probe_cycle_lag_seconds"), f"{_BY} lag"),
            ],
            unit="s",
        ),
        series(
            "Probes that told nothing",
            "Void probes, and rounds that were given up: faults of the exporter's machine, and never a "
            "device's loss.",
            [
                Query(_rate("ward_probe_void_total"), f"{_BY} void"),
                Query(_rate("ward_probe_cycles_skipped_total"), f"{_BY} rounds given up"),
            ],
            unit="cps",
        ),
        series(
            "Send errors",
            "Echo requests that the kernel refused, by the error's name.",
            [Query(_rate("ward_probe_send_errors_total", "instance, errno"), f"{_BY} {{{{errno}}}}")],
            unit="pps",
            nothing="the kernel took every packet",
        ),
        series(
            "Packets that did not count",
            "Lost in a full receive buffer; foreign, which belong to no probe; invalid, which name a probe "
            "and are not its reply.",
            [
                Query(_rate("ward_probe_receive_buffer_drops_total"), f"{_BY} dropped"),
                Query(_rate("ward_probe_foreign_replies_total"), f"{_BY} foreign"),
                Query(_rate("ward_probe_invalid_replies_total"), f"{_BY} invalid"),
            ],
            unit="pps",
        ),
        series(
            "Round-trip time to loopback",
            "To the machine's own loopback address: what is not the network's.",
            [Query(_last("ward_probe_reference_rtt_seconds"), _BY)],
            unit="s",
        ),
    ]


def _cost() -> list[Json]:
    return [
        series(
            "CPU",
            "Of each part, in cores.",
            [Query(_rate("process_cpu_seconds_total", "job"), "{{job}}", STACK)],
            unit="none",
            decimals=2,
        ),
        series(
            "Memory",
            "Resident memory of each part.",
            [Query("sum by (job) (process_resident_memory_bytes)", "{{job}}", STACK)],
            unit="bytes",
        ),
        series(
            "Time of a scrape",
            "How long each page took to come. The exporter's must stay well below 4 s.",
            [Query("max by (job) (scrape_duration_seconds)", "{{job}}", STACK)],
            unit="s",
        ),
        series(
            "Samples of a scrape",
            "Above 100,000 samples from an exporter, unless the inventory is divided, the alert "
            "ScrapeTooLarge fires.",
            [Query("max by (job) (scrape_samples_scraped)", "{{job}}", STACK)],
            unit="short",
            decimals=0,
        ),
        series(
            "Rendering and saving",
            "Time that the exporter took to render its page, and to save its state.",
            [
                Query(_last("ward_exporter_render_duration_seconds"), f"{_BY} page"),
                Query(_last("ward_snapshot_duration_seconds"), f"{_BY} state"),
            ],
            unit="s",
        ),
        series(
            "Open files",
            "Of the exporter, as a share of how many it may have.",
            [Query(f"max by (instance) (process_open_fds{{{_EXPORTER}}} / process_max_fds{{{_EXPORTER}}})", _BY)],
            unit="percentunit",
        ),
    ]


def _inventory() -> list[Json]:
    return [
        table(
            "Sources of the inventory",
            "Files and URLs that devices come from, and whether each could be read the last time.",
            [
                Column("Source", label="source"),
                Column(
                    "Read",
                    expr="min by (source) (ward_inventory_source_up)",
                    states={0: ("NO", RED), 1: ("YES", "green")},
                    width=100,
                ),
                Column("Devices", expr="max by (source) (ward_inventory_source_devices)"),
            ],
            sort="Source",
            size=(12, 6),
        ),
        table(
            "Exporters",
            "Each that is scraped, with its version and how its packets are sent.",
            [
                Column("Instance", label="instance"),
                Column("Version", label="version"),
                Column("Python", label="pythonversion"),
                Column(
                    "Running for",
                    expr=f"time() - max by (instance) (process_start_time_seconds{{{_EXPORTER}}}) + on (instance)"
                    " group_left (version, pythonversion) 0 * ward_exporter_build_info",
                    unit="s",
                    decimals=0,
                ),
                Column(
                    "Saves that failed",
                    expr="max by (instance) (ward_snapshot_failures_total)",
                    thresholds=quiet(RED),
                ),
            ],
            sort="Instance",
            size=(12, 6),
        ),
    ]


def _snmp() -> list[Json]:
    rate = "[$__rate_interval]"
    return [
        series(
            "SNMP: devices",
            "How many answered their last poll, a part of it, or not at all.",
            [
                Query("sum(max by (device) (ward_snmp_up))", "answered", SNMP),
                Query("sum(max by (device) (ward_snmp_partial))", "in part", SNMP),
                Query("sum(max by (device) (ward_snmp_up) == bool 0)", "silent", SNMP),
            ],
            unit="none",
            decimals=0,
            legend="list",
            nothing="no device is polled by SNMP",
        ),
        series(
            "SNMP: errors",
            "Requests a second that came to nothing, by kind, and pollers that died and were started again.",
            [
                Query(f"sum by (kind) (rate(ward_snmp_errors_total{rate}))", "{{kind}}", SNMP),
                Query(f"sum(rate(ward_snmp_worker_restarts_total{rate}))", "poller restarts", SNMP),
            ],
            unit="cps",
            nothing="no device is polled by SNMP",
        ),
        series(
            "SNMP: slowest polls",
            "Time that the last poll took, of the ten slowest devices of the time range.",
            [
                Query(
                    "max by (device) (ward_snmp_poll_duration_seconds) and on (device)"
                    " topk(10, max by (device) (max_over_time(ward_snmp_poll_duration_seconds[$__range] @ end())))",
                    "{{device}}",
                    SNMP,
                )
            ],
            unit="s",
            nothing="no device is polled by SNMP",
        ),
        series(
            "SNMP: packets",
            "Requests and answers of all devices, and requests that were sent again.",
            [
                Query(f"sum(rate(ward_snmp_packets_sent_total{rate}))", "sent", SNMP),
                Query(f"sum(rate(ward_snmp_packets_received_total{rate}))", "received", SNMP),
                Query(f"sum(rate(ward_snmp_retries_total{rate}))", "sent again", SNMP),
            ],
            unit="pps",
            legend="list",
            nothing="no device is polled by SNMP",
        ),
    ]


def build() -> Json:
    return dashboard(
        "ward-exporter",
        "Whether the probe loop keeps up, what it costs, and whether scrapes, rules and notifications work.",
        [
            Section("", _totals()),
            Section("Probe loop", _loop()),
            Section("Cost", _cost()),
            Section("Inventory", _inventory()),
            Section("SNMP", _snmp()),
            Section("Stack", [*health.parts(), *health.rules(), *health.storage()]),
        ],
    )
