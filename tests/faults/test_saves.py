"""kill -9 while the state is being written."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

from exporter.state import snapshot
from tests.state.driver import Driver, device


def save_on(folder: Path, driver: Driver) -> None:
    """Save again and again, each state with its number in it, until killed."""
    rows = snapshot.identity(driver.verdicts)
    number = 0
    while True:
        number += 1
        driver.verdicts.columns.replies[:] = number
        snapshot.save(folder, snapshot.capture(driver.verdicts, rows))
        (folder / "saved").write_text(str(number))


def test_killed_in_the_middle_of_a_save(tmp_path: Path) -> None:
    """Wherever a save is when its process is killed, the file is whole: the state that was saved last, or the one
    that was being saved."""
    driver = Driver([device(f"d{number}") for number in range(3000)])
    chance = random.Random(9)
    halves = 0
    for turn in range(30):
        folder = tmp_path / str(turn)
        folder.mkdir()
        child = os.fork()
        if child == 0:
            try:
                save_on(folder, driver)
            finally:
                os._exit(1)
        while not (folder / "saved").exists():
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.03))
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        halves += (folder / f"{snapshot.NAME}.new").exists()
        state = snapshot.load(folder)
        assert state is not None
        (number,) = set(state.columns["replies"].tolist())
        # The count itself may have been cut off while it was written.
        saved = (folder / "saved").read_text()
        assert not saved or number - int(saved) in (0, 1)
    # Most of them have met it in the middle.
    assert halves > 3
