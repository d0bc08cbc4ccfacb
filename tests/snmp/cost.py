"""What a poll costs the client: `python -m tests.snmp.cost` prints CPU milliseconds, packets and values.

A poll is a GET of 10 scalars and a walk of 10 columns of 50 rows, as of an interface table. The agent is a process
of its own, so that only the client's CPU is counted.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import time
from multiprocessing.connection import Connection

from exporter.snmp import ber, session
from exporter.snmp.session import Session
from exporter.snmp.walk import V2Client
from tests.snmp.agents import Agent, Row, table

_POLLS = 300
_ENTRY = (1, 3, 6, 1, 2, 1, 31, 1, 1, 1)
_SYSTEM = (1, 3, 6, 1, 2, 1, 1)
_COLUMNS = range(6, 16)
_SCALARS: list[Row] = [((*_SYSTEM, number, 0), 4, b"a switch") for number in range(1, 11)]


def _serve(told: Connection) -> None:
    async def serve() -> None:
        async with Agent([*_SCALARS, *table(_ENTRY, _COLUMNS, range(1, 51))]) as agent:
            told.send(agent.address)
            await asyncio.Event().wait()

    asyncio.run(serve())


async def _measure(address: tuple[str, int]) -> None:
    scalars = [ber.encode_oid(oid) for oid, _, _ in _SCALARS]
    columns = [ber.encode_oid((*_ENTRY, number)) for number in _COLUMNS]
    costs = []
    with Session(10) as snmp:
        client = V2Client(snmp, session.Agent(address, 2.0, 2), b"public")
        for _ in range(_POLLS):
            began = time.process_time()
            found = [*await client.get(scalars), *await client.walk(columns, 25)]
            costs.append((time.process_time() - began) * 1000)
    packets = (client.traffic.sent + client.traffic.received) / _POLLS
    median, least = statistics.median(costs), min(costs)
    print(f"{median:.2f} ms CPU a poll (least {least:.2f}); {packets:g} packets, {len(found)} values")


def main() -> None:
    ours, theirs = multiprocessing.Pipe()
    agent = multiprocessing.Process(target=_serve, args=(theirs,), daemon=True)
    agent.start()
    try:
        asyncio.run(_measure(ours.recv()))
    finally:
        agent.terminate()
        agent.join()


if __name__ == "__main__":
    main()
