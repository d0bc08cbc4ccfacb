"""A network in a namespace, for tests: thousands of addresses that answer pings as a script says.

with Simnet() as net:
    net.set("10.1.0.0/16", latency=Jitter(0.02, 0.003))
    net.set("10.1.1.5", latency=0.05, loss=0.1)
    exporter = net.popen([sys.executable, "-m", "exporter", "serve"])
    net.wait_for_port(9841)
    net.cut("10.1.1.5")
    page = net.get(9841, "/metrics").text
    lost = net.truth("10.1.1.5").dropped_outage
"""

from tests.simnet.behaviour import Behaviour, Jitter, Spiky
from tests.simnet.network import Response, Simnet, SimnetError
from tests.simnet.truth import Event, Truth

__all__ = ["Behaviour", "Event", "Jitter", "Response", "Simnet", "SimnetError", "Spiky", "Truth"]
