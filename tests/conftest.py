"""Fixtures for every test, and the last line of the summary."""

import pytest
from hypothesis import settings

from tests import servers
from tests.aside import (
    pytest_collection_finish,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_runtest_protocol,
    pytest_sessionfinish,
)
from tests.simnet_fixture import module_simnet, shared_simnet, simnet

__all__ = [
    "module_simnet",
    "pytest_collection_finish",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_runtest_protocol",
    "pytest_sessionfinish",
    "shared_simnet",
    "simnet",
]

# How long an example takes is the machine's matter.
settings.register_profile("ward", deadline=None)
settings.load_profile("ward")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which real servers the tests ran against: a green run without one generation must not look whole."""
    terminalreporter.write_line(servers.summary())
