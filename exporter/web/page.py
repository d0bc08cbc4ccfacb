"""One rendering for all requests that arrive while it lasts."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from functools import partial

from exporter.web.background import in_background


class Page:
    """A page that is costly to render: `render` runs in a thread, once for everyone who waits for it.

    Compression is shared the same way, at level 1: a scrape crosses a local network, and level 9 would cost six
    times the CPU for a tenth less bytes.
    """

    def __init__(self, render: Callable[[], bytes]) -> None:
        self._render = render
        self._plain: asyncio.Task[bytes] | None = None
        self._packed: asyncio.Task[bytes] | None = None

    async def body(self, packed: bool) -> bytes:
        """The page, gzipped or not; raises what `render` raises, and renders anew the next time."""
        # shield: a client that goes away must not take the page from the others.
        return await asyncio.shield(self._packed_task() if packed else self._plain_task())

    def _plain_task(self) -> asyncio.Task[bytes]:
        if self._plain is None:
            self._plain = asyncio.create_task(in_background(self._render))
            self._plain.add_done_callback(lambda _: setattr(self, "_plain", None))
        return self._plain

    def _packed_task(self) -> asyncio.Task[bytes]:
        if self._packed is None:
            self._packed = asyncio.create_task(self._pack())
            self._packed.add_done_callback(lambda _: setattr(self, "_packed", None))
        return self._packed

    async def _pack(self) -> bytes:
        plain = await asyncio.shield(self._plain_task())
        return await in_background(partial(gzip.compress, plain, 1, mtime=0))


def wants_gzip(accept_encoding: str) -> bool:
    """Whether the client takes gzip (RFC 9110, 12.5.3): by its name, else by `*`."""
    accepted: dict[str, bool] = {}
    for item in accept_encoding.lower().split(","):
        coding, *parameters = (part.strip() for part in item.split(";"))
        accepted[coding.removeprefix("x-")] = not any(map(_is_zero, parameters))
    return accepted.get("gzip", accepted.get("*", False))


def _is_zero(parameter: str) -> bool:
    name, _, value = parameter.partition("=")
    return name.strip() == "q" and value.strip().rstrip("0") in ("", ".", "0.")
