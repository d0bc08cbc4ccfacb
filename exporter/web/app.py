"""The HTTP side: routes and status codes. What it shows comes from a Backend; it probes nothing itself."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from functools import partial
from typing import Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from exporter.errors import WardError
from exporter.exposition.text import CONTENT_TYPE
from exporter.state.verdict import Verdicts
from exporter.web import views
from exporter.web.changes import Position
from exporter.web.events import MOST_LISTENERS, Live, Stream
from exporter.web.files import Files
from exporter.web.page import Page, wants_gzip

log = logging.getLogger(__name__)

MOST_SHARDS = 64
_SHARD = re.compile(r"(\d{1,3})/(\d{1,3})", re.ASCII)


class Backend(Protocol):
    """What the pages need of the service."""

    @property
    def verdicts(self) -> Verdicts: ...
    def render_metrics(self) -> bytes: ...
    def render_snmp(self, shard: tuple[int, int]) -> bytes:
        """Of so many shards (the second number), the one of this number, from 0."""

    @property
    def ending(self) -> bool:
        """Whether the exporter is about to end."""

    @property
    def interval(self) -> float:
        """Seconds between two probes of a device."""

    def unhealthy(self) -> str:
        """Why the exporter is not healthy, "" if it is."""

    def unready(self) -> str: ...
    async def reload(self) -> None:
        """Raises WardError; the old configuration then stays."""


def create_app(backend: Backend) -> Starlette:
    """The ASGI application."""
    metrics = Page(backend.render_metrics)
    states = Page(lambda: views.device_states(backend.verdicts))
    shards: dict[tuple[int, int], Page] = {}

    def targets(roles: Sequence[str]) -> bytes:
        return views.discovery(backend.verdicts.inventory.devices, roles)

    every_target = Page(partial(targets, ()))
    live = Live(backend)
    files = Files()

    async def serve_metrics(request: Request) -> Response:
        return await _page(request, metrics, CONTENT_TYPE)

    async def serve_snmp(request: Request) -> Response:
        unknown = sorted(set(request.query_params) - {"shard"})
        if unknown:
            return _bad_query(unknown, "shard")
        given = request.query_params.getlist("shard") or ["0/1"]
        if len(given) > 1:
            return PlainTextResponse(f"shard is given {len(given)} times, expected: once\n", 400)
        try:
            shard = _shard(given[0])
        except ValueError as error:
            return PlainTextResponse(f"{error}\n", 400)
        if shard not in shards:
            shards[shard] = Page(partial(backend.render_snmp, shard))
        return await _page(request, shards[shard], CONTENT_TYPE)

    async def devices(request: Request) -> Response:
        return await _page(request, states, "application/json")

    async def healthy(_: Request) -> Response:
        return _verdict(backend.unhealthy(), "healthy")

    async def ready(_: Request) -> Response:
        return _verdict(backend.unready(), "ready")

    async def reload(_: Request) -> Response:
        try:
            await backend.reload()
        except (WardError, OSError) as error:
            log.warning("reload failed, the former configuration stays: %s", error)
            return PlainTextResponse(f"reload failed, the former configuration stays:\n{error}\n", 500)
        return PlainTextResponse("reloaded\n")

    async def discovery(request: Request) -> Response:
        unknown = sorted(set(request.query_params) - {"role"})
        if unknown:
            return _bad_query(unknown, "role")
        roles = request.query_params.getlist("role")
        return await _page(request, Page(partial(targets, roles)) if roles else every_target, "application/json")

    async def device(request: Request) -> Response:
        verdicts, name = backend.verdicts, request.path_params["name"]
        row = views.row_of(verdicts, name)
        if row is None:
            return JSONResponse({"error": f"no device is called {name!r}"}, 404)
        return JSONResponse(views.device_detail(verdicts, row))

    async def events(request: Request) -> Response:
        unknown = sorted(set(request.query_params) - {"after"})
        if unknown:
            return _bad_query(unknown, "after")
        if live.listeners >= MOST_LISTENERS:
            return PlainTextResponse("too many listen already\n", 503, {"retry-after": "10"})
        after = request.headers.get("last-event-id") or request.query_params.get("after", "")
        return Stream(live, Position.parse(after))

    async def wallboard(request: Request) -> Response:
        return files.index(request.headers)

    async def wallboard_device(request: Request) -> Response:
        known = views.row_of(backend.verdicts, request.path_params["name"]) is not None
        return files.index(request.headers, 200 if known else 404)

    async def wallboard_file(request: Request) -> Response:
        return files.answer(request.path_params["name"], request.headers)

    app = Starlette(
        routes=[
            Route("/", wallboard),
            Route("/device/{name:path}", wallboard_device),
            Route("/wallboard/{name}", wallboard_file),
            Route("/metrics", serve_metrics),
            Route("/metrics/snmp", serve_snmp),
            Route("/-/healthy", healthy),
            Route("/-/ready", ready),
            Route("/-/reload", reload, methods=["POST", "PUT"]),
            Route("/sd", discovery),
            Route("/api/v1/devices", devices),
            Route("/api/v1/devices/{name:path}", device),
            Route("/api/v1/events", events),
        ],
        exception_handlers={Exception: _failed},
    )
    # A path that is not listed is a 404, also with a slash too many.
    app.router.redirect_slashes = False
    return app


async def _page(request: Request, page: Page, content_type: str) -> Response:
    packed = wants_gzip(request.headers.get("accept-encoding", ""))
    headers = {"content-type": content_type, "vary": "accept-encoding"}
    if packed:
        headers["content-encoding"] = "gzip"
    return Response(await page.body(packed), headers=headers)


def _verdict(problem: str, good: str) -> Response:
    return PlainTextResponse(f"{problem}\n", 503) if problem else PlainTextResponse(f"{good}\n")


def _shard(text: str) -> tuple[int, int]:
    """`0/4` is the first of four; ValueError for anything else."""
    found = _SHARD.fullmatch(text)
    number, shards = (int(found[1]), int(found[2])) if found else (0, 0)
    if not number < shards <= MOST_SHARDS:
        raise ValueError(f"shard={text!r}; expected such as 0/4, the first of four, and at most {MOST_SHARDS}")
    return number, shards


def _bad_query(unknown: list[str], expected: str) -> Response:
    return PlainTextResponse(f"unknown query parameter {unknown[0]!r}, expected: {expected}\n", 400)


async def _failed(_: Request, __: Exception) -> Response:
    """The server logs the exception itself."""
    return PlainTextResponse("internal error, see the log\n", 500)
