"""The exporter's side of the benches."""

from __future__ import annotations

import time

import pytest

from bench import cost
from bench.__main__ import BENCHES, main
from bench.exporter import Metrics, exporter
from bench.inventory import loopback

PAGE = b"""\
# HELP ward_device_up text
# TYPE ward_device_up gauge
ward_device_up{device="a",address="127.0.0.1"} 1
ward_device_up{device="b",address="127.0.0.2"} 0
# HELP ward_device_up_and_more text
# TYPE ward_device_up_and_more gauge
ward_device_up_and_more{device="a",address="127.0.0.1"} 7
# HELP last text
# TYPE last counter
last 2.5e+03
"""


def test_a_family_is_read_without_its_neighbours() -> None:
    """A name that starts another one, and the last family of the page, are read as themselves."""
    metrics = Metrics(PAGE)
    assert metrics.by_device("ward_device_up") == {"a": 1, "b": 0}
    assert metrics.total("ward_device_up_and_more") == 7
    assert metrics.total("last") == 2500
    with pytest.raises(LookupError, match="no ward_device"):
        metrics.total("ward_device")


def test_the_exporter_is_run_with_the_inventory_asked_for() -> None:
    """Once ready it has probed every device, and tells the round trips of each."""
    with exporter(loopback(12)) as running:
        deadline = time.monotonic() + 20
        while len(up := running.metrics().by_device("ward_device_up")) < 12:
            assert time.monotonic() < deadline, running.log_text()
            time.sleep(0.1)
        assert set(up.values()) == {1}
        assert all(0 < rtt < 1 for rtt in running.recent("dev-000000"))


def test_cost_is_of_the_probes_that_were_sent() -> None:
    """CPU and memory of a small inventory are of a small exporter's size."""
    found = cost.measure(50, 1.0)
    assert 0 <= found.cores < 1
    assert found.us_per_probe == pytest.approx(found.cores / 50 * 1e6, rel=0.5)
    assert 10 < found.megabytes < 200


def test_an_unknown_bench_is_refused_with_the_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt name ends with the usage, before anything is measured."""
    monkeypatch.setattr("sys.argv", ["bench", "cpu", "start"])
    with pytest.raises(SystemExit, match="2"):
        main()
    said = capsys.readouterr().err
    assert "no such bench: cpu" in said
    assert all(name in said for name in BENCHES)
