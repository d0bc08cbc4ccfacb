"""Thousands of simulated switches in a network namespace: one process that answers SNMPv2c for every address.

    with Simnet() as net, Fleet(net, ports=50) as fleet:
        ... poll 10.x.y.z or 127.x.y.z, port 161, community public, inside `net` ...
        fleet.counts()

All of the simulated network and of its loopback answers, but for `silent`. Each device counts at rates of its own
(`rate`), hundredths of a second after hundredths: what a poll reads at a `sysUpTime` of t hundredths is exactly
`rate * t // 100`. Pings go on being the simulated network's business.
"""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Sequence
from multiprocessing import Pipe
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from tests.simnet import Simnet, kernel
from tests.simnet.packets import HOST_V4

PORT = 161
COMMUNITY = "public"
#: IF-MIB columns of counters: ifTable's of 32 bits, ifXTable's of 64.
COUNTERS_32 = (10, 11, 13, 14, 16, 17, 19, 20)
COUNTERS_64 = (6, 7, 8, 9, 10, 11, 12, 13)


def rate(address: str, column: int, port: int) -> int:
    """What a 64-bit counter of a port gains in a second; below 2^32, and the same for no two ports of a device."""
    device = int(ipaddress.IPv4Address(address)) % 65_536
    return 1_000 * port + 100_000 * column + device


class Counts(NamedTuple):
    """What has come to all devices together: requests, and those of them that were a GET."""

    requests: int
    gets: int


class Fleet:
    """The switches of a network; a context manager. `ports` is how many interfaces each has."""

    def __init__(self, net: Simnet, ports: int = 50, silent: Sequence[str] = ()) -> None:
        self._net = net
        self._ports = ports
        self._silent = tuple(silent)

    def __enter__(self) -> Self:
        _lead_here(self._net.namespace)
        self._control, theirs = Pipe()
        with theirs:
            self._process = self._net.popen(
                [sys.executable, "-m", "tests.snmp.switches", str(theirs.fileno())],
                cwd=Path(__file__).parents[2],
                pass_fds=[theirs.fileno()],
            )
        self._control.send((self._ports, self._silent))
        self._control.recv()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._control.close()
        self._process.wait(5)

    @property
    def pid(self) -> int:
        return self._process.pid

    def counts(self) -> Counts:
        self._control.send(None)
        counts: Counts = self._control.recv()
        return counts


def _lead_here(namespace: str) -> None:
    """Bring what goes to the port of SNMP to this namespace's own sockets, wherever it is addressed to.

    The rule stands before the table of local addresses, and again behind it for the way in over loopback.
    """
    rule = f"ipproto udp dport {PORT} lookup 161"
    kernel.ip([f"route add local 0.0.0.0/0 dev lo src {HOST_V4} table 161", f"rule add pref 10 {rule}"], namespace)
