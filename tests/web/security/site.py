"""A real server that goes by a web configuration, and clients for it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import shutil
import socket
import ssl
import threading
from collections.abc import Mapping
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.web.app import create_app
from exporter.web.connections import Connections
from exporter.web.live import LiveWebConfig
from exporter.web.security import protect
from exporter.web.server import Server, listen
from tests.state.driver import Driver, device
from tests.web.site import Backend

PASSWORDS = {name: f"S3cret of {name}" for name in ("alice", "bob", "carol")}


def basic(name: str, password: str | None = None) -> dict[str, str]:
    """The header of a user, by default with the right password."""
    pair = f"{name}:{PASSWORDS[name] if password is None else password}"
    return {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


class Secured:
    """Serves the application of the exporter, or `app`, as the file `name` of `folder` says; a context manager.

    `web.yml` in the folder is the copy that it goes by.
    """

    def __init__(self, folder: Path, name: str, *, app: ASGIApp | None = None, most: int = 100) -> None:
        self.folder = folder
        self.backend = Backend(Driver([device("a")]))
        self.config = folder / "web.yml"
        shutil.copy(folder / name, self.config)
        self.live = LiveWebConfig(self.config)
        self.connections = Connections(most)
        self._socket = listen("127.0.0.1:0")
        self.port: int = self._socket.getsockname()[1]
        protected = protect(app or create_app(self.backend), self.live, self.connections)
        self._server = Server(protected, self.live, self.connections)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Secured:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.backend.ending = True
        self._server.should_exit = True
        self._thread.join()

    def _run(self) -> None:
        async def serve() -> None:
            watch = asyncio.create_task(self.live.watch())
            await self._server.serve(sockets=[self._socket])
            watch.cancel()

        asyncio.run(serve())

    def context(self, certificate: str = "", version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        """A client's, which knows our authority, and shows a certificate if it is given one."""
        context = ssl.create_default_context(cafile=self.folder / "ca.crt")
        if certificate:
            context.load_cert_chain(self.folder / f"{certificate}.crt", self.folder / f"{certificate}.key")
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context

    def ask(
        self,
        path: str = "/metrics",
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        context: ssl.SSLContext | None = None,
        body: bytes | None = None,
        source: str = "127.0.0.1",
    ) -> tuple[int, dict[str, str], bytes]:
        """One request: status, headers in small letters, body. Raises OSError, http.client.HTTPException."""
        if context is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10, source_address=(source, 0))
        else:
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10, context=context)
        with contextlib.closing(connection):
            connection.request(method, path, headers=dict(headers or {}), body=body)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def status(
        self,
        path: str = "/metrics",
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        context: ssl.SSLContext | None = None,
    ) -> int:
        return self.ask(path, method, headers, context)[0]

    def keep_little(self) -> None:
        """From now on the kernel holds only a few kilobytes that a client has not taken yet."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)


class Held:
    """An application that answers `body` once it is let; `under_way` counts those that wait."""

    def __init__(self, body: bytes = b"here\n") -> None:
        self.body = body
        self.under_way = 0
        self.let = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.under_way += 1
        while not self.let.is_set():
            await asyncio.sleep(0.005)
        self.under_way -= 1
        length = str(len(self.body)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": self.body})


def ended(client: socket.socket, seconds: float = 10) -> bool:
    """Wait until the server has closed the connection, whatever it says before. Raises TimeoutError."""
    client.settimeout(seconds)
    try:
        while client.recv(65_536):
            pass
    except ConnectionError:
        return True
    return True
