"""The simulated network, furnished for both kinds of ICMP sockets."""

from __future__ import annotations

import pytest

from tests.icmp.wire import furnish
from tests.simnet import Simnet


@pytest.fixture(scope="module")
def furnished(module_simnet: Simnet) -> Simnet:
    return furnish(module_simnet)


@pytest.fixture
def net(furnished: Simnet) -> Simnet:
    """One network for all tests of a module, cleared for each."""
    furnished.clear()
    return furnished
