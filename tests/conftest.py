"""Fixtures for every test, and the last line of the summary."""

import pytest

from tests import servers
from tests.simnet_fixture import module_simnet, shared_simnet, simnet

__all__ = ["module_simnet", "shared_simnet", "simnet"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which real servers the tests ran against: a green run without one generation must not look whole."""
    terminalreporter.write_line(servers.summary())
