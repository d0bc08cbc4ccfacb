"""The page as a whole: what stands on it, in the format that every reader takes."""

from __future__ import annotations

import re
import subprocess

import prometheus_client
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.parser import text_string_to_metric_families

from exporter.exposition import families
from exporter.exposition.devices import DeviceText
from exporter.exposition.text import Family, block, by_label, escape, labels, single
from exporter.icmp.packet import REASONS
from exporter.inventory.device import Device
from exporter.state.columns import BUCKETS
from tests.exposition.pages import NASTY, Block, page, read, rich
from tests.servers import Generation, generations, program
from tests.state.driver import Driver, device

FOREIGN = ("process_", "python_")


@pytest.fixture(scope="module")
def text() -> str:
    return page(rich())


@pytest.fixture(scope="module")
def blocks(text: str) -> dict[str, Block]:
    return read(text)


def test_families_are_whole_and_once(blocks: dict[str, Block]) -> None:
    """Every declared family and no other is there, once, HELP and TYPE before all of its lines, in order."""
    own = [name for name in blocks if not name.startswith(FOREIGN)]
    assert own == [family.name for family in families.ALL]
    for family in families.ALL:
        assert (blocks[family.name].kind, blocks[family.name].help) == (family.kind, family.help)
        assert blocks[family.name].samples, f"nothing is proved of {family.name}"


def test_labels_are_those_declared(blocks: dict[str, Block]) -> None:
    """Each series carries exactly its family's labels, in order; device info the inventory's own behind them."""
    for family in families.ALL:
        for sample in blocks[family.name].samples:
            names = tuple(name for name, _ in sample.labels)
            if family is families.DEVICE_INFO:
                assert names[: len(family.labels)] == family.labels
                assert names[len(family.labels) :] in ((), ("rack", "note"))
            elif family is families.HISTOGRAM and not sample.name.endswith("_bucket"):
                assert (*names, "le") == family.labels
            else:
                assert names == family.labels


def test_names_follow_the_conventions() -> None:
    """Counters end in _total and nothing else does; times are in seconds, shares are ratios; names are unique."""
    names = [family.name for family in families.ALL]
    assert len(set(names)) == len(names)
    for family in families.ALL:
        assert family.name.startswith("ward_")
        assert family.name.endswith("_total") == (family.kind == "counter")
        assert family.kind in ("counter", "gauge", "histogram")
        assert re.fullmatch(r"[A-Z1].*\.", family.help)
        assert "\\" not in family.help
        assert not re.search(r"_(ms|milliseconds|percent|minutes)(_|$)", family.name)


def test_the_values(blocks: dict[str, Block]) -> None:
    """What the verdicts say is what the page says: states, reasons, suppression, gauges, counters."""

    def by_device(family: Family) -> dict[str, float]:
        return {dict(sample.labels)["device"]: sample.value for sample in blocks[family.name].samples}

    isp, nasty = "tbilisi-01-isp-a", NASTY.replace("\ud800", "\ufffd")
    assert by_device(families.UP) == {isp: 0, "switch": 0, nasty: 0}
    assert by_device(families.LOSS) == {isp: 0.6, "switch": 0.3, nasty: 0.3}
    assert by_device(families.RTT) == {isp: 0.01, "switch": 0.01, nasty: 0.01}
    assert by_device(families.JITTER)[isp] == 0
    assert by_device(families.FLAPPING) == {isp: 1, "switch": 0, nasty: 0}
    assert by_device(families.PROBES) == {isp: 10, "switch": 10, nasty: 10}
    assert by_device(families.REPLIES) == {isp: 4, "switch": 7, nasty: 7}
    assert by_device(families.RTT_TOTAL)[isp] == 0.04
    assert by_device(families.CHANGES) == {isp: 3, "switch": 1, nasty: 1}
    assert by_device(families.LAST_CHANGE)[isp] == 1_700_000_009
    assert by_device(families.LAST_REPLY)[isp] == 1_700_000_006
    assert by_device(families.RTT_THRESHOLD) == {isp: 0.1, "switch": 0.2, nasty: 0.2, "new": 0.2}
    assert by_device(families.LOSS_THRESHOLD) == {isp: 0.05, "switch": 0.1, nasty: 0.1, "new": 0.1}
    suppressed = {
        (dict(s.labels)["device"], dict(s.labels)["reason"]) for s in blocks["ward_device_suppressed"].samples
    }
    assert suppressed == {(isp, "flapping"), ("switch", "shadowed"), (nasty, "shadowed")}
    reasons = {dict(sample.labels)["reason"] for sample in blocks["ward_device_down_reason"].samples}
    assert reasons == {"timeout"}
    sites = {dict(sample.labels)["site"]: sample.value for sample in blocks["ward_site_isolated"].samples}
    assert sites == {"tbilisi-01": 1, "ბათუმი": 0}
    assert blocks["ward_probe_send_errors_total"].values() == {(("errno", "ENOBUFS"),): 7, (("errno", "EPERM"),): 1}
    assert blocks["ward_inventory_devices"].values() == {(): 4}
    info = dict(blocks["ward_device_info"].samples[0].labels)
    assert (info["latitude"], info["longitude"]) == ("41.72", "-44.78")
    assert dict(blocks["ward_device_info"].samples[1].labels)["latitude"] == ""


def test_absent_before_the_first_verdict(blocks: dict[str, Block]) -> None:
    """A device that is not known yet has what the inventory says of it, and no series about its state at all."""
    static = {"ward_device_rtt_threshold_seconds", "ward_device_packet_loss_threshold_ratio", "ward_device_info"}
    shown = {name for name, one in blocks.items() for sample in one.samples if ("device", "new") in sample.labels}
    assert shown == static


def test_no_gauge_without_a_measurement() -> None:
    """A device that has never answered has a state, a loss and counters, but no RTT, jitter or TTL."""
    driver = Driver([device("a")])
    driver.settle(down=["a"])
    found = read(page(driver))
    assert found["ward_device_up"].samples[0].value == 0
    assert found["ward_device_packet_loss_ratio"].samples[0].value == 1
    assert found["ward_device_last_reply_timestamp_seconds"].samples[0].value == 0
    for name in ("rtt_seconds", "rtt_min_seconds", "rtt_max_seconds", "jitter_seconds", "reply_ttl", "suppressed"):
        assert found[f"ward_device_{name}"].samples == []


def test_every_reason_has_a_name() -> None:
    """Each reason for a loss shows as the label `reason`."""
    for reason in REASONS[1:]:
        driver = Driver([device("a")])
        for _ in range(3):
            driver.send()
            driver.lose(["a"], reason)
        (sample,) = read(page(driver))["ward_device_down_reason"].samples
        assert dict(sample.labels)["reason"] == reason


def test_histogram_buckets_are_cumulative(blocks: dict[str, Block]) -> None:
    """Buckets grow up to +Inf, which is the count; the sum is that of the RTTs."""
    samples = blocks["ward_device_rtt_histogram_seconds"].samples
    for name, total, number in (("tbilisi-01-isp-a", 0.04, 4), ("switch", 0.07, 7)):
        mine = [sample for sample in samples if ("device", name) in sample.labels]
        buckets = [sample for sample in mine if sample.name.endswith("_bucket")]
        assert [float(dict(sample.labels)["le"]) for sample in buckets] == [*BUCKETS, float("inf")]
        values = [sample.value for sample in buckets]
        assert values == sorted(values)
        assert values[BUCKETS.index(0.005)] == 0
        assert values[BUCKETS.index(0.01)] == values[-1] == number
        assert [sample.value for sample in mine[-2:]] == [total, number]
        assert [sample.name.rpartition("_")[2] for sample in mine[-2:]] == ["sum", "count"]


def test_no_histogram_without_a_wish() -> None:
    """Where no class asks for histograms the family is not there."""
    assert "ward_device_rtt_histogram_seconds" not in page(Driver([device("a")]))


def test_prometheus_client_reads_the_same(text: str, blocks: dict[str, Block]) -> None:
    """Its parser finds the same samples with the same labels and values as ours."""
    theirs = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    ours = {sample.series: sample.value for one in blocks.values() for sample in one.samples}
    assert theirs == ours


@pytest.mark.parametrize("generation", generations(), ids=lambda one: one.name)
def test_promtool_has_nothing_to_say(generation: Generation, text: str) -> None:
    """`promtool check metrics` is silent, but for the one opt-in family whose name says what it is."""
    assert complaints(generation, page(Driver([device("a")]))) == []
    (only,) = complaints(generation, text)
    assert only.startswith("ward_device_rtt_histogram_seconds metric name should not include type 'histogram'")


def complaints(generation: Generation, text: str) -> list[str]:
    done = subprocess.run(
        [program("promtool", generation), "check", "metrics"],
        input=text.encode(),
        capture_output=True,
        check=False,
        timeout=60,
    )
    return (done.stdout + done.stderr).decode().splitlines()


def test_lines_are_those_of_prometheus_client(blocks: dict[str, Block]) -> None:
    """A label set is written as prometheus_client writes it, to the byte, and a value reads back as the same."""
    checked = 0
    for family in families.ALL:
        if family.kind == "histogram":
            continue
        for sample in blocks[family.name].samples:
            pairs = dict(sample.labels)
            registry = CollectorRegistry()
            gauge = Gauge(family.name, family.help, list(pairs), registry=registry)
            (gauge.labels(**pairs) if pairs else gauge).set(sample.value)
            theirs = prometheus_client.generate_latest(registry).decode().splitlines()
            # They sort labels by name.
            ours = f"{family.name}{labels(sorted(pairs.items()))} "
            assert theirs[-1].startswith(ours)
            assert float(theirs[-1].removeprefix(ours)) == sample.value
            assert theirs[0] == f"# HELP {family.name} {family.help}"
            checked += 1
    assert checked > 60


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(codec="utf-8") | st.sampled_from('\\"\n\r\t\x00 საqn{},=')))
def test_any_text_survives_as_a_label(value: str) -> None:
    """Whatever text a label holds, a reader gets it back, and it never breaks the line."""
    written = block(Family("m", "gauge", "H.", ("a", "b")), [labels([("a", value), ("b", "x")])], [1]).decode()
    assert written.count("\n") == 3
    (sample,) = read(written)["m"].samples
    assert sample.labels == (("a", value), ("b", "x"))
    assert written.isascii() == value.isascii()


def test_escaping() -> None:
    """Backslash, quote and newline are escaped, and a lone surrogate, which UTF-8 cannot hold, is replaced."""
    assert escape('a\\b"c\nd') == 'a\\\\b\\"c\\nd'
    assert escape("საქართველო\ud800\udfff!") == "საქართველო\ufffd\ufffd!"
    assert escape("\\n") == "\\\\n"
    assert labels([]) == ""


def test_numbers_keep_their_digits() -> None:
    """Large counters are written whole, small RTTs without a needless digit, and nothing as nan."""
    assert single(Family("m", "gauge", "H."), 2**62).endswith(b"m 4611686018427387904\n")
    assert by_label(Family("m", "gauge", "H.", ("a",)), {"x": 1.27e-05}).endswith(b'm{a="x"} 1.27e-05\n')
    driver = Driver([device("a")])
    driver.send()
    driver.reply(["a"], rtt=0.0123456789)
    driver.evaluate()
    found = page(driver)
    assert read(found)["ward_device_rtt_seconds_total"].samples[0].line.endswith(" 0.0123457")
    assert not re.search(r" (nan|inf)$", found, re.MULTILINE | re.IGNORECASE)


def test_large_families_come_in_pieces_and_whole() -> None:
    """An inventory larger than what is put together at a time has every line once."""
    devices = [Device(name=f"d{number}", address="10.0.0.1", site="ს") for number in range(9000)]
    driver = Driver(devices)
    driver.settle(up=[f"d{number}" for number in range(0, 9000, 2)], seconds=1)
    found = read(b"".join(DeviceText(driver.verdicts, driver.topology.site_names).render()).decode())
    assert [dict(sample.labels)["device"] for sample in found["ward_device_up"].samples] == [
        f"d{n}" for n in range(0, 9000, 2)
    ]
    assert [dict(sample.labels)["device"] for sample in found["ward_device_info"].samples] == [
        f"d{n}" for n in range(9000)
    ]


def test_probes_and_replies_are_of_one_moment() -> None:
    """Rendered while the probe thread counts, an answered probe never looks lost."""
    driver = Driver([device(f"d{number}") for number in range(500)])
    driver.settle(up=driver.row, seconds=1)
    columns = driver.verdicts.columns
    # Each family is rendered when it is asked for: here a probe is answered between any two of them.
    parts = []
    for part in DeviceText(driver.verdicts, ()).render():
        columns.probes[:] += 1
        columns.replies[:] += 1
        parts.append(part)
    found = read(b"".join(parts).decode())
    probes, replies = (found[f"ward_device_{name}_total"].values() for name in ("probes_sent", "replies"))
    assert probes == replies
