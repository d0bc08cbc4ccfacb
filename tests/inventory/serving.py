"""An HTTP server for tests, whose answer can change between requests."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Server:
    """An HTTP server whose answer a test can change; `seen` holds the headers of each request."""

    def __init__(self) -> None:
        self.answer: Callable[[BaseHTTPRequestHandler], None] = give([])
        self.seen: list[dict[str, str]] = []
        self.released = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.seen.append({name.lower(): value for name, value in self.headers.items()})
                outer.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing on the terminal."""

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that hangs up is what some of the tests are about."""

        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/sd"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,))
        self.thread.start()

    def stop(self) -> None:
        """Let go of what still hangs, and close the port."""
        self.released.set()
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


def give(
    content: object, status: int = 200, kind: str = "application/json"
) -> Callable[[BaseHTTPRequestHandler], None]:
    """An answer with this content: text or bytes as they are, all else as JSON."""
    text = content if isinstance(content, str | bytes) else json.dumps(content)
    body = text.encode() if isinstance(text, str) else text

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer
