"""The web configuration while the exporter runs: read again when one of its files changes, and at a reload."""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path

from exporter.errors import ConfigError
from exporter.web.background import in_background
from exporter.web.web_config import WebConfig, examine_web_config

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
#: What tells one state of a file from another; None for a file that cannot be looked at.
_State = tuple[int, int, int] | None


class LiveWebConfig:
    """`current` is what holds now; one that is wrong never takes its place."""

    def __init__(self, path: Path | None = None) -> None:
        """Raises ConfigError. Without a path everything is open, and stays so."""
        self._path = path
        self._reading = threading.Lock()
        self._files: tuple[Path, ...] = () if path is None else (path,)
        self._seen: tuple[_State, ...] = ()
        self.current = WebConfig()
        self.reload()

    def reload(self) -> None:
        """Read it again, changed or not; raises ConfigError."""
        with self._reading:
            self._read()

    def refresh(self) -> None:
        """Read it again if one of its files has changed; the log hears of the result."""
        with self._reading:
            if self._states() == self._seen:
                return
            try:
                self._read()
            except ConfigError as error:
                log.warning("the web configuration has changed and is wrong, the former one stays: %s", error)
            else:
                log.info("the web configuration has changed: %s", self.current)

    async def watch(self) -> None:
        """Refresh for ever, once a second: new requests and connections go by what was found last."""
        while self._path is not None:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await in_background(self.refresh)
            except Exception:
                # What nobody has foreseen must not end the watch.
                log.exception("the web configuration could not be looked at")

    def _read(self) -> None:
        if self._path is None:
            return
        files: tuple[Path, ...] = ()
        while files != self._files:
            self._files = files or self._files
            # Looked at first: what changes while it is being read is seen as a change the next time.
            self._seen = self._states()
            config, files, problems = examine_web_config(self._path)
        if problems:
            raise ConfigError(problems)
        self.current = config

    def _states(self) -> tuple[_State, ...]:
        return tuple(map(_state, self._files))


def _state(path: Path) -> _State:
    try:
        about = path.stat()
    except (OSError, ValueError):
        return None
    return about.st_mtime_ns, about.st_size, about.st_ino
