"""What notifications arrive at: an HTTP server that stands for every service, and a mail server."""

from __future__ import annotations

import base64
import http.server
import json
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Self

#: A notification is a second or two away; a machine that is busy with other things takes longer.
PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request that came in; `body` is the JSON that it carried."""

    path: str
    headers: dict[str, str]
    body: Any
    at: float


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail that came in, and who brought it."""

    sender: str
    to: list[str]
    login: str
    encrypted: bool
    message: EmailMessage


@dataclass(slots=True)
class Arrivals:
    """What has come in; waits for what is to come."""

    items: list[Any] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def add(self, item: Any) -> None:
        with self.changed:
            self.items.append(item)
            self.changed.notify_all()

    def wait(self, number: int, of: Callable[[Any], bool], seconds: float = PATIENCE) -> list[Any]:
        """The first `number` items for which `of` holds; an assertion fails if they do not come."""
        with self.changed:
            self.changed.wait_for(lambda: sum(map(of, self.items)) >= number, seconds)
            found = [item for item in self.items if of(item)]
        assert len(found) >= number, f"{len(found)} of {number} have come"
        return found[:number]


class Service:
    """An HTTP server that accepts all it gets; a path's first part says which service it stands for."""

    def __init__(self) -> None:
        self.arrivals = arrivals = Arrivals()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")
                arrivals.add(Request(self.path, dict(self.headers), json.loads(body), time.monotonic()))

            do_PUT = do_POST  # noqa: N815 - http.server's name

            def log_message(self, *_: object) -> None:
                return

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def got(self, path: str, number: int = 1, seconds: float = PATIENCE) -> list[Request]:
        """The first `number` requests below `path`."""
        return self.arrivals.wait(number, lambda item: item.path.startswith(path), seconds)

    def count(self, path: str) -> int:
        return sum(item.path.startswith(path) for item in self.arrivals.items)


class MailServer:
    """SMTP as SendGrid speaks it: no mail without STARTTLS and AUTH PLAIN. Its certificate is put into `folder`."""

    def __init__(self, folder: Path) -> None:
        self.arrivals = arrivals = Arrivals()
        self.certificate = folder / "certificate.pem"
        key = folder / "key.pem"
        request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=mail"
        names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", self.certificate]
        subprocess.run(["openssl", *request.split(), *names], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)

        class Session(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                speak(self, context, arrivals)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Session)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def got(self, number: int = 1) -> list[Mail]:
        return self.arrivals.wait(number, lambda _: True)


def speak(session: socketserver.StreamRequestHandler, context: ssl.SSLContext, arrivals: Arrivals) -> None:
    """One SMTP session, as far as a client needs it to deliver mails."""
    with ExitStack() as closing:
        connection, lines = session.request, session.rfile
        encrypted, login, sender = False, "", ""
        to: list[str] = []
        connection.sendall(b"220 mail\r\n")
        while line := lines.readline():
            verb, _, rest = line.decode().strip().partition(" ")
            answer = "250 ok"
            match verb.upper():
                case "EHLO":
                    answer = "250-mail\r\n250 AUTH PLAIN" if encrypted else "250-mail\r\n250 STARTTLS"
                case "STARTTLS":
                    connection.sendall(b"220 go on\r\n")
                    connection = closing.enter_context(context.wrap_socket(connection, server_side=True))
                    lines = closing.enter_context(connection.makefile("rb"))
                    encrypted = True
                    continue
                case "AUTH":
                    login = base64.b64decode(rest.removeprefix("PLAIN ")).decode().replace("\0", " ").strip()
                    answer = "235 welcome"
                case "MAIL":
                    sender, to = rest, []
                    answer = "250 ok" if login else "530 who are you"
                case "RCPT":
                    to = [*to, rest]
                case "DATA":
                    connection.sendall(b"354 go on\r\n")
                    body = b""
                    while (part := lines.readline()) not in (b".\r\n", b""):
                        body += part.removeprefix(b".").replace(b"\r\n", b"\n")
                    message = message_from_bytes(body, policy=policy.default)
                    assert isinstance(message, EmailMessage)
                    arrivals.add(Mail(sender, to, login, encrypted, message))
                case "QUIT":
                    connection.sendall(b"221 bye\r\n")
                    return
            connection.sendall(answer.encode() + b"\r\n")
