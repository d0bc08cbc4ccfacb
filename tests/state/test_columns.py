"""A reload keeps what is known of each device that stays, and of no other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.inventory.device import Limits
from exporter.state.columns import FIELDS, row_map
from tests.state.driver import SHIPPED, Driver, device


def before() -> Driver:
    """Devices with a past: up, down, flapping, and each with numbers of its own."""
    flaps = Limits(flap_changes=2)
    driver = Driver(
        [
            device(name, histogram=name != "up", limits=flaps)
            for name in ("up", "down", "flapping", "leaves", "moves")
        ]
    )
    driver.play(up="+++++++", down="+++.---", flapping="+---+++", leaves="+++++++", moves="+---+++")
    return driver


def go_over(old: Driver, devices: list[str], **fields: object) -> Driver:
    known = {one.name: one for one in old.inventory.devices}
    new = Driver([known.get(name) or device(name, **fields) for name in devices], start=old.clock)
    new.verdicts.copy_from(old.verdicts, row_map(old.inventory.devices, new.inventory.devices))
    new.cycle = old.cycle
    return new


def facts(driver: Driver, name: str) -> dict[str, object]:
    """All that is known of a device, wherever its row is."""
    row, verdicts = driver.row[name], driver.verdicts
    place = int(verdicts.columns.histogram_row[row])
    return {
        **{field: getattr(verdicts.columns, field)[row] for field in FIELDS},
        "histogram": None if place < 0 else verdicts.columns.histogram[place].tolist(),
        "sum": None if place < 0 else verdicts.columns.histogram_sum[place],
        "flaps": list(verdicts.flaps.get(row, ())),
        "recent": verdicts.window.recent(row),
    }


def test_a_device_that_stays_keeps_all() -> None:
    """Same name and address: verdict, streaks, counters, flaps, histogram and window, whatever the row is."""
    old = before()
    new = go_over(old, ["fresh", "flapping", "down", "another", "up"])
    for name in ("up", "down", "flapping"):
        assert facts(new, name) == facts(old, name)
    assert new.state("down") == "down"
    assert new.value("flapping", "flapping")
    assert new.value("flapping", "down") == 0


def test_a_device_that_comes_is_unknown() -> None:
    """A new device inherits nothing from the row that it takes over."""
    new = go_over(before(), ["fresh", "flapping", "down", "another", "up"])
    empty = facts(Driver([device("fresh")]), "fresh")
    assert facts(new, "fresh") == empty
    assert facts(new, "another") == empty


def test_a_device_whose_address_has_changed_starts_anew() -> None:
    """The same name elsewhere is another device: its counters begin at 0 and it has no verdict."""
    old = before()
    moved = replace(old.inventory.devices[old.row["moves"]], address="10.9.9.9")
    new = Driver([old.inventory.devices[0], moved], start=old.clock)
    new.verdicts.copy_from(old.verdicts, row_map(old.inventory.devices, new.inventory.devices))
    assert new.state("moves") == "unknown"
    assert new.value("probes", "moves") == 0
    assert new.verdicts.flaps == {}
    assert facts(new, "up") == facts(old, "up")


def test_other_facts_may_change() -> None:
    """A device that only gets another site, role or limit is the same device."""
    old = before()
    changed = [replace(one, site="s", role="atm", limits=Limits(flap_changes=9)) for one in old.inventory.devices]
    new = Driver(changed, start=old.clock)
    new.verdicts.copy_from(old.verdicts, row_map(old.inventory.devices, new.inventory.devices))
    assert all(facts(new, name) == facts(old, name) for name in old.row)


def test_streaks_go_on() -> None:
    """Losses before and after a reload are one streak."""
    old = before()
    old.play(up="--")
    new = go_over(old, ["up"])
    new.play(up="-")
    assert new.state("up") == "down"


def test_a_late_loss_after_a_reload() -> None:
    """Which cycle was answered last is carried over too: an older loss is still no outage."""
    old = before()
    new = go_over(old, ["up"])
    for cycle in range(3):
        new.lose(["up"], cycle=cycle)
    assert new.value("loss_streak", "up") == 0


def test_the_reference_moves_along() -> None:
    """The loop's own reference, the last row, keeps its numbers."""
    old = before()
    last = old.verdicts.columns.count - 1
    old.verdicts.columns.probes[last] = 77
    assert go_over(old, ["up"]).verdicts.columns.probes[1] == 77


def test_flaps_outside_a_shorter_window_are_forgotten() -> None:
    """After a reload that shortens the flap window, what lies outside it counts no more."""
    old = before()
    new = Driver(old.inventory.devices, rules=SHIPPED._replace(flap_window=10.0), start=old.clock)
    new.verdicts.copy_from(old.verdicts, row_map(old.inventory.devices, new.inventory.devices))
    new.wait(11)
    assert new.verdicts.flaps == {}
    assert not new.verdicts.columns.flapping.any()


@pytest.mark.parametrize("histogram", [True, False])
def test_histograms_come_and_go(histogram: bool) -> None:
    """A histogram that is asked for by a reload starts empty; one that is asked for no more is gone."""
    old = Driver([device("a", histogram=not histogram)])
    old.play(a="+++")
    new = Driver([device("a", histogram=histogram)], start=old.clock)
    new.verdicts.copy_from(old.verdicts, row_map(old.inventory.devices, new.inventory.devices))
    assert new.verdicts.columns.histogram.shape[0] == histogram
    assert new.verdicts.columns.histogram.sum() == 0
    assert new.value("replies", "a") == 3
