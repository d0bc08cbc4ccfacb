"""Polls on a stepped wall clock. A poller process that is killed is in tests/snmp/test_polling.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.wall import WallClock
from tests.serving import Serving
from tests.snmp.agents import Agent
from tests.snmp.test_polling import Agents, configure, rows, snmp_page, until_polled


@pytest.mark.parametrize("step", [3600.0, -3600.0], ids=["forward", "back"])
def test_the_wall_clock_is_stepped(tmp_path: Path, step: float) -> None:
    """What was polled a moment ago is no older for it: a device that answers once a minute stays up, with all it
    said."""
    agent = Agent(rows(2))
    clock = WallClock(tmp_path / "clock")
    with Agents([agent]), Serving(tmp_path) as serving:
        configure(serving, {"sw": agent.address[1]})
        config = serving.folder / "ward.yml"
        config.write_text(config.read_text().replace("interval: 1s", "interval: 60s"))
        serving.start_ready(environment=clock.environment)
        until_polled(serving, {"sw"})
        clock.step(step)
        page = snmp_page(serving)
        assert page.value("ward_snmp_up") == 1
        assert len(page.samples("ownOctets", device="sw")) == 2
        assert serving.end() == 0
