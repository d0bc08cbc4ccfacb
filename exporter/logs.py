"""Log lines as logfmt or JSON, written by a thread of their own: a slow terminal must not hold up a probe."""

from __future__ import annotations

import atexit
import json
import logging
import logging.handlers
import queue
import sys
from datetime import UTC, datetime

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("logfmt", "json")


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
            return json.dumps(pairs, ensure_ascii=False)
        return " ".join(f"{key}={_quoted(value)}" for key, value in pairs.items())


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if not value or set(value) & set(' ="\n\t\\') else value


def set_up(level: str, kind: str) -> None:
    """Send what this program logs to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(kind))
    waiting: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    listener = logging.handlers.QueueListener(waiting, handler)
    root = logging.getLogger()
    root.addHandler(_Queued(waiting))
    root.setLevel(logging.WARNING)
    logging.getLogger("exporter").setLevel(level.upper())
    listener.start()
    atexit.register(listener.stop)


class _Queued(logging.handlers.QueueHandler):
    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Hand the record on as it is: the listener is in the same process."""
        return record
