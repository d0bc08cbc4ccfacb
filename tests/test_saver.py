"""The saving thread goes on whatever happens, and the end waits for no disk."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter import saver as saver_module
from exporter.exposition.itself import Itself
from exporter.icmp.plan import Plan
from exporter.icmp.prober import Prober
from exporter.icmp.sizing import Timing
from exporter.saver import Saver
from exporter.state import snapshot
from tests.serving import until
from tests.state.driver import Driver, device


class Running:
    """A saver beside a probe loop that has no socket to send by."""

    def __init__(self, folder: Path) -> None:
        driver = Driver([device("a"), device("b")])
        self.verdicts = driver.verdicts
        self.itself = Itself()
        self.saver = Saver(folder, self.itself)
        plan = Plan(driver.inventory.devices, {})
        self.prober = Prober({}, Timing(0.1, 0.1), plan, self.verdicts)
        self.prober.start()
        self.saver.start(self.prober, lambda: self.verdicts)

    def stop(self) -> None:
        self.prober.stop()
        self.saver.stop(self.verdicts)


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setattr(saver_module, "_PERIOD", 0.05)
    found = Running(tmp_path)
    yield found
    found.stop()


def fail(monkeypatch: pytest.MonkeyPatch, name: str, error: Exception) -> None:
    def broken(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(snapshot, name, broken)


@pytest.mark.parametrize("name", ["capture", "save"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("unforeseen"), MemoryError()])
def test_it_goes_on_after_a_failure(
    running: Running, name: str, error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A save that fails, for a reason foreseen or not, is counted, told once, and tried again."""
    caplog.set_level(logging.INFO, "exporter.saver")
    until(lambda: running.itself.snapshot_at > 0)
    with monkeypatch.context() as patch:
        fail(patch, name, error)
        until(lambda: running.itself.snapshot_failures >= 3)
        last = running.itself.snapshot_at
    until(lambda: running.itself.snapshot_at > last)
    until(lambda: "the state is saved again" in caplog.messages)
    assert sum(message.startswith("cannot save the state to") for message in caplog.messages) == 1
    assert snapshot.load(running.saver.folder) is not None


def test_the_end_waits_for_no_disk(
    running: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While a save hangs in the kernel, the end gives up soon, and never writes the same file beside it."""
    entered, go_on = threading.Event(), threading.Event()
    saves = []

    def hanging(folder: Path, state: snapshot.Capture) -> None:
        saves.append(state)
        entered.set()
        assert go_on.wait(30)

    with monkeypatch.context() as patch:
        patch.setattr(snapshot, "save", hanging)
        assert entered.wait(10)
        begun = time.monotonic()
        running.stop()
        assert time.monotonic() - begun < 10
        assert len(saves) == 1
        go_on.set()
    assert "the state of the last moment is not saved" in caplog.text


def test_the_last_save_is_of_the_end(running: Running) -> None:
    """What the loop has counted last is in the file once it has been stopped."""
    until(lambda: bool(running.verdicts.columns.probes[0] > 0) and running.itself.snapshot_at > 0)
    running.stop()
    state = snapshot.load(running.saver.folder)
    assert state is not None
    assert state.columns["probes"].tolist() == running.verdicts.columns.probes.tolist()
    assert state.columns["probes"][0] > 0
