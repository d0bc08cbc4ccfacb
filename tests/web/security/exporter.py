"""The whole exporter, run as a user runs it, behind a web configuration."""

from __future__ import annotations

import contextlib
import http.client
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests.serving import FAST, Serving, until
from tests.simnet.network import Response


class SecuredExporter(Serving):
    """One loopback device, and `web` as its --web.config.file."""

    def __init__(self, folder: Path, web: Path) -> None:
        super().__init__(folder)
        self.web = web
        self.configure(FAST)
        self.devices({"a": "127.0.1.1"})

    def start_listening(self, *flags: str) -> Self:
        """Start it, and wait until it takes connections: what it says to them is the test's business."""
        process = self.start(f"--web.config.file={self.web}", *flags)

        def listening() -> bool:
            assert process.poll() is None, self.log.read_text()
            return "listening on port" in self.log.read_text()

        until(listening, 30)
        return self

    def request(
        self,
        path: str,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        context: ssl.SSLContext | None = None,
    ) -> Response:
        """One request with these headers, encrypted if there is a context."""
        if context is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        else:
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=context)
        with contextlib.closing(connection):
            connection.request(method, path, headers=dict(headers or {}))
            answer = connection.getresponse()
            told = {name.lower(): value for name, value in answer.getheaders()}
            return Response(answer.status, told, answer.read())
