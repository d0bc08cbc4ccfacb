"""The simulated network as pytest fixtures. A machine that cannot make one fails the test and says why."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.simnet import Simnet


@pytest.fixture
def simnet() -> Iterator[Simnet]:
    """A network of the test's own."""
    with Simnet() as net:
        yield net


@pytest.fixture(scope="module")
def module_simnet() -> Iterator[Simnet]:
    with Simnet() as net:
        yield net


@pytest.fixture
def shared_simnet(module_simnet: Simnet) -> Simnet:
    """One network for all tests of a module, cleared for each: for tests that leave no program running."""
    module_simnet.clear()
    return module_simnet
