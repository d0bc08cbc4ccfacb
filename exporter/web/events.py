"""The live stream: who listens, how often the state is looked at, and how it is sent (server-sent events).

While anyone listens, the probe thread rings when it has changed something, and the state is compared with itself a
moment ago, which takes a fraction of a millisecond; when nobody does, nothing runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from exporter.state.verdict import Verdicts, nobody
from exporter.web.background import in_background
from exporter.web.changes import Changes, Position

MOST_LISTENERS = 64
#: Between two looks, so that many changes at once are few messages.
_GAP_SECONDS = 0.02
#: What nobody rings for is found after this time at the latest: a reload, trouble of the exporter itself, its end.
_LOOK_SECONDS = 0.25
FIGURES_SECONDS = 3.0
#: A silence longer than this is broken by a comment, so that either side sees whether the other is there.
HEARTBEAT_SECONDS = 5.0
_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    # nginx would collect the stream into blocks.
    "x-accel-buffering": "no",
}


class Source(Protocol):
    """What the stream needs of the service."""

    @property
    def verdicts(self) -> Verdicts: ...
    @property
    def ending(self) -> bool:
        """Whether the exporter is about to end."""

    @property
    def interval(self) -> float:
        """Seconds between two probes of a device."""

    def unhealthy(self) -> str: ...


class Live:
    """Everyone who listens, and the one task that looks at the state for them."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._changes: Changes | None = None
        self._snapshot: asyncio.Task[tuple[Position, bytes]] | None = None
        self._figures = b""
        #: Figures are told to a listener that has those of another number.
        self.figures_number = 0
        self._listeners: set[asyncio.Event] = set()
        self._looking: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._rung = asyncio.Event()

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    @property
    def ending(self) -> bool:
        return self._source.ending

    @contextmanager
    def listen(self) -> Iterator[asyncio.Event]:
        """An event that is set whenever there is news."""
        wake = asyncio.Event()
        self._listeners.add(wake)
        try:
            yield wake
        finally:
            self._listeners.discard(wake)

    async def news(self, position: Position | None) -> tuple[Position, bytes]:
        """What a listener at `position` does not know yet, as a message, and where it is then."""
        if self._looking is None:
            self._loop = asyncio.get_running_loop()
            self._looking = asyncio.create_task(self._run())
        changes, at = self._look(), time.time()
        if position is None or not changes.follows(position):
            if self._snapshot is None:
                self._snapshot = asyncio.create_task(in_background(partial(changes.snapshot, at)))
                self._snapshot.add_done_callback(lambda _: setattr(self, "_snapshot", None))
            # shield: a listener that leaves must not take it from the others.
            end, data = await asyncio.shield(self._snapshot)
            return end, _message("snapshot", data, end)
        if position == changes.position:
            return position, b""
        return changes.position, _message("change", changes.since(position, at), changes.position)

    def figures(self) -> bytes:
        return _message("figures", self._figures) if self._figures else b""

    def _look(self) -> Changes:
        changes = self._changes
        if changes is None or changes.verdicts is not self._source.verdicts:
            changes = self._changes = Changes(self._source.verdicts, self._source.interval)
            self._figures = b""
        if changes.look(self._source.unhealthy()):
            self._wake()
        return changes

    def _wake(self) -> None:
        for wake in self._listeners:
            wake.set()

    def _ring(self) -> None:
        """On the probe thread."""
        assert self._loop is not None
        # The exporter may be ending: then the loop has, and nobody listens.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._rung.set)

    async def _run(self) -> None:
        changes: Changes | None = None
        figures: asyncio.Task[None] | None = None
        try:
            while self._listeners:
                self._source.verdicts.on_change = self._ring
                self._rung.clear()
                found = self._look()
                if found is not changes:
                    changes = found
                    # Apart: with many devices figures take longer than a change may wait.
                    if figures is not None:
                        figures.cancel()
                    figures = asyncio.create_task(self._refresh(changes))
                if self.ending:
                    self._wake()
                await asyncio.sleep(_GAP_SECONDS)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await self._rung.wait()
        finally:
            if figures is not None:
                figures.cancel()
            self._source.verdicts.on_change = nobody
            self._looking = None
            self._figures = b""

    async def _refresh(self, changes: Changes) -> None:
        while True:
            figures = await in_background(changes.figures)
            if figures != self._figures and changes is self._changes:
                self._figures = figures
                self.figures_number += 1
                self._wake()
            await asyncio.sleep(FIGURES_SECONDS)


class Stream(Response):
    """The answer to one listener, who has come to `position` before, or is new."""

    def __init__(self, live: Live, position: Position | None) -> None:
        super().__init__(headers=_HEADERS)
        # How long it will be is not known.
        del self.headers["content-length"]
        self._live = live
        self._position = position
        self._figures_number = -1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] != "HEAD":
            with self._live.listen() as wake:
                leaving = asyncio.create_task(_wait_until_left(receive, wake))
                try:
                    await self._tell(send, wake, leaving)
                finally:
                    leaving.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _tell(self, send: Send, wake: asyncio.Event, leaving: asyncio.Task[None]) -> None:
        """Until the listener has left or the exporter ends."""
        body = b"retry: 1000\n\n"
        while not leaving.done() and not self._live.ending:
            wake.clear()
            self._position, message = await self._live.news(self._position)
            body += message
            if self._figures_number != self._live.figures_number:
                self._figures_number = self._live.figures_number
                body += self._live.figures()
            if body:
                # Whoever takes nothing of it is cut off by its connection, and has left then.
                await send({"type": "http.response.body", "body": body, "more_body": True})
                body = b""
                continue
            try:
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await wake.wait()
            except TimeoutError:
                body = b":\n\n"


def _message(kind: str, data: bytes, position: Position | None = None) -> bytes:
    number = f"id: {position}\n" if position is not None else ""
    return b"%sevent: %s\ndata: %s\n\n" % (number.encode(), kind.encode(), data)


async def _wait_until_left(receive: Receive, wake: asyncio.Event) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    wake.set()
