"""Saves the state again and again, in a thread of its own, and restores it at the start."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
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
#: How long the end waits for a save that is under way.
_PATIENCE = 1.0


class Saver:
    """Keeps the snapshot in `folder`, which is made when it is missing. Raises SnapshotError if it cannot be."""

    def __init__(self, folder: Path, itself: Itself) -> None:
        self.folder = folder
        self._itself = itself
        self._stopping = threading.Event()
        self._writing = threading.Lock()
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
        except SnapshotError as error:
            log.warning("%s; starting without it", error)
            path = self.folder / snapshot.NAME
            try:
                path.replace(path.with_suffix(".bad"))
            except OSError as failure:
                log.warning("cannot keep %s: %s", path, failure.strerror)
            else:
                log.warning("it is kept as %s", path.with_suffix(".bad"))
            return
        if state is not None:
            count = snapshot.restore(verdicts, state)
            log.info("restored the state of %d devices, %.0f s old", count, time.time() - state.saved)

    def start(self, prober: Prober, verdicts: Callable[[], Verdicts]) -> None:
        """`verdicts` tells the running state; it is called on the probe thread too."""
        self._thread = threading.Thread(target=self._run, args=(prober, verdicts), name="saver", daemon=True)
        self._thread.start()

    def stop(self, verdicts: Verdicts) -> None:
        """Save once more, now that nothing changes any more."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(_PATIENCE)
        self._save(lambda: self._capture(verdicts))

    def _run(self, prober: Prober, verdicts: Callable[[], Verdicts]) -> None:
        pause = _PERIOD
        while not self._stopping.wait(pause):
            start = time.thread_time()
            # Names take their time, which the probe thread does not have.
            self._identify(verdicts())
            future = prober.call(lambda: self._capture(verdicts()))
            while not self._stopping.is_set() and not _is_done(future):
                pass
            if future.done():
                self._save(future.result)
            pause = max(_PERIOD, (time.thread_time() - start) / _SHARE)

    def _identify(self, verdicts: Verdicts) -> bytes:
        known, rows = self._rows
        if known is not verdicts:
            rows = snapshot.identity(verdicts)
            self._rows = verdicts, rows
        return rows

    def _capture(self, verdicts: Verdicts) -> snapshot.Capture:
        return snapshot.capture(verdicts, self._identify(verdicts))

    def _save(self, state: Callable[[], snapshot.Capture]) -> None:
        # Two that write the same file would leave neither's content.
        if not self._writing.acquire(timeout=_PATIENCE):
            log.warning("the state of the last moment is not saved: %s does not take it", self.folder)
            return
        start = time.monotonic()
        try:
            snapshot.save(self.folder, state())
        except OSError as error:
            self._failed(error.strerror or str(error))
        except Exception as error:
            # What nobody has foreseen must not end the saving for good.
            self._failed(repr(error))
        else:
            if self._failing:
                log.info("the state is saved again")
            self._failing = False
            self._itself.snapshot_at = time.time()
            self._itself.snapshot_duration = time.monotonic() - start
        finally:
            self._writing.release()

    def _failed(self, reason: str) -> None:
        self._itself.snapshot_failures += 1
        if not self._failing:
            log.warning("cannot save the state to %s: %s", self.folder, reason)
        self._failing = True


def _is_done(future: Future[snapshot.Capture]) -> bool:
    """Whether it is, after a moment's patience."""
    try:
        future.exception(0.1)
    except TimeoutError:
        return False
    return True
