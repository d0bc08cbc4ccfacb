"""One device under watch in a test's own event loop: an agent with a table of named ports, and polls of it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from exporter.snmp.clients import Clients
from exporter.snmp.jobs import Access, Assignment, Job, Polled
from exporter.snmp.layout import Layout
from exporter.snmp.modules import Module, load_modules
from exporter.snmp.session import Session
from exporter.snmp.watch import Watch
from tests.serving import Page
from tests.snmp.agents import Agent, Asked, Oid, Row, table

TREE: Oid = (1, 3, 6, 1, 4, 1, 9999)
SYS_UPTIME: Oid = (1, 3, 6, 1, 2, 1, 1, 3, 0)
ENTRY: Oid = (*TREE, 2, 1)
OCTETS: Oid = (*ENTRY, 1)
NAMES: Oid = (*ENTRY, 9)
MODULE = """
modules:
  own:
    get: [1.3.6.1.2.1.1.3.0]
    walk: [1.3.6.1.4.1.9999.2.1]
    metrics:
      - {{name: sysUpTime, oid: 1.3.6.1.2.1.1.3, type: gauge, help: Uptime.}}
      - name: ownOctets
        oid: 1.3.6.1.4.1.9999.2.1.1
        type: counter
        help: Octets.
        indexes: [{{labelname: port, type: gauge}}]
        lookups: [{{labels: [port], labelname: alias, oid: 1.3.6.1.4.1.9999.2.1.9, type: DisplayString}}]
{more}
"""


def uptime(seconds: float) -> Row:
    return (SYS_UPTIME, 0x43, round(seconds * 100).to_bytes(5, "big"))


def rows(*names: str, up: float = 1000) -> list[Row]:
    """sysUpTime, and a counter and a name for each port from 1."""
    ports = range(1, len(names) + 1)
    named = [((*NAMES, port), 0x04, name.encode()) for port, name in zip(ports, names, strict=True)]
    return sorted([uptime(up), *table(ENTRY, [1], ports), *named])


def replaced(found: list[Row], *new: Row) -> list[Row]:
    """The rows, with those of the same identifiers in place of theirs."""
    return sorted(({row[0]: row for row in found} | {row[0]: row for row in new}).values())


def in_column(asked: Asked, column: Oid) -> bool:
    return any(oid[: len(column)] == column for oid in asked.oids)


def own(more: str = "") -> dict[str, Module]:
    """A module of a scalar and a table; `more` are further keys of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "own.yml")
        path.write_text(MODULE.format(more=more))
        return dict(load_modules(path).modules)


class Watched:
    """A device under watch."""

    def __init__(self, watch: Watch, clients: Clients) -> None:
        self._watch = watch
        self._clients = clients

    async def poll(self) -> tuple[Polled, Page]:
        """What became of a poll, and the page of it."""
        polled = await self._watch.poll(self._clients)
        blocks = polled.page.blocks.items()
        head = "# HELP polled x\n# TYPE polled gauge\n"
        text = head + "".join(
            f"# HELP {name} x\n# TYPE {name} {one.kind}\n{one.lines.decode()}" for name, one in blocks
        )
        return polled, Page(text)


@contextlib.asynccontextmanager
async def watched(
    agent: Agent, modules: dict[str, Module], *, named: bool = True, host: str = "", **given: Any
) -> AsyncIterator[Watched]:
    """The agent under watch; without `named` its modules are those of what it is. `given` is of the assignment."""
    names = tuple(modules) if named else ()
    job = Job("sw", host or agent.address[0], agent.address[1], Access(2, b"public"), 'device="sw"', names)
    usual = {"interval": 60.0, "slow_interval": 3600.0, "timeout": 5.0, "retries": 1, "max_repetitions": 25}
    assignment = Assignment((job,), modules, **(usual | {"limit": 20_000} | given))
    with Session(10) as session:
        layouts = {name: Layout(module) for name, module in modules.items()}
        yield Watched(Watch(job, assignment, layouts), Clients(session))


def aliases(page: Page) -> dict[str, str]:
    """The name of each port on the page."""
    labels = [dict(sample.labels) for sample in page.blocks["ownOctets"].samples]
    return {one["port"]: one["alias"] for one in labels}
