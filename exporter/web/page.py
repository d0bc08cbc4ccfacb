"""One rendering for all scrapes that arrive while it lasts."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable


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
        # shield: a client that goes away must not take the page from the others.
        if self._plain is None:
            self._plain = asyncio.create_task(asyncio.to_thread(self._render))
            self._plain.add_done_callback(lambda _: setattr(self, "_plain", None))
        plain = self._plain
        if not packed:
            return await asyncio.shield(plain)
        if self._packed is None:
            self._packed = asyncio.create_task(self._compress(plain))
            self._packed.add_done_callback(lambda _: setattr(self, "_packed", None))
        return await asyncio.shield(self._packed)

    @staticmethod
    async def _compress(plain: asyncio.Task[bytes]) -> bytes:
        return await asyncio.to_thread(gzip.compress, await plain, 1, mtime=0)


def wants_gzip(accept_encoding: str) -> bool:
    """Whether the client takes gzip (RFC 9110, 12.5.3)."""
    for item in accept_encoding.lower().split(","):
        coding, _, parameters = item.partition(";")
        if coding.strip() in ("gzip", "*"):
            quality = parameters.strip().removeprefix("q=").strip()
            return not (quality and quality.replace("0", "").strip(".") == "")
    return False
