"""What tests ask agents with, and how they read what comes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable

from exporter.snmp import session
from exporter.snmp.ber import VarBind
from exporter.snmp.session import Session
from exporter.snmp.walk import V2Client
from tests.snmp import agents
from tests.snmp.agents import Agent, Oid, Row

#: Long enough that a loaded machine answers in time, short enough to wait for.
SHORT = 0.2
#: What no test waits for: where it matters that something ends at once.
NEVER = 100.0


@contextlib.asynccontextmanager
async def client(agent: Agent, timeout: float = NEVER, retries: int = 0) -> AsyncIterator[V2Client]:
    """A client of SNMPv2c for this agent alone."""
    with Session(10) as snmp:
        yield V2Client(snmp, session.Agent(agent.address, timeout, retries), b"public")


def encoded(oids: Iterable[Oid]) -> list[bytes]:
    return [agents.oid_content(oid) for oid in oids]


def as_rows(varbinds: Iterable[VarBind]) -> list[Row]:
    return [(agents.oid_of(oid), tag, value) for oid, tag, value in varbinds]
