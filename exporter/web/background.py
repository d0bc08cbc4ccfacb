"""Work off the event loop, in threads that never hold up the end of the program."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


async def in_background(function: Callable[[], T]) -> T:
    """Run `function` in a daemon thread of its own; its result or exception is this coroutine's.

    The threads of asyncio.to_thread are waited for when the loop ends: a reload that asks a slow URL would hold up
    the exit for as long as that takes.
    """
    future: Future[T] = Future()

    def run() -> None:
        # From here on it cannot be cancelled: whoever waited may, and then nobody looks at the result.
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = function()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=run, name="background", daemon=True).start()
    return await asyncio.wrap_future(future)
