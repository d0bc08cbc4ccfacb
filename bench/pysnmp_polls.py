"""`python -m bench.pysnmp_polls ADDRESS POLLS WAY`: work W by pysnmp; prints the CPU milliseconds of a poll.

`bare` is the cheapest way that its documentation has: SNMPv1 and v2c without an engine, and no lookup in MIBs.
`engine` is the one that its documentation begins with.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from pysnmp.hlapi.v1arch import asyncio as v1arch
from pysnmp.hlapi.v3arch import asyncio as v3arch

from bench.snmp_inventory import COLUMNS, SCALARS, VALUES
from tests.snmp.fleet import COMMUNITY, PORT

_REPETITIONS = 25
#: The first polls build what later ones find ready.
_WARM_UP = 2

Poll = Callable[[], Awaitable[int]]


async def _bare(address: str) -> Poll:
    dispatcher = v1arch.SnmpDispatcher()
    community = v1arch.CommunityData(COMMUNITY, mpModel=1)
    target = await v1arch.UdpTransportTarget.create((address, PORT))

    def asked(oid: str) -> Any:
        return v1arch.ObjectType(v1arch.ObjectIdentity(oid))

    async def poll() -> int:
        wanted = [asked(oid) for oid in SCALARS]
        *_, found = await v1arch.get_cmd(dispatcher, community, target, *wanted, lookupMib=False)
        count = len(found)
        for column in COLUMNS:
            walk = v1arch.bulk_walk_cmd(
                *(dispatcher, community, target, 0, _REPETITIONS, asked(column)),
                lookupMib=False,
                lexicographicMode=False,
            )
            async for *_, found in walk:
                count += len(found)
        return count

    return poll


async def _engine(address: str) -> Poll:
    engine, context = v3arch.SnmpEngine(), v3arch.ContextData()
    community = v3arch.CommunityData(COMMUNITY, mpModel=1)
    target = await v3arch.UdpTransportTarget.create((address, PORT))

    def asked(oid: str) -> Any:
        return v3arch.ObjectType(v3arch.ObjectIdentity(oid))

    async def poll() -> int:
        wanted = [asked(oid) for oid in SCALARS]
        *_, found = await v3arch.get_cmd(engine, community, target, context, *wanted)
        count = len(found)
        for column in COLUMNS:
            walk = v3arch.bulk_walk_cmd(
                *(engine, community, target, context, 0, _REPETITIONS, asked(column)), lexicographicMode=False
            )
            async for *_, found in walk:
                count += len(found)
        return count

    return poll


async def _measure(address: str, polls: int, way: str) -> float:
    poll = await {"bare": _bare, "engine": _engine}[way](address)
    for _ in range(_WARM_UP):
        if (count := await poll()) != VALUES:
            raise RuntimeError(f"{count} values in place of {VALUES}")
    began = time.process_time()
    for _ in range(polls):
        await poll()
    return (time.process_time() - began) / polls * 1e3


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_measure(sys.argv[1], int(sys.argv[2]), sys.argv[3]))))
