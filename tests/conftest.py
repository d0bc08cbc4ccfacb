"""Fixtures for every test, and the last line of the summary."""

import pytest
from hypothesis import settings

from tests import servers

pytest_plugins = ["tests.aside", "tests.simnet_fixture"]

# How long an example takes is the machine's matter.
settings.register_profile("ward", deadline=None)
settings.load_profile("ward")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which real servers the tests ran against: a green run without one generation must not look whole."""
    terminalreporter.write_line(servers.summary())
