"""The state on disk: what comes back, and that nothing else than a whole snapshot does."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.errors import SnapshotError
from exporter.inventory.device import Limits
from exporter.state import snapshot
from exporter.state.columns import FIELDS, MONOTONIC_FIELDS
from tests.state.driver import NANO, SHIPPED, Driver, device

NAMES = ("up", "down", "flapping", 'ს/"ახელი\n', "late")


class Clock:
    """Both clocks of the machine, as the snapshot sees them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall = time.time()
        self.monotonic = time.monotonic()
        monkeypatch.setattr(time, "time", lambda: self.wall)
        monkeypatch.setattr(time, "monotonic_ns", lambda: round(self.monotonic * NANO))

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def past(clock: Clock | None = None) -> Driver:
    """Devices with a past that ends now."""
    flaps = Limits(flap_changes=2)
    now = time.monotonic() if clock is None else clock.monotonic
    wall = time.time() if clock is None else clock.wall
    driver = Driver(
        [device(name, histogram=name == "up", limits=flaps) for name in NAMES], start=now - 7, wall=wall - 7
    )
    for number in range(7):
        driver.second(
            {
                "up": "+",
                "down": "+++----"[number],
                "flapping": "+---+++"[number],
                NAMES[3]: ".+++.-+"[number],
                "late": "-------"[number],
            }
        )
    driver.verdicts.late(np.array([4], np.int32))
    return driver


def again(driver: Driver) -> Driver:
    """The exporter after a restart, with the same inventory."""
    return Driver(driver.inventory.devices, start=driver.clock, wall=driver.wall)


def save(driver: Driver, folder: Path) -> None:
    snapshot.save(folder, snapshot.capture(driver.verdicts, snapshot.identity(driver.verdicts)))


def restore(driver: Driver, folder: Path) -> int:
    state = snapshot.load(folder)
    assert state is not None
    return snapshot.restore(driver.verdicts, state)


def test_round_trip(tmp_path: Path, clock: Clock) -> None:
    """Every column, the flaps and the histograms come back as they were."""
    driver = past(clock)
    save(driver, tmp_path)
    fresh = again(driver)
    assert restore(fresh, tmp_path) == len(NAMES)
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(fresh.verdicts.columns, name), getattr(driver.verdicts.columns, name))
    np.testing.assert_array_equal(fresh.verdicts.columns.histogram, driver.verdicts.columns.histogram)
    np.testing.assert_array_equal(fresh.verdicts.columns.histogram_sum, driver.verdicts.columns.histogram_sum)
    assert fresh.verdicts.flaps == driver.verdicts.flaps
    assert [file.name for file in tmp_path.iterdir()] == [snapshot.NAME]


def test_nothing_saved_yet(tmp_path: Path) -> None:
    """The first start of all finds no file, which is no error."""
    assert snapshot.load(tmp_path) is None


def test_an_inventory_of_nothing_but_the_reference(tmp_path: Path) -> None:
    """No devices, no flaps and no histograms are a snapshot too."""
    driver = Driver([])
    save(driver, tmp_path)
    assert restore(Driver([]), tmp_path) == 0


def test_another_inventory(tmp_path: Path, clock: Clock) -> None:
    """Devices that are gone or have moved are left out; those that stay find their state in their new row."""
    driver = past(clock)
    save(driver, tmp_path)
    known = driver.inventory.devices
    moved = replace(known[2], address="10.9.9.9")
    other = Driver([device("new"), moved, known[1], known[0]], start=driver.clock)
    assert restore(other, tmp_path) == 2
    assert [other.state(name) for name in ("new", "flapping", "down", "up")] == ["unknown", "unknown", "down", "up"]
    assert other.value("probes", "up") == driver.value("probes", "up")
    assert other.value("probes", "new") == 0
    assert other.verdicts.flaps == {2: driver.verdicts.flaps[1]}
    assert other.verdicts.columns.histogram.tolist() == driver.verdicts.columns.histogram.tolist()


def test_a_reboot_moves_the_monotonic_clock(tmp_path: Path, clock: Clock) -> None:
    """What was n seconds ago is still so, and the time between more, when CLOCK_MONOTONIC starts at 0 again."""
    driver = past(clock)
    save(driver, tmp_path)
    clock.passes(100)
    clock.monotonic = 20.0
    fresh = again(driver)
    restore(fresh, tmp_path)
    row = fresh.row["down"]
    ago = (20 * NANO - int(fresh.verdicts.columns.down_at[row])) / NANO
    assert ago == pytest.approx(100 + (driver.now - driver.value("down_at", "down")) / NANO, abs=0.001)
    assert fresh.value("last_change", "down") == driver.value("last_change", "down")
    flaps = [(20 * NANO - at) / NANO for at in fresh.verdicts.flaps[fresh.row["flapping"]]]
    assert flaps == pytest.approx([(driver.now - at) / NANO + 100 for at in driver.verdicts.flaps[2]], abs=0.001)
    assert all(fresh.value(name, "up") == 0 for name in MONOTONIC_FIELDS)


def test_a_wall_clock_that_was_set_back(tmp_path: Path, clock: Clock) -> None:
    """A snapshot from the future is taken for one of this moment."""
    driver = past(clock)
    save(driver, tmp_path)
    clock.wall -= 3600
    fresh = again(driver)
    restore(fresh, tmp_path)
    assert fresh.value("down_at", "down") == driver.value("down_at", "down")


def test_flaps_grow_stale(tmp_path: Path, clock: Clock) -> None:
    """After a restart within the flap window a device still flaps, after one longer than it no more."""
    driver = past(clock)
    save(driver, tmp_path)
    for seconds, flapping in ((200, True), (200, False)):
        clock.passes(seconds)
        fresh = again(driver)
        restore(fresh, tmp_path)
        fresh.clock = clock.monotonic
        fresh.evaluate()
        assert bool(fresh.value("flapping", "flapping")) is flapping
        assert bool(fresh.verdicts.flaps) is flapping


def test_suppression_holds_across_a_restart(tmp_path: Path, clock: Clock) -> None:
    """A shadowed device stays shadowed, and an old alert stays an alert."""
    devices = [device("link", role="isp", site="s"), device("old", site="s"), device("new", site="s")]
    driver = Driver(devices, start=clock.monotonic - 60)
    driver.settle(up=driver.row)
    driver.settle(up=["link", "new"], down=["old"], seconds=20)
    driver.settle(down=driver.row)
    assert [driver.suppressed(name) for name in ("old", "new")] == [set(), {"shadowed"}]
    save(driver, tmp_path)
    clock.passes(60)
    fresh = again(driver)
    restore(fresh, tmp_path)
    fresh.clock = clock.monotonic
    fresh.wait(5)
    assert [fresh.suppressed(name) for name in ("old", "new")] == [set(), {"shadowed"}]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a snapshot."""
    folder = tmp_path_factory.mktemp("whole")
    save(past(), folder)
    return (folder / snapshot.NAME).read_bytes()


def is_refused(folder: Path, content: bytes) -> bool:
    (folder / snapshot.NAME).write_bytes(content)
    try:
        snapshot.load(folder)
    except SnapshotError as error:
        return str(folder / snapshot.NAME) in str(error)
    return False


def test_torn_at_every_length(tmp_path: Path, whole: bytes) -> None:
    """A file that ends too early, at any byte, is refused."""
    assert not is_refused(tmp_path, whole)
    assert all(is_refused(tmp_path, whole[:length]) for length in range(len(whole)))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_flipped_bytes(tmp_path: Path, whole: bytes, data: st.DataObject) -> None:
    """A file in which any byte is another, or any is added, is refused."""
    position = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != whole[position]))
    assert is_refused(tmp_path, whole[:position] + bytes([byte]) + whole[position + 1 :])
    assert is_refused(tmp_path, whole[:position] + bytes([byte]) + whole[position:] + b"x")


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"{}", b"ward-exporter state 2 crc32 00000000\n{}\n", b"\0" * 5000]
)
def test_another_format(tmp_path: Path, content: bytes) -> None:
    """What is no snapshot, or one of a format to come, is refused."""
    assert is_refused(tmp_path, content)


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    """What cannot be read at all is refused with the system's reason."""
    (tmp_path / snapshot.NAME).mkdir()
    with pytest.raises(SnapshotError, match="Is a directory"):
        snapshot.load(tmp_path)


def test_columns_of_another_version(tmp_path: Path, clock: Clock) -> None:
    """A snapshot that lacks a column, or has one in another shape, gives what it has."""
    driver = past(clock)
    state = snapshot.capture(driver.verdicts, snapshot.identity(driver.verdicts))
    del state.columns["duplicates"]
    state.columns["histogram"] = state.columns["histogram"][:, :3]
    state.columns["of-tomorrow"] = np.zeros(7)
    snapshot.save(tmp_path, state)
    fresh = again(driver)
    assert restore(fresh, tmp_path) == len(NAMES)
    assert fresh.state("down") == "down"
    assert fresh.verdicts.columns.histogram.shape == driver.verdicts.columns.histogram.shape
    assert fresh.verdicts.columns.histogram.sum() == 0


FILL_THE_DISK = """
import sys
from pathlib import Path
from exporter.state import snapshot
from tests.state.driver import Driver, device

folder = Path(sys.argv[1])
few, many = (Driver([device(f"d{n}", address="10.0.0.1") for n in range(count)]) for count in (10, 5000))
for driver, expected in ((few, 0), (many, 28), (few, 0)):
    before = (folder / snapshot.NAME).read_bytes() if expected else b""
    failure = 0
    try:
        snapshot.save(folder, snapshot.capture(driver.verdicts, snapshot.identity(driver.verdicts)))
    except OSError as error:
        failure = error.errno
    assert failure == expected, failure
    if expected:
        assert (folder / snapshot.NAME).read_bytes() == before
    assert [file.name for file in folder.iterdir()] == [snapshot.NAME]
    assert snapshot.load(folder) is not None
"""


def test_a_full_disk_keeps_the_former_file(tmp_path: Path) -> None:
    """A save that finds no room leaves the last whole snapshot and no half one, and the next one works again."""
    mount = f'mount -t tmpfs -o size=64k none {tmp_path} && exec "$@"'
    command = ["unshare", "--mount", "--propagation=private", "sh", "-c", mount, "sh"]
    subprocess.run([*command, sys.executable, "-c", FILL_THE_DISK, str(tmp_path)], check=True, timeout=60)


def test_the_identity_of_rows_is_theirs(tmp_path: Path) -> None:
    """A capture holds copies: what changes later is not in it."""
    driver = past()
    state = snapshot.capture(driver.verdicts, snapshot.identity(driver.verdicts))
    before = driver.value("probes", "up")
    driver.settle(up=["up"])
    snapshot.save(tmp_path, state)
    fresh = Driver(driver.inventory.devices, rules=SHIPPED)
    restore(fresh, tmp_path)
    assert fresh.value("probes", "up") == before
