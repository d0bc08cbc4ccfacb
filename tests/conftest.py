"""Fixtures for every test."""

from tests.simnet_fixture import module_simnet, shared_simnet, simnet

__all__ = ["module_simnet", "shared_simnet", "simnet"]
