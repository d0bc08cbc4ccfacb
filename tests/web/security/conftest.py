"""Certificates and configurations, once for all tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.web.security.prepared import prepare


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
