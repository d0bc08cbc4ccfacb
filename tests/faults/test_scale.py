"""An inventory of thousands: scrapers that hardly read its page, and its swap for one of ten."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from bench.exporter import Metrics
from tests.faults.causes import ROOT
from tests.faults.patient import CHANGES, PROBES, REPLIES
from tests.faults.scale import FEW, write
from tests.serving import Serving, until

MANY = 3000


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """The ten devices that stay, and thousands more."""
    with Serving(tmp_path_factory.mktemp("many")) as found:
        found.configure("probe: {interval: 1s, timeout: 1s}\n", "inventory: [{file: devices.csv}]\n")
        write(found, MANY)
        yield found.start_ready()


def metrics(serving: Serving) -> Metrics:
    answer = serving.ask("/metrics")
    assert answer.status == 200
    return Metrics(answer.body)


def test_scrapers_that_read_a_byte_a_second(serving: Serving) -> None:
    """More of them than are answered at once, and again when they are cut off: each scrape has its page."""
    command = [sys.executable, "-m", "tests.faults.drip", str(serving.port), "60", "60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as drip:
        try:
            assert drip.stdout is not None
            assert drip.stdout.readline() == "reading\n"
            for _ in range(3):
                answer = serving.ask("/metrics")
                assert (answer.status, answer.body.count(b"\nward_device_up{")) == (200, MANY + len(FEW))
        finally:
            drip.kill()


def test_thousands_swapped_for_ten(serving: Serving) -> None:
    """The ten keep their counters and lose no probe, nothing of the others is left, and back they come as new."""
    before = metrics(serving)
    write(serving, 0)
    assert serving.reload().status == 200
    page = metrics(serving)
    assert page.by_device("ward_device_up") == dict.fromkeys(FEW, 1)
    assert len(page.text) < 100_000
    write(serving, MANY)
    assert serving.reload().status == 200
    until(lambda: len(metrics(serving).by_device("ward_device_up")) == MANY + len(FEW), 30)
    page = metrics(serving)
    assert max(page.by_device(CHANGES).values()) == 0
    probes, replies, former = (
        one.by_device(name) for one, name in ((page, PROBES), (page, REPLIES), (before, REPLIES))
    )
    for name in FEW:
        assert probes[name] == replies[name] >= former[name] > 0
