"""Crowds against the whole exporter: whatever they do, a scrape is answered, and the probe loop goes on."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.serving import Serving, until
from tests.web.security.crowds import SCRAPES, inventory, scrapes, silent

#: Enough for pages of megabytes; how long it takes with more is in docs/security.md.
DEVICES = 1000


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(tmp_path_factory.mktemp("crowds")) as found:
        inventory(found, DEVICES)
        yield found.start_ready()


def sent(serving: Serving) -> int:
    (line,) = re.findall(rb"^ward_probe_packets_sent_total (\d+)", serving.ask("/metrics").body, re.MULTILINE)
    return int(line)


def test_silent_sockets_keep_nobody_out(serving: Serving) -> None:
    """2,000 sockets that send half a header or nothing, and come again when cut off: each scrape is answered."""
    with silent(serving.port):
        for _ in range(5):
            answer = serving.ask("/metrics")
            assert (answer.status, answer.body.count(b"\nward_device_up{")) == (200, DEVICES)
        assert serving.ask("/-/healthy").status == 200


def test_scrapes_that_come_together(serving: Serving) -> None:
    """Of 500 at once each gets a whole page or a 503: none is cut off or left waiting."""
    before = sent(serving)
    found = scrapes(serving.port, packed=False)
    assert found.outcomes.keys() <= {"200", "503"}
    assert found.outcomes["200"] >= 1
    assert sum(found.outcomes.values()) == SCRAPES
    # The loop sends on, whatever is being served.
    until(lambda: sent(serving) >= before + DEVICES)
