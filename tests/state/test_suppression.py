"""Which devices alerts are noise about: shadowed, mass outage, maintenance, flapping, and for how long."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from exporter.inventory.device import Device, Limits, Site, Window
from tests.state.driver import NANO, Driver, device

LINK, OTHER, ROUTER, SWITCH, SERVER = "link", "other-link", "router", "switch", "server"


def branch(**site: Any) -> Driver:
    """A site with two ISP links, a router, a switch behind it, a server behind that; and devices elsewhere."""
    devices = [
        device(LINK, role="isp", site="s"),
        device(OTHER, role="isp", site="s"),
        device(ROUTER, site="s"),
        device(SWITCH, site="s", parent=ROUTER),
        device(SERVER, site="s", parent=SWITCH),
        *(device(f"far-{number}") for number in range(9)),
    ]
    driver = Driver(devices, [Site(name="s", **site)])
    driver.settle(up=driver.row)
    return driver


def window(start: float, end: float) -> Window:
    return Window(datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC))


def test_shadowed_by_its_parent() -> None:
    """A device is shadowed when its parent goes down with it; the parent itself is not, its link being up."""
    driver = branch()
    driver.settle(down=[SWITCH, SERVER])
    assert driver.suppressed(SERVER) == {"shadowed"}
    assert driver.suppressed(SWITCH) == set()


def test_shadowed_by_the_links_of_its_site() -> None:
    """Without a parent, a device is reached through its site's ISP links: only all of them down shadow it."""
    driver = branch()
    driver.settle(down=[LINK, ROUTER])
    assert driver.suppressed(ROUTER) == set()
    assert not driver.verdicts.suppression.isolated.any()
    driver = branch()
    driver.settle(down=[LINK, OTHER, ROUTER])
    assert driver.suppressed(ROUTER) == {"shadowed"}
    assert driver.suppressed(LINK) == driver.suppressed(OTHER) == set()
    assert driver.verdicts.suppression.isolated.tolist() == [True]


def test_a_parent_counts_before_the_links() -> None:
    """A device with a parent that answers is not shadowed by its site's links."""
    driver = branch()
    driver.settle(down=[LINK, OTHER, SWITCH], up=[ROUTER])
    assert driver.suppressed(SWITCH) == set()


def test_local_uplinks() -> None:
    """A site with uplinks of its own shadows nobody, though it is isolated by its ISP links."""
    driver = branch(local_uplinks=True)
    driver.settle(down=[LINK, OTHER, ROUTER, SWITCH])
    assert driver.suppressed(ROUTER) == set()
    assert driver.suppressed(SWITCH) == {"shadowed"}
    assert driver.verdicts.suppression.isolated.tolist() == [True]


def test_a_device_that_is_up_is_never_shadowed() -> None:
    """Shadowed is for devices that are down."""
    driver = branch()
    driver.settle(down=[LINK, OTHER], up=[ROUTER])
    assert driver.suppressed(ROUTER) == set()


@pytest.mark.parametrize(("between", "expected"), [(0, {"shadowed"}), (9, {"shadowed"}), (12, set())])
def test_decided_within_ten_seconds(between: int, expected: set[str]) -> None:
    """A cause that fails within 10 s of the device explains it; a switch down before its link stays an alert."""
    driver = branch()
    driver.settle(down=[ROUTER])
    driver.wait(between - 1 if between else 0)
    driver.lose([LINK, OTHER])
    driver.lose([LINK, OTHER])
    driver.lose([LINK, OTHER])
    driver.wait(1)
    assert driver.suppressed(ROUTER) == expected
    driver.wait(120)
    assert driver.suppressed(ROUTER) == expected


def test_shadow_ends_when_the_device_is_up() -> None:
    """An answer of the device itself ends it at once."""
    driver = branch()
    driver.settle(down=[LINK, OTHER, ROUTER])
    driver.settle(up=[ROUTER], down=[LINK, OTHER], seconds=2)
    assert driver.suppressed(ROUTER) == set()


def test_shadow_outlives_its_cause_by_30_s() -> None:
    """A device has 30 s to come back after what it is reached through; then it is an alert of its own."""
    driver = branch()
    driver.settle(down=[LINK, OTHER, ROUTER])
    driver.wait(600)
    assert driver.suppressed(ROUTER) == {"shadowed"}
    driver.settle(up=[LINK], down=[OTHER, ROUTER], seconds=2)
    back = driver.clock - 1
    driver.wait(back + 30 - driver.clock)
    assert driver.suppressed(ROUTER) == {"shadowed"}
    driver.wait(2)
    assert driver.suppressed(ROUTER) == set()
    # That outage is an alert for good, though its cause may come again.
    driver.settle(down=[LINK, OTHER])
    driver.wait(60)
    assert driver.suppressed(ROUTER) == set()


def test_a_cause_that_returns_for_a_moment() -> None:
    """The 30 s begin anew when the cause comes and goes within them."""
    driver = branch()
    driver.settle(down=[LINK, OTHER, ROUTER])
    for _ in range(4):
        driver.settle(up=[LINK], seconds=2)
        driver.wait(20)
        driver.settle(down=[LINK])
    assert driver.suppressed(ROUTER) == {"shadowed"}


def many(count: int) -> Driver:
    driver = Driver([device(f"d{number}") for number in range(count)])
    driver.settle(up=driver.row)
    return driver


@pytest.mark.parametrize(
    ("count", "down", "expected"), [(10, 5, False), (10, 6, True), (11, 5, False), (11, 6, True), (9, 9, False)]
)
def test_mass_outage_is_more_than_half_of_ten(count: int, down: int, expected: bool) -> None:
    """More than half of an inventory of at least 10 devices down at once is our own side's fault."""
    driver = many(count)
    driver.settle(down=[f"d{number}" for number in range(down)])
    assert driver.verdicts.suppression.mass_outage is expected
    assert driver.suppressed("d0") == ({"mass_outage"} if expected else set())
    assert driver.suppressed(f"d{count - 1}") == ({"mass_outage"} if expected and down == count else set())


def test_mass_outage_spares_what_was_down_before() -> None:
    """A device that was down for longer than 10 s before the mass outage stays an alert of its own."""
    driver = many(12)
    driver.settle(down=["d0"])
    driver.wait(12)
    driver.settle(down=[f"d{number}" for number in range(1, 12)])
    assert driver.suppressed("d0") == set()
    assert driver.suppressed("d1") == {"mass_outage"}


def test_mass_outage_ends_with_the_device_or_after_30_s() -> None:
    """When half of the inventory is back, the rest has 30 s before it is alerts again."""
    driver = many(12)
    driver.settle(down=driver.row)
    driver.settle(up=[f"d{number}" for number in range(6)], seconds=2)
    over = driver.clock - 1
    assert not driver.verdicts.suppression.mass_outage
    assert driver.suppressed("d0") == set()
    assert driver.suppressed("d11") == {"mass_outage"}
    driver.wait(over + 30 - driver.clock)
    assert driver.suppressed("d11") == {"mass_outage"}
    driver.wait(2)
    assert driver.suppressed("d11") == set()


def test_maintenance_windows() -> None:
    """A window suppresses from its start to before its end, up or down; several windows are any of them."""
    start = 1_700_000_100.0
    devices: list[Device] = [
        device("own", maintenance=(window(start, start + 60),)),
        device("later", maintenance=(window(start + 30, start + 40),)),
        device("twice", maintenance=(window(start + 200, start + 210), window(start, start + 10))),
        device("none"),
    ]
    driver = Driver(devices)
    driver.settle(up=driver.row, seconds=1)

    def at(seconds: float) -> set[str]:
        driver.clock = start - driver.ahead + seconds
        driver.evaluate()
        return {name for name in driver.row if driver.suppressed(name) == {"maintenance"}}

    assert at(-1) == set()
    assert at(0) == {"own", "twice"}
    assert at(10) == {"own"}
    assert at(30) == {"own", "later"}
    assert at(59) == {"own"}
    assert at(60) == set()
    assert at(205) == {"twice"}


def test_several_reasons_at_once() -> None:
    """A device may be suppressed for every reason at the same time."""
    start = 1_700_000_000.0
    devices = [
        device(LINK, role="isp", site="s"),
        device(
            ROUTER,
            site="s",
            limits=Limits(flap_changes=2),
            maintenance=(window(start, start + 1000),),
        ),
        *(device(f"far-{number}") for number in range(8)),
    ]
    driver = Driver(devices, [Site(name="s")])
    driver.settle(up=driver.row)
    driver.settle(down=[ROUTER])
    driver.settle(up=[ROUTER], seconds=2)
    driver.settle(down=driver.row)
    assert driver.suppressed(ROUTER) == {"flapping", "maintenance", "shadowed", "mass_outage"}


def test_an_inventory_without_sites_and_parents() -> None:
    """Nothing is shadowed where nothing is known of how devices are reached."""
    driver = many(3)
    driver.settle(down=driver.row)
    assert all(driver.suppressed(name) == set() for name in driver.row)


def test_what_is_reached_through_a_flapping_device_does_not_flap() -> None:
    """A switch that goes down and up takes all behind it along: it alone flaps, though they change as often."""
    driver = branch()
    for _ in range(3):
        driver.settle(down=[SWITCH, SERVER])
        driver.settle(up=[SWITCH, SERVER], seconds=2)
    assert driver.value("changes", SERVER) == driver.value("changes", SWITCH) == 6
    assert driver.suppressed(SWITCH) == {"flapping"}
    assert driver.suppressed(SERVER) == set()


def test_devices_that_fall_one_after_the_other_in_a_mass_outage_never_flap() -> None:
    """A link whose last change is not long ago falls before it is known that most others fall with it: at no moment
    does it flap, so that no alert of it comes before the one for all."""
    driver = Driver(device(f"link-{number}", limits=Limits(flap_changes=2)) for number in range(10))
    driver.settle(up=driver.row)
    driver.settle(down=["link-0"])
    driver.wait(300)
    driver.settle(up=["link-0"], seconds=2)
    assert not driver.verdicts.columns.flapping.any()
    names = list(driver.row)
    driver.settle(down=names, seconds=2)
    driver.send()
    for name in names:
        driver.lose([name])
        driver.clock += 0.1
        driver.evaluate()
        assert not driver.verdicts.columns.flapping.any()
    driver.cycle += 1
    driver.settle(down=names, seconds=5)
    assert not driver.verdicts.columns.flapping.any()
    assert driver.suppressed("link-0") == {"mass_outage"}


def pair(flap_changes: int) -> Driver:
    """A switch and a server behind it, which flaps at so many changes."""
    limits = Limits(flap_changes=flap_changes)
    driver = Driver([device(SWITCH), device(SERVER, parent=SWITCH, limits=limits)])
    driver.settle(up=driver.row)
    return driver


def test_an_outage_makes_its_device_flap_a_second_later_and_no_later() -> None:
    """Flapping that begins with an outage is there before the outage's own alert, which waits for 10 s."""
    driver = pair(flap_changes=1)
    driver.settle(down=[SERVER])
    fallen = driver.verdicts.columns.down_at[driver.row[SERVER]] / NANO
    driver.clock = fallen + 0.95
    driver.evaluate()
    assert driver.suppressed(SERVER) == set()
    driver.clock = fallen + 1.06
    driver.evaluate()
    assert driver.suppressed(SERVER) == {"flapping"}


@pytest.mark.parametrize("flapped_before", [False, True])
def test_flapping_by_an_outage_that_proves_to_be_anothers_is_taken_back(flapped_before: bool) -> None:
    """An outage whose cause is seen seconds later is no change of the device; flapping of before goes on."""
    driver = pair(flap_changes=2 if flapped_before else 1)
    if flapped_before:
        driver.settle(down=[SERVER])
        driver.settle(up=[SERVER], seconds=2)
    driver.settle(down=[SERVER], seconds=5)
    assert driver.suppressed(SERVER) == {"flapping"}
    driver.settle(down=[SERVER, SWITCH], seconds=4)
    assert driver.suppressed(SERVER) == {"flapping", "shadowed"}
    driver.settle(up=[SERVER, SWITCH], seconds=2)
    assert driver.suppressed(SERVER) == ({"flapping"} if flapped_before else set())


def test_a_mass_outage_makes_nothing_flap() -> None:
    """The end of a fault on our side is no flap of every link, whose limit is one outage; its next own one is."""
    driver = Driver(device(f"link-{number}", limits=Limits(flap_changes=2)) for number in range(10))
    driver.settle(up=driver.row)
    driver.settle(down=driver.row)
    driver.settle(up=driver.row, seconds=2)
    assert not driver.verdicts.columns.flapping.any()
    driver.settle(down=["link-0"])
    driver.settle(up=["link-0"], seconds=2)
    assert driver.suppressed("link-0") == {"flapping"}
