"""Log lines: one each, whatever is in them, and nobody waits for the terminal."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time

import pytest

from exporter.logs import _Formatter

NASTY = 'a "b"\\ \n\r\x1b[2J\u2028 საქართველო \ud800'


def line(kind: str, message: str, *arguments: object, error: bool = False) -> str:
    exception = None
    if error:
        try:
            int(message)
        except ValueError:
            exception = sys.exc_info()
    record = logging.LogRecord("exporter.x", logging.WARNING, __file__, 1, message, arguments, exception)
    return _Formatter(kind).format(record)


@pytest.mark.parametrize("error", [False, True])
def test_json(error: bool) -> None:
    """A line is one object that any JSON reader takes, with what was logged, traceback included."""
    found = line("json", "%s", NASTY, error=error)
    assert found.isprintable()
    parsed = json.loads(found)
    assert list(parsed) == ["ts", "level", "logger", "msg"]
    assert parsed["msg"].startswith(NASTY)
    assert ("Traceback" in parsed["msg"]) == error
    assert parsed["level"] == "warning"


def test_logfmt() -> None:
    """A line is pairs; what could break a line, a pair or a terminal is quoted and escaped."""
    assert line("logfmt", "up").partition(" ")[2] == "level=warning logger=exporter.x msg=up"
    assert line("logfmt", "%s is up", "ბათუმი").endswith(' msg="ბათუმი is up"')
    assert line("logfmt", "").endswith(' msg=""')
    assert line("logfmt", "a=b").endswith(' msg="a=b"')
    found = line("logfmt", "%s", NASTY)
    assert found.isprintable()
    assert json.loads(found.partition(" msg=")[2]) == NASTY


TALK = """
import logging, sys, threading, warnings
from exporter import logs
logs.set_up("info", sys.argv[1])
log = logging.getLogger("exporter.test")
"""


def talk(code: str, kind: str = "json") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", TALK + code, kind], capture_output=True, text=True, check=True, timeout=60
    )


def test_every_line_is_written_before_the_end() -> None:
    """What was logged last is not lost by the end of the process."""
    found = talk("for number in range(500): log.info('line %d', number)")
    assert [json.loads(text)["msg"] for text in found.stderr.splitlines()] == [f"line {n}" for n in range(500)]
    assert found.stdout == ""


def test_what_others_say() -> None:
    """Warnings of Python, failures of threads and errors of libraries are lines too; libraries' chatter is not."""
    found = talk(
        "logging.getLogger('uvicorn').info('chatter')\n"
        "logging.getLogger('uvicorn').error('trouble')\n"
        "warnings.warn('old', stacklevel=1)\n"
        "worker = threading.Thread(target=lambda: 1 / 0, name='worker'); worker.start(); worker.join()\n"
    )
    lines = [json.loads(text) for text in found.stderr.splitlines()]
    assert [one["logger"] for one in lines] == ["uvicorn", "py.warnings", "exporter.logs"]
    assert lines[2]["msg"].startswith("the thread worker has failed\nTraceback")
    assert lines[2]["level"] == "critical"


def test_a_wrong_message_is_a_line() -> None:
    """A message whose arguments do not fit is written as it is, and the lines after it too."""
    found = talk("log.info('%d of %d', 1); log.info('next')")
    assert [json.loads(text)["msg"] for text in found.stderr.splitlines()] == ["%d of %d", "next"]


def test_a_terminal_that_takes_nothing() -> None:
    """With standard error full, logging costs nobody any time, and the process ends all the same."""
    reader, writer = os.pipe()
    code = TALK + "for number in range(30_000): log.info('line %d', number)\nprint('done', flush=True)\n"
    begun = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, "logfmt"],
            stdout=subprocess.PIPE,
            stderr=writer,
            check=True,
            timeout=30,
        )
    finally:
        os.close(writer)
        os.close(reader)
    assert done.stdout == b"done\n"
    assert time.monotonic() - begun < 20
