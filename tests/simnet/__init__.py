"""A network in a namespace, for tests: thousands of addresses that answer pings as a script says."""

from tests.simnet.behaviour import Behaviour, Jitter, Spiky
from tests.simnet.network import Response, Simnet, SimnetError
from tests.simnet.truth import Event, Truth

__all__ = ["Behaviour", "Event", "Jitter", "Response", "Simnet", "SimnetError", "Spiky", "Truth"]
