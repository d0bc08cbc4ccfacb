"""uvicorn as the service uses it: on a socket that is open already, with signals left to the service."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import Any, cast

import uvicorn

from exporter.errors import ListenError
from exporter.web.connections import (
    KEEP_ALIVE_SECONDS,
    MAX_BODY,
    MAX_HEADER,
    Connection,
    Connections,
    Http,
    most_connections,
)
from exporter.web.live import LiveWebConfig
from exporter.web.security import DEFAULT_HEADERS
from exporter.web.tls import ServerTls, client_name

log = logging.getLogger(__name__)

#: After SIGTERM, a client that does not read its answer is waited for no longer than this.
_GRACE_SECONDS = 1
_BACKLOG = 1024
_AT_ONCE = 64
_HANDSHAKE_SECONDS = 5.0
_TLS_CLOSE_SECONDS = 2.0
#: Why accept(2) fails for a while, and how often that is told.
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_TOLD_SECONDS = 60.0
_BUSY = b"too many requests at once\n"


class Server(uvicorn.Server):
    """Runs until `should_exit` is set."""

    def __init__(
        self,
        app: Any,
        web: LiveWebConfig | None = None,
        connections: Connections | None = None,
        max_body: int = MAX_BODY,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                # httptools reads a header without end, and one of a megabyte.
                http="h11",
                h11_max_incomplete_event_size=MAX_HEADER,
                ws="none",
                lifespan="off",
                log_config=None,
                # A warning for each client that does not speak HTTP would let anyone fill the log.
                log_level="error",
                access_log=False,
                server_header=False,
                # Who asked is who is at the other end: X-Forwarded-For says what its writer likes.
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )
        self._web = web or LiveWebConfig()
        # Not `or`: without any connection it is as good as false.
        self._connections = Connections(most_connections()) if connections is None else connections
        self._max_body = max_body
        self._handshakes: set[asyncio.Task[None]] = set()
        self._exhausted_until = 0.0

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone: uvicorn would raise them again before the state is saved."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, but TLS is decided connection by connection, and those in a handshake are counted too."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._failed)
        self.servers = []
        for listening in sockets or ():
            server = await loop.create_server(lambda: _Entry(self._accept), sock=listening, backlog=_AT_ONCE)
            self.servers.append(server)
            # asyncio takes as many at once as it lets wait; others are to be served in between, none turned away.
            listening.listen(_BACKLOG)
        self.started = True

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Tell once what asyncio tells 64 times a second, as long as connections wait and cannot be accepted."""
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in _EXHAUSTED:
            loop.default_exception_handler(context)
        elif loop.time() >= self._exhausted_until:
            self._exhausted_until = loop.time() + _TOLD_SECONDS
            log.warning("connections have to wait: %s", error.strerror)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._connections.drop_fresh()
        await super().shutdown(sockets)

    def _accept(self, transport: asyncio.Transport) -> None:
        connection, tls = Connection(transport), self._web.current.tls
        if not self._connections.admit(connection):
            if tls is None:
                transport.write(_busy(self._web.current.headers))
            transport.close()
            return
        http = Http(self.config, self.server_state, self._connections, connection, self._max_body)
        if tls is None:
            transport.set_protocol(http)
            http.connection_made(transport)
        else:
            task = asyncio.get_running_loop().create_task(self._shake_hands(connection, http, tls))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    async def _shake_hands(self, connection: Connection, http: Http, tls: ServerTls) -> None:
        peer = connection.transport.get_extra_info("peername")
        try:
            encrypted = await asyncio.get_running_loop().start_tls(
                connection.transport,
                http,
                tls.context,
                server_side=True,
                ssl_handshake_timeout=_HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=_TLS_CLOSE_SECONDS,
            )
        except (OSError, ssl.SSLError) as error:
            log.debug("no TLS with %s: %s", peer, error)
            self._connections.gone(connection)
            connection.transport.abort()
            return
        certificate = encrypted.get_extra_info("peercert") or {} if encrypted else {}
        if encrypted is None or encrypted.is_closing() or not tls.admits(certificate):
            log.debug("%s is not let in: its certificate is that of %r", peer, client_name(certificate))
            self._connections.gone(connection)
            connection.transport.abort()
            return
        http.name_client(client_name(certificate))
        http.connection_made(encrypted)


class _Entry(asyncio.Protocol):
    """Hands a new connection on, before anything has come from it."""

    def __init__(self, accept: Any) -> None:
        self._accept = accept

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._accept(cast(asyncio.Transport, transport))


def _busy(configured: Mapping[str, str]) -> bytes:
    """A 503 without a request, with the headers that any answer has."""
    headers = {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": str(len(_BUSY)),
        "Retry-After": "1",
        "Connection": "close",
        **DEFAULT_HEADERS,
        **configured,
    }
    lines = [f"{name}: {value}\r\n" for name, value in headers.items() if value]
    return f"HTTP/1.1 503 Service Unavailable\r\n{''.join(lines)}\r\n".encode() + _BUSY


def url(listening: socket.socket, *, tls: bool) -> str:
    """Where a browser on this machine finds what listens there."""
    host, port = listening.getsockname()[:2]
    if host in ("::", "0.0.0.0"):
        host = "localhost"
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}/"


def listen(address: str) -> socket.socket:
    """A listening socket for `host:port`, `[v6]:port` or `:port` (every address). Raises ListenError."""
    host, colon, port_text = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    is_port = bool(colon) and port_text.isdecimal() and int(port_text) <= 65_535
    if not is_port or (":" in host and not bracketed):
        raise ListenError(f"--web.listen-address: found {address!r}, expected host:port, [IPv6]:port or :port")
    port = int(port_text)
    try:
        if host:
            family = socket.AF_INET6 if bracketed else socket.AF_INET
            listening = socket.create_server((host.strip("[]"), port), family=family, backlog=1024)
        elif socket.has_dualstack_ipv6():
            listening = socket.create_server(
                ("::", port), family=socket.AF_INET6, backlog=1024, dualstack_ipv6=True
            )
        else:
            listening = socket.create_server(("0.0.0.0", port), backlog=1024)
    except OSError as error:
        # To the errors of bind(2), create_server adds the address once more.
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise ListenError(f"cannot listen on {address}: {reason}") from error
    # Connections inherit it. asyncio does this only for sockets whose protocol is named, which these do not: a body
    # behind its headers would then wait 40 ms for the client's delayed acknowledgement.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening
