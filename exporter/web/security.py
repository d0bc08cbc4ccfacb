"""Who may ask for what: headers of every answer, a line for every change, the rate limit, other sites, passwords.

Each is a small ASGI application around another one; `protect` says in which order. What they go by is looked up for
each request: the web configuration may have changed since the last.
"""

from __future__ import annotations

import base64
import binascii
import logging
import math
import time
from collections.abc import Iterable

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.web.connections import Connections
from exporter.web.limits import AtOnce, Pieces, Sizes, too_busy
from exporter.web.live import LiveWebConfig
from exporter.web.passwords import Passwords, TooManyError
from exporter.web.web_config import Rate

#: Of its own, and of a level of its own: --log.level=error does not silence it.
audit = logging.getLogger("exporter.audit")
audit.setLevel(logging.INFO)

#: What changes nothing, and is all that a read-only user may do.
SAFE = ("GET", "HEAD", "OPTIONS")
#: For answers that do not say it themselves: they load what this server has, and nobody frames them.
POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
DEFAULT_HEADERS = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"}
_LONGEST_PATH = 200
_TOO_MANY = 429


def protect(app: ASGIApp, web: LiveWebConfig, connections: Connections) -> ASGIApp:
    """`app` as it may be shown to a network."""
    inner = AtOnce(Pieces(app), connections)
    return Headers(Audit(RateLimit(Sizes(SameOrigin(Authentication(inner, web))), web)), web)


class Headers:
    """The five headers that exporter-toolkit knows: as configured, else as the page says, else the defaults."""

    def __init__(self, app: ASGIApp, web: LiveWebConfig) -> None:
        self._app = app
        self._web = web

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        configured = {name.lower().encode(): value for name, value in self._web.current.headers.items()}

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower(): (name, value) for name, value in message.get("headers", ())}
                added = [(name.lower().encode(), value.encode()) for name, value in DEFAULT_HEADERS.items()]
                kept = [pair for pair in message.get("headers", ()) if pair[0].lower() not in configured]
                kept += [pair for pair in added if pair[0] not in given and pair[0] not in configured]
                kept += [(name, value.encode()) for name, value in configured.items() if value]
                message = {**message, "headers": kept}
            await send(message)

        await self._app(scope, receive, with_headers)


class RateLimit:
    """A token bucket over all requests, those that are refused for another reason too; 429 when it is empty."""

    def __init__(self, app: ASGIApp, web: LiveWebConfig) -> None:
        self._app = app
        self._web = web
        self._rate: Rate | None = None
        self._tokens = 0.0
        self._filled = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wait = self._take()
        if wait <= 0:
            await self._app(scope, receive, send)
            return
        later = {"retry-after": str(math.ceil(wait))}
        await PlainTextResponse("too many requests\n", _TOO_MANY, later)(scope, receive, send)

    def _take(self) -> float:
        """Take a token; else the seconds until there is one."""
        rate, now = self._web.current.rate, time.monotonic()
        if rate is None:
            return 0.0
        if rate != self._rate:
            self._rate, self._tokens, self._filled = rate, float(rate.burst), now
        self._tokens = min(rate.burst, self._tokens + (now - self._filled) / rate.interval)
        self._filled = now
        if self._tokens < 1:
            return (1 - self._tokens) * rate.interval
        self._tokens -= 1
        return 0.0


class Audit:
    """A line in the log for each request that is not a mere look, whatever becomes of it but a 429.

    A flood that the rate limit keeps out is kept out of the log as well.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in SAFE:
            await self._app(scope, receive, send)
            return
        status = 0

        async def noted(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        start = time.monotonic()
        try:
            await self._app(scope, receive, noted)
        finally:
            if status != _TOO_MANY:
                self._note(scope, status, time.monotonic() - start)

    @staticmethod
    def _note(scope: Scope, status: int, seconds: float) -> None:
        host, port = scope["client"] or ("", 0)
        peer = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        state = scope["state"]
        # A name is told once its password was right: else it may be a password in the wrong place.
        who = state.get("user") or (f"certificate {state['certificate']}" if state["certificate"] else "anonymous")
        path = scope["raw_path"][:_LONGEST_PATH].decode("ascii", "replace")
        answer = status or "no answer"
        audit.info("%s from %s: %s %s: %s in %.3f s", who, peer, scope["method"], path, answer, seconds)


class SameOrigin:
    """No page of another server changes anything here by its reader's browser, which knows the password."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in SAFE or _from_here(scope["headers"]):
            await self._app(scope, receive, send)
        else:
            await PlainTextResponse("asked for by a page of another server\n", 403)(scope, receive, send)


def _from_here(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """By what browsers send on their own: programs that are none send neither header."""
    host = next((value.lower() for name, value in headers if name == b"host"), b"")
    for name, value in headers:
        if name == b"sec-fetch-site" and value not in (b"same-origin", b"none"):
            return False
        # Without its scheme: behind a proxy that speaks TLS, this server does not.
        if name == b"origin" and value.lower().partition(b"://")[2] != host:
            return False
    return True


class Authentication:
    """Basic authentication on every path there is, and on those that there are not; readers may only read."""

    def __init__(self, app: ASGIApp, web: LiveWebConfig) -> None:
        self._app = app
        self._web = web
        self._passwords = Passwords()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        users = self._web.current.users
        if not users:
            await self._app(scope, receive, send)
            return
        name, password = _credentials(scope)
        # asyncio does not know who has left already.
        peer, _ = scope["client"] or ("::", 0)
        try:
            right = bool(name) and await self._passwords.right(users, name, password, peer)
        except TooManyError:
            await too_busy()(scope, receive, send)
            return
        if not right:
            ask = {"www-authenticate": 'Basic realm="ward-exporter", charset="UTF-8"'}
            await PlainTextResponse("name or password is wrong\n", 401, ask)(scope, receive, send)
            return
        scope["state"]["user"] = name
        if scope["method"] not in SAFE and not users[name].may_change:
            await PlainTextResponse("this user may only read\n", 403)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _credentials(scope: Scope) -> tuple[str, bytes]:
    """Name and password that a request brings, the name "" if it brings none, or more than one."""
    values = [value for name, value in scope["headers"] if name == b"authorization"]
    scheme, _, coded = values[0].partition(b" ") if len(values) == 1 else (b"", b"", b"")
    if scheme.lower() != b"basic":
        return "", b""
    try:
        name, _, password = base64.b64decode(coded.strip(), validate=True).partition(b":")
        return name.decode(), password
    except (binascii.Error, UnicodeDecodeError):
        return "", b""
