"""uvicorn as the service uses it: on a socket that is open already, with signals left to the service."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from exporter.errors import ListenError

#: After SIGTERM, a client that does not read its answer is waited for no longer than this.
_GRACE_SECONDS = 1


class Server(uvicorn.Server):
    """Runs until `should_exit` is set."""

    def __init__(self, app: Any) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                # httptools reads a header without end, and one of a megabyte.
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone: uvicorn would raise them again before the state is saved."""
        yield


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
