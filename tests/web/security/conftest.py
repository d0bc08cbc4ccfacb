"""Certificates and configurations, once for all tests, and a server that goes by one of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.web.security.prepared import prepare


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every configuration, with all the files that it names; not to be changed."""
    found = tmp_path_factory.mktemp("web")
    prepare(found)
    return found
