"""The poller processes as the exporter sees them: they are given devices, and tell what has become of each poll.

Processes of their own, so that the probe loop never waits for a poll; one that dies is started again with the same
devices, and what it had brought goes on being served until it is too old. So is one that says nothing any more.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection

from exporter.snmp.jobs import Assignment, Polled

log = logging.getLogger(__name__)

#: A process that dies is started again after this long, and after twice as long each time that it dies young.
_FIRST_PAUSE, _LONGEST_PAUSE, _GROWN_UP = 1.0, 60.0, 300.0
#: How long the end waits for processes to end by themselves.
_PATIENCE = 1.0
#: Seconds between two signs of life of a process; without so many it hangs, in a regular expression for example.
_HEARTBEAT, _MISSED = 5.0, 12
#: Until the first one.
_START = 120.0
#: A reload is not held up for longer by one that takes nothing.
_SEND_PATIENCE = 2
#: What a process runs. It imports from where this one does: not from the current folder, where anybody's files are.
_PROGRAM = "import sys; sys.path[:] = sys.argv[3:]; from exporter.snmp.poller import main; main()"


class Pool:
    """Polls of all devices; `polls` may be read by any thread, `assign` and `close` are for one."""

    def __init__(self, heartbeat: float = _HEARTBEAT) -> None:
        self.polls: dict[str, Polled] = {}
        self._heartbeat = heartbeat
        self._devices: frozenset[str] = frozenset()
        self._workers: list[_Worker] = []
        self._ended_restarts = 0

    @property
    def restarts(self) -> int:
        """How often a process had to be started again."""
        return self._ended_restarts + sum(worker.restarts for worker in self._workers)

    def assign(self, assignment: Assignment, workers: int) -> None:
        """Poll these devices from now on, with so many processes; what has not changed goes on undisturbed."""
        if not assignment.jobs:
            workers = 0
        while len(self._workers) > workers:
            worker = self._workers.pop()
            worker.close()
            self._ended_restarts += worker.restarts
        while len(self._workers) < workers:
            self._workers.append(_Worker(len(self._workers), self._take, self._heartbeat))
        self._devices = frozenset(job.device for job in assignment.jobs)
        # The listening threads go on adding to it: a copy is made in one go, also where a list of its items is not.
        polls = self.polls.copy()
        self.polls = {device: polled for device, polled in polls.items() if device in self._devices}
        for number, worker in enumerate(self._workers):
            jobs = (job for job in assignment.jobs if zlib.crc32(job.device.encode()) % workers == number)
            worker.assign(replace(assignment, jobs=tuple(jobs)))

    def close(self) -> None:
        for worker in self._workers:
            worker.close()

    def _take(self, polled: Polled) -> None:
        # Of a device that has left the inventory meanwhile, a last poll may still be on its way.
        if polled.device in self._devices:
            former = self.polls.get(polled.device)
            self.polls[polled.device] = polled
            if polled.failure != (former.failure if former is not None else ""):
                log.info("%s by SNMP: %s", polled.device, polled.problem or "answers again")


class _Worker:
    """One process, and the thread that listens to it."""

    def __init__(self, number: int, take: Callable[[Polled], None], heartbeat: float) -> None:
        self.restarts = 0
        self._take = take
        self._heartbeat = heartbeat
        #: Whether the process has said anything: before that it takes nothing, however long its start takes.
        self._ready = False
        self._lock = threading.Lock()
        self._assignment: Assignment | None = None
        self._closing = threading.Event()
        self._process, self._connection = _start(heartbeat)
        self._thread = threading.Thread(target=self._run, name=f"poller-{number}", daemon=True)
        self._thread.start()

    def assign(self, assignment: Assignment) -> None:
        with self._lock:
            self._assignment = assignment
            self._send()

    def close(self) -> None:
        self._closing.set()
        with self._lock:
            # The process ends when nobody listens any more.
            _shut(self._connection)
        self._end()
        self._thread.join(_PATIENCE)

    def _end(self) -> int:
        """The status of the process, which has ended or has to."""
        try:
            return self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _send(self) -> None:
        if self._assignment is not None and self._ready:
            try:
                self._connection.send(self._assignment)
            except OSError:
                # It has just died, or hangs and has been sent a part; the next one is given the same.
                log.debug("a poller process took no assignment")
                self._process.kill()

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            started = time.monotonic()
            self._listen()
            if self._closing.is_set():
                return
            status = self._end()
            log.warning("a poller process has ended with status %d; starting another in %g s", status, pause)
            if self._closing.wait(pause):
                return
            lived = time.monotonic() - started
            pause = _FIRST_PAUSE if lived > _GROWN_UP else min(2 * pause, _LONGEST_PAUSE)
            with self._lock:
                if self._closing.is_set():
                    return
                self.restarts += 1
                self._connection.close()
                self._ready = False
                self._process, self._connection = _start(self._heartbeat)

    def _listen(self) -> None:
        """Take polls until the process ends, or hangs."""
        connection, patience = self._connection, _START
        while True:
            try:
                if not connection.poll(patience):
                    log.warning("a poller process has said nothing for %g s: it hangs", patience)
                    return
                for polled in connection.recv():
                    self._take(polled)
            except (EOFError, OSError):
                return
            if not self._ready:
                patience = _MISSED * self._heartbeat
                with self._lock:
                    self._ready = True
                    self._send()


def _start(heartbeat: float) -> tuple[subprocess.Popen[bytes], Connection[Assignment, list[Polled]]]:
    ours, theirs = socket.socketpair()
    # Nor is anybody held up for ever by what it has begun to say, or to take.
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", int(_MISSED * _HEARTBEAT), 0))
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _SEND_PATIENCE, 0))
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM, str(theirs.fileno()), str(heartbeat), *sys.path],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
        )
    return process, Connection(ours.detach())


def _shut(connection: Connection[Assignment, list[Polled]]) -> None:
    """End a connection that another thread reads from: closing alone would leave that thread where it is."""
    with socket.socket(fileno=os.dup(connection.fileno())) as both:
        both.shutdown(socket.SHUT_RDWR)
