"""The two long runs mostly wait: they are played beside the other tests, and judged when these are through."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stack.played import Played, Playing
from tests.stack.recorded import Recording, Run

_PLAYING = pytest.StashKey[Playing]()
_RECORDING = pytest.StashKey[Recording]()


def _asks_for(item: pytest.Item, fixture: str) -> bool:
    return isinstance(item, pytest.Function) and fixture in item.fixturenames


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Scenarios last. What was recorded behind the first third of the files: what it needs is up no longer."""
    played = [item for item in items if _asks_for(item, "played")]
    recorded = [item for item in items if _asks_for(item, "run")]
    others = [item for item in items if not (_asks_for(item, "played") or _asks_for(item, "run"))]
    files = list(dict.fromkeys(item.path for item in others))
    first = set(files[: len(files) // 3])
    before = [item for item in others if item.path in first]
    after = [item for item in others if item.path not in first]
    items[:] = [*before, *recorded, *after, *played]


def pytest_collection_finish(session: pytest.Session) -> None:
    if session.config.option.collectonly:
        return
    if any(_asks_for(item, "played") for item in session.items):
        session.config.stash[_PLAYING] = Playing()
    if any(_asks_for(item, "run") for item in session.items):
        session.config.stash[_RECORDING] = Recording()


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _PLAYING in session.config.stash:
        session.config.stash[_PLAYING].end()
    if _RECORDING in session.config.stash:
        session.config.stash[_RECORDING].end()


@pytest.fixture(scope="session")
def played(pytestconfig: pytest.Config) -> Played:
    return pytestconfig.stash[_PLAYING].result()


@pytest.fixture(scope="module")
def run(pytestconfig: pytest.Config) -> Iterator[Run]:
    recording = pytestconfig.stash[_RECORDING]
    yield recording.result()
    recording.end()
