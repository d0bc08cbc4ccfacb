"""Simulated SNMPv2c agents on loopback that answer as RFC 3416 says, or as badly as a test's script wants.

They read and write BER by themselves, by recursion over whole trees, so that the exporter's own codec is never
checked against itself. An agent runs in the event loop of the test:

    async with Agent(table(columns, 50)) as agent:
        ... ask agent.address ...
        agent.asked     # every request that came

A script takes the agent and a request, and calls `reply` as often as it likes, or not at all.
"""

from __future__ import annotations

import asyncio
import bisect
import socket
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, NamedTuple, Self

Oid = tuple[int, ...]
#: A row as it goes into a message: identifier, tag of the value, content of the value.
Row = tuple[Oid, int, bytes]

GET, GET_NEXT, RESPONSE, GET_BULK = 0xA0, 0xA1, 0xA2, 0xA5
NULL, NO_SUCH_OBJECT, NO_SUCH_INSTANCE, END_OF_MIB_VIEW = 0x05, 0x80, 0x81, 0x82
TOO_BIG, NO_SUCH_NAME, GEN_ERR = 1, 2, 5


# BER, the long way round.


def tlv(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    if len(content) < 128:
        return bytes([tag, len(content)]) + content
    size = f"{len(content):x}"
    length = bytes.fromhex(size.zfill(len(size) + len(size) % 2))
    return bytes([tag, 128 + len(length)]) + length + content


def signed(number: int) -> bytes:
    """The content of an INTEGER, in as few bytes as there can be."""
    size = 1
    while not -(1 << 8 * size - 1) <= number < 1 << 8 * size - 1:
        size += 1
    return number.to_bytes(size, "big", signed=True)


def oid_content(oid: Oid) -> bytes:
    first, second, *rest = oid
    return b"".join(_base128(arc) for arc in (40 * first + second, *rest))


def _base128(arc: int) -> bytes:
    digits = [arc % 128]
    while arc := arc // 128:
        digits.insert(0, 128 + arc % 128)
    return bytes(digits)


def oid_of(content: bytes) -> Oid:
    arcs = [0]
    for byte in content:
        arcs[-1] = arcs[-1] * 128 + byte % 128
        if byte < 128:
            arcs.append(0)
    first = min(arcs[0] // 40, 2)
    return (first, arcs[0] - 40 * first, *arcs[1:-1])


def message(number: int, rows: Iterable[Row], status: int = 0, index: int = 0, kind: int = RESPONSE) -> bytes:
    """A message of SNMPv2c; of a GETBULK `status` and `index` are non-repeaters and repetitions."""
    numbers = [tlv(2, signed(one)) for one in (number, status, index)]
    varbinds = [varbind(row) for row in rows]
    return tlv(0x30, tlv(2, b"\x01"), tlv(4, b"public"), tlv(kind, *numbers, tlv(0x30, *varbinds)))


def varbind(row: Row) -> bytes:
    oid, tag, value = row
    return tlv(0x30, tlv(6, oid_content(oid)), tlv(tag, value))


def tree(data: bytes) -> list[Any]:
    """All elements of a well-formed message, as (tag, content) with the content a list where it is a tree."""
    found = []
    while data:
        tag, size, start = data[0], data[1], 2
        if size > 127:
            start += size - 128
            size = int.from_bytes(data[2:start], "big")
        content = data[start : start + size]
        assert len(content) == size, "cut off"
        found.append((tag, tree(content) if tag & 0x20 else content))
        data = data[start + size :]
    return found


class Asked(NamedTuple):
    """A request; `first` and `second` are non-repeaters and repetitions of a GETBULK."""

    kind: int
    number: int
    first: int
    second: int
    oids: tuple[Oid, ...]
    sender: tuple[Any, ...]
    size: int


def read_request(data: bytes, sender: tuple[Any, ...] = ()) -> Asked:
    ((_, (_, _, (kind, (number, first, second, (_, varbinds))))),) = tree(data)
    three = (int.from_bytes(content, "big", signed=True) for _, content in (number, first, second))
    oids = tuple(oid_of(name) for _, ((_, name), _) in varbinds)
    return Asked(kind, *three, oids, sender, len(data))


# Agents.

Script = Callable[["Agent", Asked], None]


def honest(agent: Agent, asked: Asked) -> None:
    """The script of an agent that does as it should."""
    agent.reply(asked)


class Agent(asyncio.DatagramProtocol):
    """One agent; `most_bytes` is the largest datagram that it sends, as of a device with small buffers."""

    def __init__(
        self,
        rows: Iterable[Row] = (),
        script: Script = honest,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        most_bytes: int = 65_507,
    ) -> None:
        self.rows = sorted(rows)
        self.script = script
        self.most_bytes = most_bytes
        self.asked: list[Asked] = []
        self._host, self._port = host, port

    async def __aenter__(self) -> Self:
        self._sock = _bound(self._host, self._port)
        # Another address of the same host, and another port.
        self._elsewhere = _bound("::1" if ":" in self._host else "127.0.0.2")
        self.address: tuple[Any, ...] = self._sock.getsockname()
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=self._sock)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._transport.close()
        self._elsewhere.close()

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self.asked.append(read_request(data, addr))
        self.script(self, self.asked[-1])

    # What scripts call.

    def reply(
        self,
        asked: Asked,
        rows: Sequence[Row] | None = None,
        *,
        status: int = 0,
        index: int = 0,
        number: int | None = None,
        delay: float = 0,
        elsewhere: bool = False,
    ) -> None:
        """Answer properly, but for what is given: after `delay`, or from a socket that nobody asked."""
        found = self.answer(asked) if rows is None else rows
        whole = message(asked.number if number is None else number, found, status, index)
        self.send(asked, whole, delay=delay, elsewhere=elsewhere)

    def send(self, asked: Asked, data: bytes, *, delay: float = 0, elsewhere: bool = False) -> None:
        """Send any bytes to whoever asked."""
        sock = self._elsewhere if elsewhere else self._sock

        def send() -> None:
            # Not by the transport, which leaves out an empty datagram.
            if not self._transport.is_closing():
                sock.sendto(data, asked.sender)

        asyncio.get_running_loop().call_later(delay, send)

    def answer(self, asked: Asked) -> list[Row]:
        """What RFC 3416 says: of a GETBULK as many rows as fit into `most_bytes`."""
        if asked.kind == GET:
            return [self._at(oid) for oid in asked.oids]
        if asked.kind == GET_NEXT:
            return [self.after(oid) for oid in asked.oids]
        assert asked.kind == GET_BULK
        found = [self.after(oid) for oid in asked.oids[: asked.first]]
        repeated = asked.oids[asked.first :]
        # What surrounds the rows takes four bytes more where they are many.
        room = self.most_bytes - len(message(asked.number, found)) - 8
        for _ in range(asked.second):
            now = [self.after(oid) for oid in repeated]
            for row in now:
                room -= len(varbind(row))
                if room < 0:
                    return found
                found.append(row)
            repeated = tuple(row[0] for row in now)
            if all(row[1] == END_OF_MIB_VIEW for row in now):
                break
        return found

    def _at(self, oid: Oid) -> Row:
        place = bisect.bisect_left(self.rows, oid, key=lambda row: row[0])
        if place < len(self.rows) and self.rows[place][0] == oid:
            return self.rows[place]
        return (oid, NO_SUCH_INSTANCE, b"")

    def after(self, oid: Oid) -> Row:
        """The next row behind an identifier."""
        place = bisect.bisect_right(self.rows, oid, key=lambda row: row[0])
        return self.rows[place] if place < len(self.rows) else (oid, END_OF_MIB_VIEW, b"")


def run(test: Coroutine[Any, Any, None]) -> None:
    """Run a test in an event loop of its own; one that hangs is a failure, not a wait."""

    async def bounded() -> None:
        async with asyncio.timeout(60):
            await test

    asyncio.run(bounded())


def _bound(host: str, port: int = 0) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind((host, port))
    return sock


def table(entry: Oid, columns: Iterable[int], indexes: Iterable[int | Oid]) -> list[Row]:
    """Counters in the columns below `entry`, one for each index; no two have the same value."""
    every = [index if isinstance(index, tuple) else (index,) for index in indexes]
    return [
        ((*entry, column, *index), 0x41, signed(column * 1_000_000 + place))
        for column in columns
        for place, index in enumerate(every)
    ]
