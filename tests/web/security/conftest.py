"""Certificates and configurations, once for all tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.security.prepared import prepare
from tests.web.security.site import Secured


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every configuration, with all the files that it names; not to be changed."""
    found = tmp_path_factory.mktemp("web")
    prepare(found)
    return found


@pytest.fixture
def own(folder: Path, tmp_path: Path) -> Path:
    """The same for one test, which may change it."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def open_site(own: Path) -> Iterator[Secured]:
    with Secured(own, "empty.good.yml") as site:
        yield site
