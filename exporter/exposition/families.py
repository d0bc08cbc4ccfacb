"""Every metric family of `/metrics`, in the order in which it is exposed. docs/metrics.md says the same."""

from __future__ import annotations

from exporter.exposition.text import Family

DEVICE = ("device", "address", "site", "role", "priority")
INFO = (
    *("device", "address", "hostname", "site", "region", "provider", "role", "priority"),
    *("vendor", "model", "parent", "latitude", "longitude"),
)


def _device(name: str, kind: str, text: str, *more: str) -> Family:
    return Family(f"ward_device_{name}", kind, text, (*DEVICE, *more))


UP = _device("up", "gauge", "1 while the device answers, 0 while it is down; no series before the first verdict.")
RTT = _device("rtt_seconds", "gauge", "Mean round-trip time over the window.")
RTT_MIN = _device("rtt_min_seconds", "gauge", "Shortest round-trip time of the window.")
RTT_MAX = _device("rtt_max_seconds", "gauge", "Longest round-trip time of the window.")
JITTER = _device(
    "jitter_seconds", "gauge", "Mean absolute difference of consecutive round-trip times of the window."
)
LOSS = _device("packet_loss_ratio", "gauge", "Share of the window's probes that got no reply in time, 0..1.")
FLAPPING = _device("flapping", "gauge", "1 while the device changes its state too often.")
SUPPRESSED = _device("suppressed", "gauge", "1 while alerts about the device would be noise.", "reason")
PROBES = _device("probes_sent_total", "counter", "Probes whose outcome is known.")
REPLIES = _device("replies_total", "counter", "Replies that came in time.")
RTT_TOTAL = _device("rtt_seconds_total", "counter", "Sum of the round-trip times of these replies.")
LATE = _device("late_replies_total", "counter", "Replies that came after the timeout; their probes count as lost.")
DUPLICATES = _device("duplicate_replies_total", "counter", "Replies to a probe that had been answered already.")
CHANGES = _device("status_changes_total", "counter", "Changes of ward_device_up.")
LAST_CHANGE = _device("last_change_timestamp_seconds", "gauge", "When ward_device_up took its value, in Unix time.")
LAST_REPLY = _device(
    "last_reply_timestamp_seconds", "gauge", "When the last reply came, in Unix time; 0 for never."
)
DOWN_REASON = _device("down_reason", "gauge", "1 while the device is down; why its last probe was lost.", "reason")
PATH_CHANGES = _device(
    "path_changes_total", "counter", "Steps of the replies' time to live: the route has changed."
)
REPLY_TTL = _device("reply_ttl", "gauge", "Time to live, or hop limit, of the last reply.")
HISTOGRAM = _device("rtt_histogram_seconds", "histogram", "Round-trip times; for classes that ask for it.", "le")
RTT_THRESHOLD = _device("rtt_threshold_seconds", "gauge", "The round-trip time above which the device is too slow.")
LOSS_THRESHOLD = _device(
    "packet_loss_threshold_ratio", "gauge", "The loss above which the device is too lossy, 0..1."
)
DEVICE_INFO = Family("ward_device_info", "gauge", "1; what the inventory knows of the device.", INFO)
SITE_INFO = Family("ward_site_info", "gauge", "1; a site.", ("site", "region", "latitude", "longitude"))
SITE_ISOLATED = Family("ward_site_isolated", "gauge", "1 while every ISP link of the site is down.", ("site",))
MASS_OUTAGE = Family("ward_mass_outage", "gauge", "1 while more than half of the inventory is down.")

PACKETS_SENT = Family("ward_probe_packets_sent_total", "counter", "Echo requests that the kernel has taken.")
PACKETS_RECEIVED = Family("ward_probe_packets_received_total", "counter", "Packets read from the ICMP sockets.")
SEND_ERRORS = Family(
    "ward_probe_send_errors_total", "counter", "Echo requests that the kernel refused.", ("errno",)
)
FOREIGN = Family("ward_probe_foreign_replies_total", "counter", "Packets that belong to no probe of ours.")
INVALID = Family("ward_probe_invalid_replies_total", "counter", "Packets with a wrong cookie or source address.")
DROPS = Family("ward_probe_receive_buffer_drops_total", "counter", "Packets that a full receive buffer has lost.")
VOID = Family("ward_probe_void_total", "counter", "Probes that tell nothing, for the fault was on our side.")
CYCLES = Family("ward_probe_cycles_total", "counter", "Rounds through the inventory.")
SKIPPED = Family("ward_probe_cycles_skipped_total", "counter", "Rounds given up because the loop was held up.")
CYCLE_LAG = Family("ward_probe_cycle_lag_seconds", "gauge", "Longest delay of a send in the last minute's rounds.")
CYCLE_DURATION = Family(
    "ward_probe_cycle_duration_seconds", "gauge", "Time that the last round kept the loop busy."
)
INTERVAL = Family("ward_probe_interval_seconds", "gauge", "Time between two probes of a device.")
REFERENCE_RTT = Family(
    "ward_probe_reference_rtt_seconds", "gauge", "Mean round-trip time to our own loopback address."
)
REFERENCE_LOSS = Family(
    "ward_probe_reference_packet_loss_ratio", "gauge", "Loss to our own loopback address, 0..1."
)
SOCKET_INFO = Family("ward_probe_socket_info", "gauge", "1; how packets of a family are sent.", ("family", "kind"))
UNRESOLVED = Family("ward_probe_unresolved_names", "gauge", "Host names of the inventory that have no address.")

DEVICES = Family("ward_inventory_devices", "gauge", "Devices in the inventory.")
SHARDS = Family("ward_inventory_shards", "gauge", "Parts of the inventory; the label is this one's.", ("shard",))
SOURCE_UP = Family("ward_inventory_source_up", "gauge", "1 if the source could be read the last time.", ("source",))
SOURCE_DEVICES = Family("ward_inventory_source_devices", "gauge", "Devices that the source holds.", ("source",))
RELOADED = Family("ward_config_last_reload_successful", "gauge", "1 if the last load or reload was accepted.")
RELOADED_AT = Family(
    "ward_config_last_reload_success_timestamp_seconds", "gauge", "When the running configuration was loaded."
)
SNAPSHOT_AT = Family(
    "ward_snapshot_last_success_timestamp_seconds", "gauge", "When the state was saved last; 0 for never."
)
SNAPSHOT_FAILURES = Family("ward_snapshot_failures_total", "counter", "Saves of the state that failed.")
SNAPSHOT_DURATION = Family("ward_snapshot_duration_seconds", "gauge", "Time that the last save took.")
RENDER_DURATION = Family(
    "ward_exporter_render_duration_seconds", "gauge", "Time that the last page before took to render."
)
RENDERS = Family("ward_exporter_renders_total", "counter", "Renderings; scrapes that arrive together share one.")
BUILD_INFO = Family("ward_exporter_build_info", "gauge", "1; the version.", ("version", "pythonversion"))

ALL: tuple[Family, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Family))
