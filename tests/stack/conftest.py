"""The scenarios take six minutes, mostly waiting: they are played beside the other tests, and judged last."""

from __future__ import annotations

import pytest

from tests.stack.played import Played, Playing

_MODULE = "tests.stack.test_transcripts"
_PLAYING = pytest.StashKey[Playing]()


def _is_of_scenarios(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and item.module.__name__ == _MODULE


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_is_of_scenarios)


def pytest_collection_finish(session: pytest.Session) -> None:
    if not session.config.option.collectonly and any(map(_is_of_scenarios, session.items)):
        session.config.stash[_PLAYING] = Playing()


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _PLAYING in session.config.stash:
        session.config.stash[_PLAYING].end()


@pytest.fixture(scope="session")
def played(pytestconfig: pytest.Config) -> Played:
    return pytestconfig.stash[_PLAYING].result()
