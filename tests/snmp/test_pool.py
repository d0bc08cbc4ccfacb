"""Poller processes that hang, and what they are made of: where they import from, and what they survive."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.snmp.jobs import Access, Assignment, Job, Polled
from exporter.snmp.pool import Pool
from exporter.snmp.render import Page
from tests.serving import until
from tests.snmp.agents import Agent
from tests.snmp.test_polling import Agents
from tests.snmp.watching import own
from tests.snmp.watching import rows as own_rows

ROOT = Path(__file__).parents[2]
#: Polls a device that does not answer, once.
ONCE = """
import time
from exporter.snmp.jobs import Access, Assignment, Job
from exporter.snmp.pool import Pool

pool = Pool()
job = Job("sw", "127.0.0.1", 9, Access(2, b"public"), "", ())
pool.assign(Assignment((job,), {}, 1.0, 1.0, 0.1, 0, 1, 1), 1)
while not pool.polls:
    time.sleep(0.05)
pool.close()
"""


def assignment(port: int, *others: str) -> Assignment:
    """One device that answers, and others that need not."""
    names = ("sw", *others)
    jobs = tuple(Job(name, "127.0.0.1", port, Access(2, b"public"), f'device="{name}"', ("own",)) for name in names)
    return Assignment(jobs, own(), 1.0, 3600.0, 0.2, 1, 25, 20_000)


def children() -> set[int]:
    """The poller processes of this one."""
    return {int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}


@contextmanager
def polling(heartbeat: float) -> Iterator[tuple[Pool, Assignment, int]]:
    """A pool that has polled a device, what it was given, and its process."""
    agent = Agent(own_rows("a", "b"))
    before = children()
    with Agents([agent]):
        given = assignment(agent.address[1])
        pool = Pool(heartbeat)
        try:
            pool.assign(given, 1)
            until(lambda: "sw" in pool.polls)
            (pid,) = {pid for pid in children() - before if b"exporter.snmp.poller" in command(pid)}
            yield pool, given, pid
        finally:
            pool.close()


def command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def test_a_poller_that_hangs_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    """One that gives no sign of life is ended and started again with its devices, and counted; the log says so."""
    with polling(heartbeat=0.2) as (pool, _, pid), caplog.at_level(logging.WARNING):
        os.kill(pid, signal.SIGSTOP)
        until(lambda: pool.restarts == 1)
        last = pool.polls["sw"].began
        until(lambda: pool.polls["sw"].began > last)
        assert "a poller process has said nothing for 2.4 s: it hangs" in caplog.text
        assert not Path(f"/proc/{pid}").exists()


def test_a_poller_without_anything_to_tell_gives_signs_of_life() -> None:
    """Between two polls that are far apart a process is not taken for one that hangs."""
    with polling(heartbeat=0.1) as (pool, given, _):
        pool.assign(replace(given, interval=3600.0, slow_interval=3600.0), 1)
        end = time.monotonic() + 2
        until(lambda: time.monotonic() > end)
        assert pool.restarts == 0


def test_a_poller_that_hangs_does_not_hold_up_a_reload() -> None:
    """An inventory that a stopped process does not take is given to the next one."""
    with polling(heartbeat=5.0) as (pool, given, pid):
        os.kill(pid, signal.SIGSTOP)
        more = assignment(given.jobs[0].port, *(f"{'x' * 200}{number}" for number in range(2000)))
        began = time.monotonic()
        pool.assign(more, 1)
        assert time.monotonic() - began < 20
        until(lambda: pool.restarts == 1)
        until(lambda: len(pool.polls) > 1)


def test_polls_may_come_in_while_a_reload_goes_through_them() -> None:
    """A reload may look through the polls while those of new devices are being added."""
    pool = Pool()
    given = assignment(1, *map(str, range(20_000)))
    done = threading.Event()

    def take() -> None:
        for job in given.jobs:
            pool._take(Polled(job.device, 0.0, 0.0, 0.0, Page()))
        done.set()

    pool.assign(given, 0)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    listening = threading.Thread(target=take)
    try:
        listening.start()
        while not done.is_set():
            pool.assign(given, 0)
    finally:
        listening.join()
        sys.setswitchinterval(interval)
    assert pool.polls.keys() <= {job.device for job in given.jobs}
    assert len(pool.polls) > 1


def run_once(script: Path, folder: Path, *options: str) -> None:
    """Have a device polled once by a process of its own in this folder."""
    script.write_text(ONCE)
    subprocess.run([sys.executable, *options], cwd=folder, check=True, timeout=60)


def test_pollers_import_nothing_from_the_current_folder(tmp_path: Path) -> None:
    """A file there that is called as a module of Python is not run."""
    here = tmp_path / "here"
    here.mkdir()
    (here / "decimal.py").write_text("raise SystemExit(7)\n")
    run_once(tmp_path / "once.py", here, str(tmp_path / "once.py"))


def test_pollers_are_of_the_tree_that_runs(tmp_path: Path) -> None:
    """Where the exporter runs from a source tree that is not installed, so do its pollers."""
    shutil.copytree(ROOT / "exporter", tmp_path / "exporter")
    poller = tmp_path / "exporter" / "snmp" / "poller.py"
    mark = tmp_path / "mark"
    poller.write_text(f"{poller.read_text()}\nopen({str(mark)!r}, 'w').close()\n")
    run_once(tmp_path / "once.py", tmp_path, "-m", "once")
    assert mark.exists()
