"""Connections: how many at once, which makes room when they are too many, how long a client may ask and read.

A client that says nothing, or half a header, is cut off after a while, and gives way at once to one that is new. So
no number of them keeps a scrape out.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections import OrderedDict

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

#: Request line and headers.
MAX_HEADER = 16 * 2**10
HEADER_SECONDS = 10.0
#: No page of the exporter asks for a body. It counts as it comes: chunks of one byte cost six.
MAX_BODY = 64 * 2**10
BODY_SECONDS = 30.0
#: What is parsed of one client before the others get their turn: some milliseconds, in chunks of one byte.
_PIECE = 4 * 2**10
#: A client that reads less than a piece of an answer in this time is not waited for.
STALL_SECONDS = 10.0
#: After it an unused connection is closed; Prometheus comes back within it.
KEEP_ALIVE_SECONDS = 75
#: What is still to be sent when a connection is closed may take this long.
_CLOSE_SECONDS = 2.0
_MOST = 4096


def most_connections() -> int:
    """4,096, or half of the descriptors that this process may have: the rest is for the inventory and the log."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if allowed == resource.RLIM_INFINITY else max(16, min(_MOST, allowed // 2))


class Connection:
    """A socket from its acceptance to its end, and how its client reads the answer that is being sent."""

    __slots__ = ("_waited", "pieces", "stalled", "transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        #: Since when its client does not read.
        self.stalled: float | None = None
        self._waited = 0.0
        #: How many of its answer it has taken, or nearly so.
        self.pieces = 0

    def begin(self) -> None:
        """Another answer: how the client read the last one does not count."""
        self._waited = 0.0
        self.pieces = 0

    def set_stalled(self, stalled: bool) -> None:
        self._waited += self.stalled_seconds
        self.stalled = time.monotonic() if stalled else None

    @property
    def stalled_seconds(self) -> float:
        """How long its client has not read."""
        return 0.0 if self.stalled is None else time.monotonic() - self.stalled

    @property
    def waited_seconds(self) -> float:
        """How long this answer has waited for its client, bit by bit too."""
        return self._waited + self.stalled_seconds


class Connections:
    """All that are open: those that have not asked for anything yet, those that have, and those being answered."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._fresh: OrderedDict[Connection, None] = OrderedDict()
        self._idle: OrderedDict[Connection, None] = OrderedDict()
        self._busy: OrderedDict[Connection, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._fresh) + len(self._idle) + len(self._busy)

    def admit(self, connection: Connection) -> bool:
        """Take it in, in place of one that is not being answered if need be; False if there is none."""
        if len(self) >= self._most:
            waiting = self._fresh or self._idle
            if not waiting:
                return False
            self.drop(next(iter(waiting)))
        self._fresh[connection] = None
        return True

    def set_busy(self, connection: Connection, busy: bool) -> None:
        """It is being answered from now on, or no more."""
        if self._remove(connection):
            (self._busy if busy else self._idle)[connection] = None

    def gone(self, connection: Connection) -> None:
        self._remove(connection)

    def drop_fresh(self) -> None:
        """End those that have not asked for anything."""
        for connection in [*self._fresh]:
            self.drop(connection)

    def drop(self, connection: Connection) -> None:
        """End it."""
        self._remove(connection)
        # Not close(): that waits for the client.
        connection.transport.abort()

    def _remove(self, connection: Connection) -> bool:
        for known in (self._fresh, self._idle, self._busy):
            if connection in known:
                del known[connection]
                return True
        return False


class Http(H11Protocol):
    """HTTP on one connection, with deadlines."""

    def __init__(
        self, config: Config, state: ServerState, connections: Connections, connection: Connection, max_body: int
    ) -> None:
        super().__init__(config, state, {"certificate": "", "connection": connection})
        self._connections = connections
        self._connection = connection
        self._unread = b""
        self._max_body = max_body
        self._body = 0
        self._phase = ""
        self._deadline: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None

    def name_client(self, client: str) -> None:
        """Whom the client's certificate speaks of: requests have it in their state."""
        self.app_state["certificate"] = client

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._enter("header")
        if self._unread:
            self._parse()

    def data_received(self, data: bytes) -> None:
        parsing = bool(self._unread)
        self._unread += data
        # After a TLS handshake data may come before the transport is made known.
        if self.transport is not None and not parsing:
            self._parse()

    def _parse(self) -> None:
        """Take in a piece, and the next one once the others have had their turn."""
        if self.transport.is_closing():
            self._unread = b""
            return
        piece, self._unread = self._unread[:_PIECE], self._unread[_PIECE:]
        if self.conn.their_state is h11.SEND_BODY:
            self._body += len(piece)
            if self._body > self._max_body:
                self.transport.abort()
                return
        try:
            super().data_received(piece)
        except h11.LocalProtocolError:
            # The client has broken the protocol in the middle of its answer: there is no way to tell it.
            self.transport.abort()
        self._look(receiving=True)
        if self._unread:
            self.transport.pause_reading()
            self.loop.call_soon(self._parse)
        elif not self.flow.read_paused:
            self.transport.resume_reading()

    def on_response_complete(self) -> None:
        # Nobody reads these chunks, and nobody knows how many are to come.
        chunked = any(name == b"transfer-encoding" for name, _ in self.headers)
        if chunked and self.conn.their_state is h11.SEND_BODY:
            self.transport.close()
        super().on_response_complete()
        self._look(receiving=False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.gone(self._connection)
        self._enter("")
        self._set_stalled(False)
        if self.transport is not None:
            super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._set_stalled(True)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._set_stalled(False)

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self.loop.call_later(_CLOSE_SECONDS, self._connection.transport.abort)

    def _set_stalled(self, stalled: bool) -> None:
        self._connection.set_stalled(stalled)
        if self._stall is not None:
            self._stall.cancel()
        abort = self._connection.transport.abort
        self._stall = self.loop.call_later(STALL_SECONDS, abort) if stalled else None

    def _look(self, *, receiving: bool) -> None:
        """What the client is at, now that something has come from it or gone to it."""
        answering = self.cycle is not None and not self.cycle.response_complete
        if self.cycle is not None:
            self._connections.set_busy(self._connection, answering)
        if self.conn.their_state is h11.SEND_BODY:
            self._enter("body")
        elif self.conn.their_state is h11.IDLE and not answering and receiving:
            self._enter("header")
        else:
            self._enter("")

    def _enter(self, phase: str) -> None:
        """Start the clock of a phase, unless it runs."""
        if phase == self._phase:
            return
        self._phase = phase
        self._body = 0
        if self._deadline is not None:
            self._deadline.cancel()
        seconds = {"header": HEADER_SECONDS, "body": BODY_SECONDS}
        abort = self._connection.transport.abort
        self._deadline = self.loop.call_later(seconds[phase], abort) if phase else None
