"""What a request may cost: how many are answered at once, how much is taken along, how an answer is handed out."""

from __future__ import annotations

import asyncio

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.web.connections import MAX_BODY, MAX_HEADER, Connection, Connections

#: Health, readiness and reload are for who looks after a busy exporter; the live stream counts its own listeners.
EXEMPT = ("/-/", "/api/v1/events")
MOST_REQUESTS = 40
#: Then 503: what is answered later, a scraper no longer waits for.
WAIT_SECONDS = 2.0
#: In a full house a client makes room that has not read for this time, or was waited for this time in all and takes
#: fewer pieces a second, or was waited for the longer time, whatever it takes.
_PATIENCE_SECONDS = 1.0
_PIECES_A_SECOND = 4
_SLOW_SECONDS = 5.0
#: Such clients are looked for this often while anybody waits.
_LOOK_SECONDS = 0.25

_PIECE = 64 * 2**10


def too_busy() -> Response:
    return PlainTextResponse("too many requests at once\n", 503, {"retry-after": "1", "connection": "close"})


def _too_large(status: int, limit: int) -> Response:
    return PlainTextResponse(f"more than {limit} bytes\n", status, {"connection": "close"})


class AtOnce:
    """Answers so many requests at a time; others wait for a moment, then get a 503."""

    def __init__(self, app: ASGIApp, connections: Connections) -> None:
        self._app = app
        self._connections = connections
        self._places = asyncio.Semaphore(MOST_REQUESTS)
        self._waiting = 0
        self._answering: list[Connection] = []
        self._look: asyncio.TimerHandle | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].startswith(EXEMPT):
            await self._app(scope, receive, send)
            return
        self._waiting += 1
        if self._places.locked() and self._look is None:
            self._make_room()
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._places.acquire()
        except TimeoutError:
            await too_busy()(scope, receive, send)
            return
        finally:
            self._waiting -= 1
        connection: Connection = scope["state"]["connection"]
        connection.begin()
        self._answering.append(connection)
        try:
            await self._app(scope, receive, send)
        finally:
            self._answering.remove(connection)
            self._places.release()

    def _make_room(self) -> None:
        """End those that hardly read, as many as there are that wait, and look again as long as there are any."""
        self._look = None
        if self._waiting:
            slow = [one for one in self._answering if _is_slow(one)]
            slow.sort(key=lambda one: one.waited_seconds, reverse=True)
            for connection in slow[: self._waiting]:
                self._connections.drop(connection)
            self._look = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._make_room)


def _is_slow(connection: Connection) -> bool:
    waited = connection.waited_seconds
    return (
        connection.stalled_seconds > _PATIENCE_SECONDS
        or (waited > _PATIENCE_SECONDS and connection.pieces < waited * _PIECES_A_SECOND)
        or waited > _SLOW_SECONDS
    )


class Sizes:
    """Refuses a request that says it is too large: 431 or 413. What does not say so, Http ends."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # h11 refuses a header only if it has read that much before the end: several times this may come at once.
        header = sum(len(name) + len(value) + 4 for name, value in scope["headers"])
        if header + len(scope["raw_path"]) + len(scope["query_string"]) > MAX_HEADER:
            await _too_large(431, MAX_HEADER)(scope, receive, send)
            return
        lengths = [value for name, value in scope["headers"] if name == b"content-length"]
        if any(int(length) > MAX_BODY for length in lengths):
            await _too_large(413, MAX_BODY)(scope, receive, send)
            return
        await self._app(scope, receive, send)


class Pieces:
    """Hands large answers out in pieces: a client that does not read costs one of them beside the page itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def in_pieces(message: Message) -> None:
            body = message.get("body", b"")
            if message["type"] != "http.response.body" or len(body) <= _PIECE:
                await send(message)
                return
            last = len(body) - _PIECE
            for start in range(0, len(body), _PIECE):
                more = start < last or message.get("more_body", False)
                await send({**message, "body": body[start : start + _PIECE], "more_body": more})
                scope["state"]["connection"].pieces += 1
                # Others are to be answered as well.
                await asyncio.sleep(0)

        await self._app(scope, receive, in_pieces)
