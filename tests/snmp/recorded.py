"""Recorded values of a device, served by a simulated agent beside the test, for programs that a test waits for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from exporter.snmp.ber import VarBind, encode_oid, parse_oid
from tests.snmp.agents import Agent, Row, oid_of, signed

#: Where the value stands, its tag, and its content.
Recorded = tuple[str, int, bytes]


def varbinds(recorded: Iterable[Recorded]) -> list[VarBind]:
    """What a walk over all of it would bring: in the order of the identifiers."""
    return [(encode_oid(oid), tag, value) for oid, tag, value in sorted(map(_row, recorded))]


def _row(recorded: Recorded) -> Row:
    oid, tag, value = recorded
    return (oid_of(parse_oid(oid)), tag, value)


def integer(oid: str, number: int, tag: int = 2) -> Recorded:
    """A number; a positive one in as few bytes as a signed one needs, as agents send it."""
    return (oid, tag, signed(number))


def octets(oid: str, value: bytes | str) -> Recorded:
    return (oid, 4, value.encode() if isinstance(value, str) else value)


@contextmanager
def serving(recorded: Iterable[Recorded]) -> Iterator[int]:
    """The port of an agent that answers with these values while the block runs, in a thread of its own."""
    ready = threading.Event()
    ports: list[int] = []
    loop = asyncio.new_event_loop()
    ending = asyncio.Event()

    async def serve() -> None:
        async with Agent(map(_row, recorded)) as agent:
            ports.append(agent.address[1])
            ready.set()
            await ending.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    ready.wait()
    try:
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join()
        loop.close()
