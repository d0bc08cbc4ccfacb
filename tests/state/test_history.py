"""The history of events: what is told, what is not, and that it is bounded and outlives a restart."""

from __future__ import annotations

from pathlib import Path

from exporter.inventory.device import Site
from exporter.state import snapshot
from exporter.state.columns import row_map
from exporter.state.history import MOST
from tests.state.driver import Driver, device

MASS = [device(f"d{number}") for number in range(10)]


def told(driver: Driver) -> list[tuple[str, str]]:
    return [(event.kind, event.subject) for event in driver.verdicts.history.events()]


def test_verdicts_are_told() -> None:
    """A device that goes down or comes up is an event with its reason and how long it was otherwise; the first
    verdict after a start is one only if it is down."""
    driver = Driver([device("a"), device("b")])
    driver.play(a="+++----++", b="---++++++")
    events = driver.verdicts.history.events()
    found = [(one.kind, one.subject, one.reason, one.lasted, one.at - 1_700_000_000) for one in events]
    assert found == [
        ("down", "b", "timeout", 0.0, 2.0),
        ("up", "b", "", 2.0, 4.0),
        ("down", "a", "timeout", 5.0, 5.0),
        ("up", "a", "", 3.0, 8.0),
    ]
    assert [one.number for one in events] == [1, 2, 3, 4]


def test_consequences_are_told() -> None:
    """Flapping, a site without links and a mass outage begin and end in the history too."""
    driver = Driver([device("isp", role="isp", site="s"), device("sw", site="s"), *MASS], [Site(name="s")])
    others = [one.name for one in MASS]
    driver.settle(up=driver.row)
    driver.settle(up=["sw", *others], down=["isp"], seconds=4)
    driver.settle(up=["sw", "isp", *others])
    assert told(driver) == [("down", "isp"), ("isolated", "s"), ("up", "isp"), ("connected", "s")]
    driver.settle(up=["isp", "sw"], down=others, seconds=4)
    assert told(driver)[-1] == ("mass_outage", "")
    driver.settle(up=driver.row)
    assert told(driver)[-1] == ("mass_outage_over", "")
    for letter in "---++---++---++":
        driver.second({"sw": letter})
    assert told(driver).count(("flapping", "sw")) == 1
    driver.wait(400)
    assert told(driver)[-1] == ("steady", "sw")


def test_it_is_bounded() -> None:
    """Ten thousand devices that go down at once leave the newest events only, and no gap in their numbers."""
    driver = Driver([device(f"d{number}") for number in range(10 * MOST)])
    driver.settle(up=driver.row)
    driver.settle(down=driver.row)
    events = driver.verdicts.history.events()
    assert len(events) == len(driver.verdicts.history.lines()) == MOST
    numbers = [one.number for one in events]
    assert numbers == list(range(numbers[0], numbers[0] + MOST))
    assert ("down", f"d{10 * MOST - 1}") in told(driver)


def test_a_reload_keeps_it() -> None:
    """Another inventory goes on with the same events, and what was so before is no news."""
    devices = [device("isp", role="isp", site="s"), device("sw", site="s")]
    driver = Driver(devices, [Site(name="s")])
    driver.settle(up=driver.row)
    driver.settle(up=["sw"], down=["isp"], seconds=4)
    before = told(driver)
    new = Driver([device("new", site="a"), *devices], [Site(name="a"), Site(name="s")], start=driver.clock)
    new.verdicts.copy_from(driver.verdicts, row_map(devices, new.inventory.devices))
    new.settle(up=["sw", "new"], down=["isp"], seconds=2)
    assert told(new) == before
    new.settle(up=["sw", "new", "isp"])
    assert told(new) == [*before, ("up", "isp"), ("connected", "s")]


def test_a_restart_keeps_it(tmp_path: Path) -> None:
    """The events of the last run are there after a restart, and the numbers go on."""
    driver = Driver([device("a"), device('ს/"ახელი\n')])
    driver.settle(up=driver.row)
    driver.settle(down=driver.row)
    snapshot.save(tmp_path, snapshot.capture(driver.verdicts, snapshot.identity(driver.verdicts)))
    state = snapshot.load(tmp_path)
    assert state is not None
    again = Driver(driver.inventory.devices, start=driver.clock)
    snapshot.restore(again.verdicts, state)
    assert again.verdicts.history.events() == driver.verdicts.history.events()
    again.settle(up=again.row)
    assert [event.number for event in again.verdicts.history.events()] == [1, 2, 3, 4]


def test_a_snapshot_of_before_there_was_a_history(tmp_path: Path) -> None:
    """A state that an older version has saved is read as one without events."""
    driver = Driver([device("a")])
    driver.settle(up=driver.row)
    snapshot.save(tmp_path, snapshot.capture(driver.verdicts, snapshot.identity(driver.verdicts)))
    path = tmp_path / snapshot.NAME
    older = path.read_bytes().replace(b', "events": 2', b"")
    content = older[older.index(b"\n") + 1 :]
    path.write_bytes(snapshot._FORMAT + b"%08x\n" % snapshot.zlib.crc32(content) + content)
    state = snapshot.load(tmp_path)
    assert state is not None
    assert state.events == ()
