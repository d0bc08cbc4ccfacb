"""The stories take minutes of one core: they are told beside the other tests, in what these leave of it."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.rules.running import Tool
from tests.rules.world import Case

#: Whether the rules do what the stories say, and if not, what is wrong with which.
Told = tuple[bool, str]


@dataclass(frozen=True, slots=True)
class Telling:
    """Stories about the rules of some files, to be told to one tool."""

    tool: Tool
    files: Sequence[str]
    cases: Sequence[Callable[[], Iterable[Case]]]

    def told(self) -> Told:
        with tempfile.TemporaryDirectory() as folder:
            return self.tool.run(self.files, [case for cases in self.cases for case in cases()], Path(folder))


_POOL = pytest.StashKey[ProcessPoolExecutor]()
_TOLD = pytest.StashKey[dict[str, Future[Told]]]()


def _behind_others() -> None:
    os.nice(15)


def pytest_collection_finish(session: pytest.Session) -> None:
    tellings = {
        item.nodeid: item.callspec.params["stories_told"]
        for item in session.items
        if isinstance(item, pytest.Function) and "stories_told" in item.fixturenames
    }
    if tellings and not session.config.option.collectonly:
        context = multiprocessing.get_context("spawn")
        pool = session.config.stash[_POOL] = ProcessPoolExecutor(1, context, _behind_others)
        session.config.stash[_TOLD] = {name: pool.submit(telling.told) for name, telling in tellings.items()}


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _POOL in session.config.stash:
        session.config.stash[_POOL].shutdown(cancel_futures=True)


@pytest.fixture
def stories_told(request: pytest.FixtureRequest) -> Told:
    return request.config.stash[_TOLD][request.node.nodeid].result()
