"""`ward-exporter alert-log` as a running process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.servers import free_port
from tests.serving import PROGRAM, until


class Log:
    """A running alert-log; `lines` grows by what it prints, unless `read` is false."""

    def __init__(self, read: bool = True) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        # A time zone without summer time, so that the text is the same all year.
        self.process = subprocess.Popen(
            [PROGRAM, "alert-log", f"--web.listen-address=127.0.0.1:{self.port}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"TZ": "Asia/Tbilisi"},
        )
        self.lines: list[str] = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        if read:
            self.reader.start()
        until(self.answers)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.decode().rstrip("\n"))

    def answers(self) -> bool:
        assert self.process.poll() is None
        try:
            with urllib.request.urlopen(f"{self.url}-/healthy", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def post(self, body: bytes | dict[str, Any], seconds: float = 20.0) -> tuple[int, str]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(self.url, data, timeout=seconds) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def end(self) -> list[str]:
        """SIGTERM; all lines, without the times of the headers. It must be gone within 3 s, with status 0."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(3) == 0
        self.reader.join()
        return [line if line.startswith("  ") else line[len("2026-03-27 03:12:47 ") :] for line in self.lines]


@contextmanager
def running(read: bool = True) -> Iterator[Log]:
    log = Log(read)
    try:
        yield log
    finally:
        log.process.kill()
        log.process.wait()
        if read:
            log.reader.join()
        for pipe in (log.process.stdout, log.process.stderr):
            assert pipe is not None
            pipe.close()
