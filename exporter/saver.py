"""Saves the state again and again, in a thread of its own, and restores it at the start."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from exporter.errors import SnapshotError
from exporter.exposition.itself import Itself
from exporter.icmp.prober import Prober
from exporter.state import snapshot
from exporter.state.verdict import Verdicts

log = logging.getLogger(__name__)

#: A save each second, unless that took more than this share of the time.
_PERIOD = 1.0
_SHARE = 0.02


class Saver:
    """Keeps the snapshot in `folder`, which is made when it is missing. Raises SnapshotError if it cannot be."""

    def __init__(self, folder: Path, itself: Itself) -> None:
        self.folder = folder
        self._itself = itself
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._rows: tuple[Verdicts | None, bytes] = (None, b"")
        self._failing = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SnapshotError(f"--storage.path: cannot make {folder}: {error.strerror}") from error

    def restore(self, verdicts: Verdicts) -> None:
        """Give `verdicts` the state of the last run. A file that cannot be read is kept as *.bad and said so."""
        try:
            state = snapshot.load(self.folder)
            if state is None:
                return
            count = snapshot.restore(verdicts, state)
        except SnapshotError as error:
            path = self.folder / snapshot.NAME
            try:
                path.replace(path.with_suffix(".bad"))
            except OSError as failure:
                log.warning("%s: %s", path, failure.strerror)
            log.warning("%s; starting without it, it is kept as %s", error, path.with_suffix(".bad").name)
            return
        log.info("restored the state of %d devices, %.0f s old", count, time.time() - state.saved)

    def start(self, prober: Prober, verdicts: Callable[[], Verdicts]) -> None:
        """`verdicts` tells the running state; it is called on the probe thread."""
        self._thread = threading.Thread(target=self._run, args=(prober, verdicts), name="saver", daemon=True)
        self._thread.start()

    def stop(self, verdicts: Verdicts) -> None:
        """Save once more, now that nothing changes any more."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(1.0)
        self._save(self._capture(verdicts))

    def _run(self, prober: Prober, verdicts: Callable[[], Verdicts]) -> None:
        pause = _PERIOD
        while not self._stopping.wait(pause):
            start = time.thread_time()
            future = prober.call(lambda: self._capture(verdicts()))
            while not future.done():
                if self._stopping.wait(0.01):
                    return
            self._save(future.result())
            pause = max(_PERIOD, (time.thread_time() - start) / _SHARE)

    def _capture(self, verdicts: Verdicts) -> snapshot.Capture:
        if self._rows[0] is not verdicts:
            self._rows = verdicts, snapshot.identity(verdicts)
        return snapshot.capture(verdicts, self._rows[1])

    def _save(self, state: snapshot.Capture) -> None:
        start = time.monotonic()
        try:
            snapshot.save(self.folder, state)
        except OSError as error:
            self._itself.snapshot_failures += 1
            if not self._failing:
                log.warning("cannot save the state to %s: %s", self.folder, error.strerror)
            self._failing = True
            return
        if self._failing:
            log.info("the state is saved again")
        self._failing = False
        self._itself.snapshot_at = time.time()
        self._itself.snapshot_duration = time.monotonic() - start
