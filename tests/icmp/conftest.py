"""The simulated network, furnished for both kinds of ICMP sockets."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.icmp.running", "tests.icmp.table", "tests.icmp.wire")

from tests.icmp.wire import furnish  # noqa: E402 (their asserts are to tell what failed)
from tests.simnet import Simnet  # noqa: E402


@pytest.fixture(scope="module")
def furnished(module_simnet: Simnet) -> Simnet:
    return furnish(module_simnet)


@pytest.fixture
def net(furnished: Simnet) -> Simnet:
    """One network for all tests of a module, cleared for each."""
    furnished.clear()
    return furnished
