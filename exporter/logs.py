"""Log lines as logfmt or JSON, written by a thread of their own: a slow terminal must not hold up a probe."""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import logging.handlers
import os
import queue
import threading
from datetime import UTC, datetime

from exporter import privileges

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("logfmt", "json")

_STDERR = 2
#: Lines that may wait for a terminal or pipe that does not take them; those that come then are lost.
_WAITING = 10_000
#: At the end, it is waited for no longer than this.
_END_SECONDS = 0.5


class _Formatter(logging.Formatter):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self._json = kind == "json"

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        pairs = {"ts": at, "level": record.levelname.lower(), "logger": record.name, "msg": message}
        if self._json:
            return json.dumps(pairs, ensure_ascii=not message.isprintable())
        return " ".join(f"{key}={_quoted(value)}" for key, value in pairs.items())


def _quoted(value: str) -> str:
    """`value` as logfmt takes it; what could move a terminal's cursor is escaped."""
    if value and value.isprintable() and not set(value) & set(' ="\\'):
        return value
    return json.dumps(value, ensure_ascii=not value.isprintable())


class _Writer(logging.handlers.QueueHandler):
    """Hands each record to a thread that writes it to standard error."""

    def __init__(self, formatter: logging.Formatter) -> None:
        self._waiting: queue.Queue[logging.LogRecord | None] = queue.Queue(_WAITING)
        super().__init__(self._waiting)
        self._lines = formatter
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Hand the record on as it is: the thread is in the same process."""
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        """Nobody waits for the output: a full queue loses the record."""
        try:
            self._waiting.put_nowait(record)
        except queue.Full:
            return

    def end(self) -> None:
        """Write what is waiting, as far as that goes in a moment."""
        try:
            self._waiting.put(None, timeout=_END_SECONDS)
        except queue.Full:
            return
        self._thread.join(_END_SECONDS)

    def _write(self) -> None:
        # It starts before the sockets are open, when the thread that starts it still has them.
        privileges.drop()
        while (record := self._waiting.get()) is not None:
            try:
                line = self._lines.format(record)
            except Exception:  # arguments that do not fit their message
                record.args = None
                line = self._lines.format(record)
            # Not through sys.stderr: its lock, held by a write that hangs, would hang the end as well.
            with contextlib.suppress(OSError):
                _write_all(line.encode("utf-8", "backslashreplace") + b"\n")


def _write_all(text: bytes) -> None:
    while text:
        text = text[os.write(_STDERR, text) :]


def set_up(level: str, kind: str) -> None:
    """Send what this program logs to standard error, and of libraries what is a warning or worse."""
    writer = _Writer(_Formatter(kind))
    root = logging.getLogger()
    root.addHandler(writer)
    root.setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))
    logging.getLogger("exporter").setLevel(level.upper())
    logging.captureWarnings(True)
    threading.excepthook = _thread_failed
    atexit.register(writer.end)


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    name = failure.thread.name if failure.thread else "?"
    error = failure.exc_value
    logging.getLogger(__name__).critical("the thread %s has failed", name, exc_info=error)
