"""`ward-exporter discover` inside the simulated network, with agents of its own there, and all that it sends."""

from __future__ import annotations

import asyncio
import ipaddress
import select
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import yaml

from tests.servers.snmpd import Snmpd
from tests.serving import PROGRAM
from tests.simnet import Simnet, kernel
from tests.simnet.packets import ICMP, ICMP6
from tests.snmp.agents import Agent, Row, oid_content, tree

UDP = 17
#: Patience for a network without distances.
QUICK = "probe: {timeout: 200ms}\n"
_ALL_PROTOCOLS, _OUTGOING, _SOL_PACKET, _STATISTICS = 3, 4, 263, 6
_ROOM = 16 << 20
_SO_RCVBUFFORCE = 33
#: What only the kernel itself sends when an interface comes up: multicast listener reports and the like.
_ECHO_REQUESTS = {(4, 8), (6, 128)}


class Sent(NamedTuple):
    """A packet that has left a program: IP protocol, source and destination."""

    protocol: int
    source: str
    target: str


class Wire:
    """Reads along on every interface of the network while it is open; `sent` are echo requests, UDP and TCP."""

    def __init__(self, net: Simnet) -> None:
        self._net = net
        self.sent: list[Sent] = []

    def __enter__(self) -> Self:
        self._stop, self._stopped = socket.socketpair()
        self._packets = self._net.inside(
            socket.socket, socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL_PROTOCOLS)
        )
        self._packets.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _ROOM)
        self._packets.setblocking(False)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.close()
        self._thread.join()
        statistics = self._packets.getsockopt(_SOL_PACKET, _STATISTICS, 8)
        self._packets.close()
        self._stopped.close()
        assert struct.unpack("=II", statistics)[1] == 0, "not all packets were read"

    def _read(self) -> None:
        while True:
            ready, _, _ = select.select([self._packets, self._stopped], [], [])
            try:
                while True:
                    data, (_, _, kind, *_) = self._packets.recvfrom(65_535)
                    if kind == _OUTGOING:
                        self._take(data)
            except BlockingIOError:
                if self._stopped in ready:
                    return

    def _take(self, data: bytes) -> None:
        if data[0] >> 4 == 4:
            start = (data[0] & 15) * 4
            protocol, source, target = data[9], data[12:16], data[16:20]
        else:
            start, protocol, source, target = 40, data[6], data[8:24], data[24:40]
        if protocol in (ICMP, ICMP6) and (data[0] >> 4, data[start]) not in _ECHO_REQUESTS:
            return
        self.sent.append(Sent(protocol, *(str(ipaddress.ip_address(one)) for one in (source, target))))

    def targets(self, protocol: int) -> set[str]:
        """Whom programs have sent to by this protocol."""
        return {one.target for one in self.sent if one.protocol == protocol}


def add_addresses(net: Simnet, addresses: Sequence[str]) -> None:
    """Make these the network's own: they answer pings, and programs inside can listen on them."""
    kernel.ip([f"addr replace {one}/{128 if ':' in one else 32} dev lo" for one in addresses], net.namespace)


class InsideAgent(Agent):
    """An agent on the port and with the community that devices have; it is silent to any other community."""

    def __init__(self, host: str, rows: Sequence[Row], community: str) -> None:
        super().__init__(rows, host=host)
        self._community = community.encode()
        self.heard: list[bytes] = []

    async def __aenter__(self) -> Self:
        sock = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.bind((self._host, 161))
        self._sock = self._elsewhere = sock
        self.address = sock.getsockname()
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=sock)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        ((_, ((_, version), (_, community), *_)),) = tree(data)
        if version == b"\x01":
            self.heard.append(community)
            if community == self._community:
                super().datagram_received(data, addr)


@contextmanager
def agents(
    net: Simnet, devices: Mapping[str, Sequence[Row]], community: str = "public"
) -> Iterator[Mapping[str, InsideAgent]]:
    """Agents at these addresses, with these rows."""
    add_addresses(net, list(devices))
    every = {address: InsideAgent(address, rows, community) for address, rows in devices.items()}
    started, stop = threading.Event(), threading.Event()
    failures: list[BaseException] = []

    async def serve() -> None:
        async with AsyncExitStack() as stack:
            for agent in every.values():
                await stack.enter_async_context(agent)
            started.set()
            await asyncio.to_thread(stop.wait)

    def run() -> None:
        kernel.enter_network_namespace(net.namespace)
        try:
            asyncio.run(serve())
        except BaseException as error:
            failures.append(error)
            started.set()

    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    try:
        yield every
    finally:
        stop.set()
        thread.join()
        assert failures == []


class InsideSnmpd(Snmpd):
    """net-snmp's agent inside, on these addresses; `config` says who may read what."""

    def __init__(self, net: Simnet, addresses: Sequence[str], config: str) -> None:
        add_addresses(net, addresses)
        super().__init__(config, port=161)
        places = [f"udp6:[{one}]:161" if ":" in one else f"udp:{one}:161" for one in addresses]
        self._extra = tuple(places)
        self._prefix = ("nsenter", f"--net={net.namespace}", "--", *self._prefix)
        here = self.get
        self.get = lambda path: net.inside(here, path)


class Done(NamedTuple):
    """A run that has ended: its exit status, and what it wrote."""

    status: int
    out: str
    err: str

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        """The devices on standard output, by address."""
        return by_address(self.out)


def by_address(text: str) -> dict[str, dict[str, Any]]:
    # PyYAML's own parser takes seconds for thousands of devices.
    return {device["address"]: device for device in yaml.load(text, yaml.CSafeLoader)["devices"]}


def discover(net: Simnet, *words: str | Path, folder: Path | None = None) -> Done:
    """Run it inside, to its end."""
    done = net.run([PROGRAM, "discover", *words], capture_output=True, text=True, cwd=folder, timeout=120)
    return Done(done.returncode, done.stdout, done.stderr)


def hosts(*ranges: str) -> list[str]:
    """The addresses of devices in these networks."""
    return [str(address) for one in ranges for address in ipaddress.ip_network(one).hosts()]


def check(config: Path) -> str:
    """What `ward-exporter check` says of a configuration that is right."""
    done = subprocess.run(
        [PROGRAM, "check", f"--config.file={config}"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


NAME, OBJECT_ID, DESCRIPTION = (1, 3, 6, 1, 2, 1, 1, 5, 0), (1, 3, 6, 1, 2, 1, 1, 2, 0), (1, 3, 6, 1, 2, 1, 1, 1, 0)
ENGINE = (1, 3, 6, 1, 6, 3, 10, 2, 1, 1, 0)
PHYSICAL = (1, 3, 6, 1, 2, 1, 2, 2, 1, 6)
OCTETS, OID = 4, 6


def system(
    name: bytes,
    enterprise: tuple[int, ...] = (),
    description: bytes = b"",
    engine: bytes = b"",
    physical: Sequence[bytes] = (),
) -> list[Row]:
    """What a device says of itself."""
    rows: list[Row] = [(NAME, OCTETS, name), (DESCRIPTION, OCTETS, description)]
    if enterprise:
        rows.append((OBJECT_ID, OID, oid_content((1, 3, 6, 1, 4, 1, *enterprise))))
    if engine:
        rows.append((ENGINE, OCTETS, engine))
    return rows + [((*PHYSICAL, number), OCTETS, mac) for number, mac in enumerate(physical, 1)]
