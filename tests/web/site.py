"""A real server on a real socket, with a backend that the test holds."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from exporter.state.verdict import Verdicts
from exporter.web.app import create_app
from exporter.web.server import Server, listen
from tests.state.driver import Driver

#: A name that would be markup if a page forgot to escape it.
NASTY = "<script>alert(\"x\")</script> & 'co'"


class Backend:
    """What the web side needs of a service; each answer is the test's to set."""

    def __init__(self, driver: Driver) -> None:
        self.verdicts: Verdicts = driver.verdicts
        self.page: Callable[[], bytes] = lambda: b"ward_up 1\n" * 1000
        self.renders = 0
        self.sick = self.busy = ""
        self.ending = False
        self.interval = 1.0
        self.reloads = 0
        self.failure: BaseException | None = None

    def render_metrics(self) -> bytes:
        self.renders += 1
        return self.page()

    def render_snmp(self, shard: tuple[int, int]) -> bytes:
        return b"shard %d of %d\n" % shard

    def unhealthy(self) -> str:
        return self.sick

    def unready(self) -> str:
        return self.sick or self.busy

    async def reload(self) -> None:
        self.reloads += 1
        if self.failure is not None:
            raise self.failure


class Web:
    """A running server."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._socket = listen("127.0.0.1:0")
        self.port: int = self._socket.getsockname()[1]
        self._server = Server(create_app(backend))
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))

    def close(self) -> None:
        self.backend.ending = True
        self._server.should_exit = True
        self._thread.join()

    def keep_little(self) -> None:
        """From now on the kernel holds only a few kilobytes that a client has not taken yet."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

    def requests(self) -> int:
        """How many are being answered."""
        return len(self._server.server_state.tasks)

    def ask(
        self, path: str, method: str = "GET", headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def json(self, path: str) -> Any:
        status, headers, body = self.ask(path)
        assert (status, headers["content-type"]) == (200, "application/json")
        return json.loads(body)


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
