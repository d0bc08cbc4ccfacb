"""Those that poll by SNMP beside us, run as their users run them: what a poll of work W costs them."""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

from bench import process, snmp_inventory
from tests.servers import FLOOR, Generation, SnmpExporter
from tests.simnet import Simnet
from tests.snmp.peers import in_format_of

_PORT = 9116
_CLIENTS = 8


class SnmpExporterPeer:
    """A running snmp_exporter, asked by a few clients with open connections."""

    def __init__(self, server: SnmpExporter, net: Simnet, auth: str) -> None:
        self._server, self._net, self._auth = server, net, auth

    def cost(self, addresses: Sequence[str], seconds: float) -> float:
        """CPU milliseconds a poll, each address being polled once a second, evenly spread as Prometheus does it."""
        turn = enumerate(cycle(addresses))
        start = time.monotonic()
        polls: list[int] = []

        def ask() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", _PORT, timeout=10)
            for number, address in turn:
                due = number / len(addresses)
                if due > seconds:
                    break
                time.sleep(max(0.0, start + due - time.monotonic()))
                connection.request("GET", f"/snmp?module={snmp_inventory.WORK}&target={address}{self._auth}")
                lines = connection.getresponse().read().decode().splitlines()
                polls.append(sum(not line.startswith(("#", "snmp_")) for line in lines))
            connection.close()

        before = process.read(self._server.process.pid)
        clients = [threading.Thread(target=self._net.inside, args=(ask,)) for _ in range(_CLIENTS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        after = process.read(self._server.process.pid)
        if set(polls) != {snmp_inventory.VALUES}:
            raise RuntimeError(f"snmp_exporter gave {sorted(set(polls))} samples in place of W's")
        return (after.cpu - before.cpu) / len(polls) * 1e3


@contextmanager
def snmp_exporter(net: Simnet, generation: Generation) -> Iterator[SnmpExporterPeer]:
    """snmp_exporter inside `net`, with the module of W."""
    config = in_format_of(generation, snmp_inventory.work())
    prefix = ["nsenter", f"--net={net.namespace}", "--"]
    with SnmpExporter(config, generation=generation, prefix=prefix, port=_PORT, get=net.get) as server:
        yield SnmpExporterPeer(server, net, "" if generation is FLOOR else "&auth=public_v2")


def pysnmp(net: Simnet, address: str, polls: int, way: str) -> float:
    """CPU milliseconds a poll by pysnmp, in a process of its own; `way` is one of those of bench.pysnmp_polls."""
    done = net.run(
        [sys.executable, "-m", "bench.pysnmp_polls", address, str(polls), way],
        cwd=Path(__file__).parents[1],
        check=True,
        capture_output=True,
        text=True,
    )
    milliseconds: float = json.loads(done.stdout)
    return milliseconds
