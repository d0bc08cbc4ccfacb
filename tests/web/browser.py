"""Chromium without a window, in the simulated network or beside it, and a page that must not complain."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.servers.install import FLOOR, program
from tests.simnet import Simnet


@contextmanager
def chromium(net: Simnet | None = None) -> Iterator[Browser]:
    """The machine's own Chromium, which sees `net` as its network where one is given."""
    path = str(program("chromium", FLOOR))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        if net is not None:
            wrapper = Path(folder) / "chromium"
            wrapper.write_text(f'#!/bin/sh\nexec nsenter --net={shlex.quote(net.namespace)} -- {path} "$@"\n')
            wrapper.chmod(0o755)
            path = str(wrapper)
        browser = playwright.chromium.launch(executable_path=path)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(
    browser: Browser, url: str, *, width: int = 1920, height: int = 1080, scheme: str = "dark", quiet: bool = True
) -> Iterator[Page]:
    """A page at `url`; at the end it must have said nothing on its console, if it is to be `quiet`."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    try:
        page.goto(url)
        yield page
        assert not quiet or said == []
    finally:
        context.close()
