"""A poller process: asks its devices by SNMP, each at its own phase of the interval, and tells what they answer.

Run by `Pool`, with a socket whose other end is the exporter's, and the seconds between two signs of life; the
process ends when the socket does.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import sys
import threading
import time
import zlib
from dataclasses import replace
from multiprocessing.connection import Connection

from exporter.snmp.clients import Clients
from exporter.snmp.jobs import Assignment, Job, Polled
from exporter.snmp.layout import Layout
from exporter.snmp.session import Session
from exporter.snmp.watch import Watch

log = logging.getLogger(__name__)

#: Requests under way in all: as many devices may be silent at once without holding the others up.
_REQUESTS = 1000
#: After so many failed polls in a row a device is asked each 8th interval only.
_SLOWEST = 8
#: Devices whose turn is within so many seconds begin together, and what they bring is told together: to wake up for
#: each of them would cost half as much again as all the rest.
_TICK = 0.1
#: Objects to gather before garbage is looked for.
_GARBAGE = 100_000
#: The first round does not wait for a whole interval: so many devices a second.
_FIRST_ROUND = 50


class Poller:
    """What this process does, as of the last assignment."""

    def __init__(self, connection: Connection[list[Polled], Assignment], session: Session) -> None:
        self._connection = connection
        self._done: list[Polled] = []
        self._clients = Clients(session)
        self._watches: dict[Job, tuple[Watch, asyncio.Task[None]]] = {}
        self._assignment: Assignment | None = None
        self._layouts: dict[str, Layout] = {}

    def assign(self, assignment: Assignment) -> None:
        """Go over to another assignment; a device whose job is the same goes on, unless the rest has changed."""
        former = self._assignment
        same = former is not None and replace(assignment, jobs=()) == replace(former, jobs=())
        wanted = set(assignment.jobs)
        for job in [job for job in self._watches if not same or job not in wanted]:
            self._watches.pop(job)[1].cancel()
        if not same:
            self._layouts = {name: Layout(module) for name, module in assignment.modules.items()}
        self._assignment = assignment
        spread = min(assignment.interval, len(wanted) / _FIRST_ROUND)
        for watch, _ in self._watches.values():
            # Who reloads wants to see what names say now.
            watch.look_up()
        for job in wanted - self._watches.keys():
            watch = Watch(job, assignment, self._layouts)
            self._watches[job] = watch, asyncio.create_task(self._follow(watch, spread))

    async def _follow(self, watch: Watch, spread: float) -> None:
        """Poll one device again and again."""
        interval = watch.assignment.interval
        ticks = max(1, int(interval / _TICK))
        phase = zlib.crc32(watch.job.device.encode()) % ticks / ticks
        await asyncio.sleep(phase * spread)
        failures = 0
        while True:
            polled = await watch.poll(self._clients)
            self._tell(polled)
            failures = failures + 1 if polled.failure and not polled.page.samples else 0
            due = min(max(1, 2 ** (failures - 2)), _SLOWEST) if failures > 1 else 1
            now = time.monotonic()
            # At the device's own phase: polls that began together drift apart again.
            wait = (phase - now / interval) % 1 + due - 1
            await asyncio.sleep(interval * (wait if wait > 0.1 else wait + 1))

    async def beat(self, heartbeat: float) -> None:
        """Say again and again that this process does not hang."""
        while True:
            self._flush()
            await asyncio.sleep(heartbeat)

    def _tell(self, polled: Polled) -> None:
        """Have it told soon, with others."""
        if not self._done:
            asyncio.get_running_loop().call_later(_TICK, self._flush)
        self._done.append(polled)

    def _flush(self) -> None:
        done, self._done = self._done, []
        # Where nobody listens any more, this process is about to end.
        with contextlib.suppress(OSError):
            self._connection.send(done)


async def _serve(descriptor: int, heartbeat: float) -> None:
    loop = asyncio.get_running_loop()
    inbox: asyncio.Queue[Assignment | None] = asyncio.Queue()
    connection: Connection[list[Polled], Assignment] = Connection(descriptor)

    def listen() -> None:
        while True:
            try:
                message = connection.recv()
            except (EOFError, OSError):
                message = None
            loop.call_soon_threadsafe(inbox.put_nowait, message)
            if message is None:
                return

    threading.Thread(target=listen, daemon=True).start()
    with Session(_REQUESTS) as session:
        poller = Poller(connection, session)
        beating = asyncio.create_task(poller.beat(heartbeat))
        while (assignment := await inbox.get()) is not None:
            poller.assign(assignment)
        beating.cancel()


def main() -> None:
    """The exporter ends this process by closing the socket: signals to the whole group are not for it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(level=logging.WARNING)
    # What a poll brings is freed without the collector, which would look it through several times a poll.
    gc.set_threshold(_GARBAGE)
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
