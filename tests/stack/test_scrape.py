"""Two minutes of a bank's network as every supported server stores them, held against what the network knows.

One run feeds all tests here: 875 devices with scripted outages, one exporter on its shipped settings, and
Prometheus, VictoriaMetrics and vmagent of every generation, which scrape it at once by the shipped prometheus.yml.
"""

from __future__ import annotations

import statistics
import subprocess
from bisect import bisect
from collections import Counter, defaultdict
from itertools import pairwise

import pytest

from tests.servers import Generation, generations, program
from tests.stack import views
from tests.stack.branches import by_name
from tests.stack.recorded import GLITCH, REROUTED, SECONDS, Run

SCRAPE_INTERVAL, TIMEOUT = 5.0, 1.0
#: How late the loop may learn of a reply or of a timeout, on a busy machine.
LATENESS = 0.5
#: What the machine adds to a round trip, in seconds: for the quarter of the devices whose requests the network
#: reads soonest, for half of them, and for all. The network's clock starts when it reads a request, one at a time,
#: while the exporter sends a few dozen at once: the median is mostly that queue, and measures 0.37 ms.
RTT_ERRORS = (0.0005, 0.001, 0.02)
#: Two readings of a clock that is being slewed.
CLOCK_ERROR = 0.0002

every_view = pytest.mark.parametrize("name", views.NAMES)
every_generation = pytest.mark.parametrize("generation", generations(), ids=lambda one: one.name)
every_prometheus = pytest.mark.parametrize("name", [name for name in views.NAMES if name.startswith("prometheus")])


@every_view
def test_no_scrape_fails(run: Run, name: str) -> None:
    """Every scrape succeeds, in its turn, well within its timeout."""
    view = run.views[name]
    up = view.one("up")
    assert set(up.values()) == {1}
    assert [sample.value for sample in view.query("min_over_time(up{SELECT}[10m])")] == [1]
    gaps = [later - earlier for earlier, later in pairwise(sorted(up))]
    assert len(up) >= SECONDS / SCRAPE_INTERVAL
    assert max(gaps) < 1.5 * SCRAPE_INTERVAL, gaps
    slowest = max(moment.end - moment.start for moment in view.scrapes.values())
    assert slowest < 2, f"the slowest scrape took {slowest:.3f} s of the 4 that it may take"


@every_view
def test_each_scrape_brings_every_series(run: Run, name: str) -> None:
    """A page always has the same samples, and one more for each device that is down or suppressed."""
    view = run.views[name]
    extra = Counter(
        at
        for metric in ("ward_device_down_reason", "ward_device_suppressed")
        for series in view.raw(metric)
        for at, _ in series.points
    )
    base = {samples - extra[at] for at, samples in view.one("scrape_samples_scraped").items()}
    assert len(base) == 1, f"samples besides those that come and go: {sorted(base)}"
    for metric in ("ward_device_up", "ward_device_rtt_seconds", "ward_device_packet_loss_ratio"):
        found = view.by_device(metric)
        assert len(found) == len(run.devices), metric
        assert {tuple(points) for points in found.values()} == {tuple(view.scrapes)}, f"gaps in {metric}"


@every_view
def test_nothing_is_out_of_order_or_refused(run: Run, name: str) -> None:
    """No sample is a duplicate, out of order or ignored, and the server has nothing to complain of."""
    view = run.views[name]
    scraping = "vm_promscrape_(?:scrapes_failed|scrapes_timed_out|dial_errors)_total"
    patterns = {
        "prometheus": "prometheus_target_scrapes_(?:sample|exceeded)_[a-z_]+_total",
        "victoria": f"vm_rows_(?:ignored|invalid)_total|{scraping}",
        "vmagent": f"vmagent_remotewrite_(?:packets_dropped|retries_count)_total|{scraping}",
    }
    counters = view.own_metrics(patterns[name.partition("-")[0]])
    assert len(counters) >= 4, f"{name} has other names for these now: {counters}"
    assert not {metric: value for metric, value in counters.items() if value}
    assert view.complaints() == []


@every_view
def test_the_verdict_is_right_in_every_scrape(run: Run, name: str) -> None:
    """Each scripted outage is seen within 4.5 s and ends with the second reply; no other device is ever down."""
    view, wrong = run.views[name], []
    found = view.by_device("ward_device_up")
    for device, points in found.items():
        for at, up in points.items():
            if run.expected.down(device, view.scrapes[at]) not in (None, not up):
                wrong.append(f"up is {up:g}: {run.story(device, at)}")
    assert not wrong, wrong
    assert {device for device, points in found.items() if 0 in points.values()} == run.expected.fallen
    (never_down,) = view.query("count(min_over_time(ward_device_up{SELECT}[10m]) == 1)")
    assert never_down.value == len(run.devices) - len(run.expected.fallen)


@every_view
def test_changes_are_counted(run: Run, name: str) -> None:
    """Each change of verdict counts, once; random losses and an outage too short for a verdict count as none."""
    view, wrong = run.views[name], []
    for device, points in view.by_device("ward_device_status_changes_total").items():
        for at, changes in points.items():
            sure, possible = run.expected.changes(device, view.scrapes[at])
            if not sure <= changes <= possible:
                wrong.append(f"{changes:g} changes: {run.story(device, at)}")
    assert not wrong, wrong
    for device, points in view.by_device("ward_device_last_change_timestamp_seconds").items():
        if device in run.expected.fallen:
            last, when = max(points.items())[1], run.expected.last_change(device)
            assert when.start <= last <= when.end, run.story(device, last)
        else:
            assert len(set(points.values())) == 1, device
    assert GLITCH.device not in run.expected.fallen
    lost = view.by_device("ward_device_packet_loss_ratio")[GLITCH.device]
    assert max(lost.values()) > 0, "the short outage has swallowed no probe"


@every_view
def test_reasons_are_named(run: Run, name: str) -> None:
    """Each device that is down, and no other, says why: silence, or what a router has answered for it."""
    view = run.views[name]
    reason_of = {outage.device: outage.reason for outage in run.expected.outages}
    why = {
        (s.labels["device"], at): s.labels["reason"]
        for s in view.raw("ward_device_down_reason")
        for at, _ in s.points
    }
    up = view.by_device("ward_device_up")
    assert why == {
        (device, at): reason_of.get(device, "")
        for device, points in up.items()
        for at, value in points.items()
        if not value
    }
    assert set(why.values()) == {"timeout", "host_unreachable"}


@every_view
def test_flapping_is_seen_and_none_is_invented(run: Run, name: str) -> None:
    """A device flaps from its second change on if it is an ISP link, from its third if not, and no other does."""
    view, devices, wrong = run.views[name], by_name(run.devices), []
    found = view.by_device("ward_device_flapping")
    for device, points in found.items():
        for at, flapping in points.items():
            if run.expected.flapping(devices[device], view.scrapes[at]) not in (None, bool(flapping)):
                wrong.append(f"flapping is {flapping:g}: {run.story(device, at)}")
    assert not wrong, wrong
    assert {"branch-01-isp-a", "branch-25-sw2"} <= {
        device for device, points in found.items() if 1 in points.values()
    }


@every_view
def test_what_hangs_on_a_dead_link_is_shadowed(run: Run, name: str) -> None:
    """Devices whose uplink or parent is down with them are suppressed as shadowed, and a dead site is isolated."""
    view, wrong = run.views[name], []
    marks = {(s.labels["device"], s.labels["reason"]): dict(s.points) for s in view.raw("ward_device_suppressed")}
    assert {reason for _, reason in marks} == {"shadowed", "flapping"}
    for device in run.devices:
        shadowed = marks.get((device.name, "shadowed"), {})
        for at, moment in view.scrapes.items():
            if run.expected.shadowed(device, moment) not in (None, at in shadowed):
                wrong.append(f"shadowed is {at in shadowed}: {run.story(device.name, at)}")
    assert not wrong, wrong
    behind = {f"branch-02-{what}" for what in ("rt1", "fw1", "sw1", "sw2", "atm1", "atm2", "srv1", "srv2")}
    assert {device for device, reason in marks if reason == "shadowed"} == behind | {
        "branch-60-sw1",
        "branch-60-sw2",
    }
    sites = {series.labels["site"]: dict(series.points) for series in view.raw("ward_site_isolated")}
    for site, points in sites.items():
        for at, isolated in points.items():
            if run.expected.isolated(site, view.scrapes[at]) not in (None, bool(isolated)):
                wrong.append(f"{site}: isolated is {isolated:g}")
    assert not wrong, wrong
    assert {site for site, points in sites.items() if 1 in points.values()} == {"branch-02", "branch-50"}
    flapping = view.by_device("ward_device_flapping")
    for (marked, reason), points in marks.items():
        if reason == "flapping":
            assert set(points) == {at for at, value in flapping[marked].items() if value}
    assert set(view.one("ward_mass_outage").values()) == {0}


@every_view
def test_a_change_of_route_is_counted(run: Run, name: str) -> None:
    """A step of the replies' TTL counts as one path change of that device, and of no other."""
    view = run.views[name]
    changes = {
        device: max(points.values()) for device, points in view.by_device("ward_device_path_changes_total").items()
    }
    assert {device: count for device, count in changes.items() if count} == {REROUTED.device: 1}
    ttls = view.by_device("ward_device_reply_ttl")[REROUTED.device]
    assert list(dict.fromkeys(ttls.values())) == [64, REROUTED.ttl]


@every_view
def test_probes_are_counted_exactly(run: Run, name: str) -> None:
    """In every scrape each device has as many probes as the network had seen, but for those under way."""
    view, short, over = run.views[name], defaultdict[float, float](float), []
    for device, points in view.by_device("ward_device_probes_sent_total").items():
        arrived = run.arrivals[device]
        for at, probes in points.items():
            over += [run.story(device, at)] * (probes > bisect(arrived, view.scrapes[at].end + CLOCK_ERROR))
            short[at] += max(0, bisect(arrived, at - TIMEOUT - LATENESS) - probes)
    assert not over, f"more probes than the network has seen: {over}"
    void = view.one("ward_probe_void_total")
    unexplained = {at: count for at, count in short.items() if count > void[at]}
    assert not unexplained, (
        f"probes missing, and void ones: {[(count, void[at]) for at, count in unexplained.items()]}"
    )
    if any(void.values()):
        print(f"{name}: {max(void.values()):g} probes void: the machine held the loop up")
    for metric in ("receive_buffer_drops", "foreign_replies", "invalid_replies"):
        assert set(view.one(f"ward_probe_{metric}_total").values()) == {0}, metric
    assert not any(series.points[-1][1] for series in view.raw("ward_probe_send_errors_total"))


@every_view
def test_losses_are_the_networks_own(run: Run, name: str) -> None:
    """Each device lost what the network dropped, answered late or refused: not one probe more."""
    view, wrong = run.views[name], []
    last = max(view.scrapes)
    void = view.one("ward_probe_void_total")[last]
    sent, replies, late, duplicates = (
        view.by_device(f"ward_device_{metric}_total")
        for metric in ("probes_sent", "replies", "late_replies", "duplicate_replies")
    )
    for device, truth in run.truths.items():
        lost = truth.dropped_loss + truth.dropped_outage + truth.errors
        under_way = len(truth.arrivals) - bisect(run.arrivals[device], last - TIMEOUT - LATENESS)
        excused = run.excused(device)
        found = {at: probes - replies[device][at] for at, probes in sent[device].items()}
        # No scrape at all may show a loss that was none, not even for the time until the next one.
        if not lost - under_way - void <= found[last] <= max(found.values()) <= lost + excused:
            wrong.append(f"lost {found}, in truth {lost}, {under_way} under way: {run.story(device, last)}")
        if not truth.replies - under_way - void - excused <= replies[device][last] <= truth.replies:
            wrong.append(f"{replies[device][last]:g} replies, in truth {truth.replies}: {run.story(device, last)}")
        if late[device][last] > excused or duplicates[device][last]:
            wrong.append(f"{late[device][last]:g} late, {duplicates[device][last]:g} duplicates: {device}")
    assert not wrong, wrong
    assert sum(run.truths[device.name].dropped_loss for device in run.devices) > 20, "too little was lost to tell"


@every_view
def test_loss_as_a_rule_asks_for_it(run: Run, name: str) -> None:
    """1 - increase(replies) / increase(probes) is 0 where nothing was lost, and the network's loss where it was."""
    view = run.views[name]
    replies, probes = (
        f"increase(ward_device_{metric}_total{{SELECT}}[2m])" for metric in ("replies", "probes_sent")
    )
    ratios = {sample.labels["device"]: sample.value for sample in view.query(f"1 - {replies} / {probes}")}
    assert len(ratios) == len(run.devices)
    for device, truth in run.truths.items():
        lost = truth.dropped_loss + truth.dropped_outage + truth.errors
        # What was under way at either edge of the range, and before its first scrape.
        edge = 0 if lost == 0 else min(lost, 8)
        margin = (edge + run.excused(device)) / (SECONDS - 2 * SCRAPE_INTERVAL)
        assert abs(ratios[device] - lost / truth.requests) <= margin + 1e-9, (
            f"{ratios[device]:.4f}, in truth {lost} of {truth.requests}: {device}"
        )


@every_view
def test_round_trips_are_the_networks_own(run: Run, name: str) -> None:
    """The mean RTT of each device, from its two counters, is what the network made it wait."""
    view = run.views[name]
    last = max(view.scrapes)
    replies, totals = (view.by_device(f"ward_device_{metric}_total") for metric in ("replies", "rtt_seconds"))
    errors = {}
    for device, truth in run.truths.items():
        count = int(replies[device][last])
        errors[device] = totals[device][last] / count - statistics.fmean(truth.delays[:count])
    quarter, half, _ = statistics.quantiles(errors.values())
    worst = max(errors, key=lambda device: errors[device])
    found = (quarter, half, errors[worst])
    told = f"ms, for a quarter, half and all: {[round(error * 1e3, 3) for error in found]}; worst: {worst}"
    assert min(errors.values()) > -CLOCK_ERROR, f"a round trip shorter than the network's delay; {told}"
    assert all(error < limit for error, limit in zip(found, RTT_ERRORS, strict=True)), told


@every_generation
def test_promtool_finds_nothing_on_the_page(run: Run, generation: Generation) -> None:
    """`promtool check metrics` has no word to say about a page with everything on it."""
    assert b"ward_device_down_reason{" in run.page
    assert b"ward_device_suppressed{" in run.page
    done = subprocess.run(
        [program("promtool", generation), "check", "metrics"], input=run.page, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_the_exporter_has_nothing_to_complain_of(run: Run) -> None:
    """Outages, errors and six scrapers are no reason for a warning in its log."""
    assert run.log == ""


@every_prometheus
@pytest.mark.parametrize("role", views.DISCOVERED)
def test_prometheus_discovers_the_devices(run: Run, name: str, role: str) -> None:
    """http_sd on /sd gives Prometheus every device of a role, with its labels, and no other."""
    keys = ("device", "address", "site", "role", "priority", "region")
    found = [{key: target.get(key) for key in keys} for target in run.views[name].targets(f"discovered-{role}")]
    expected = [
        {
            **{"device": device.name, "address": device.address, "site": device.site, "role": role},
            **{"priority": "0" if role == "isp" else "3", "region": "Tbilisi"},
        }
        for device in run.devices
        if device.role == role
    ]
    assert sorted(found, key=str) == sorted(expected, key=str)
