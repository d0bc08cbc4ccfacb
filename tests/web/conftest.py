"""A site with devices in every state, served."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from exporter.inventory.device import Site
from tests.state.driver import Driver, device
from tests.web.site import NASTY, Backend, Web


@pytest.fixture
def driver() -> Driver:
    found = Driver(
        [
            device("isp-a", role="isp", priority=0, site="s", provider="magti", labels=(("rack", "a3"),)),
            device("a/b c", role="router", site="s", region="r", parent="isp-a", latitude=41.5, longitude=0.0),
            device("თბილისი", address="fd00::5", role="switch"),
            device(NASTY, role=NASTY),
            device("new"),
        ],
        [Site(name="s", region="r")],
    )
    for letters in ("++++", "+-+-", "+-+-", "+-+-"):
        found.second(dict(zip(found.row, letters, strict=False)))
    return found


@pytest.fixture
def site(driver: Driver) -> Iterator[Web]:
    running = Web(Backend(driver))
    yield running
    running.close()
