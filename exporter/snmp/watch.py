"""One device under watch: which modules it has, what is kept of it between polls, and one poll after another."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from exporter.errors import PartialWalk, SnmpError
from exporter.snmp import classify, decode
from exporter.snmp.ber import VarBind
from exporter.snmp.jobs import Access, Assignment, Job, Polled
from exporter.snmp.layout import Layout
from exporter.snmp.modules import Condition, Module
from exporter.snmp.render import Page, Renderer
from exporter.snmp.session import Agent, Session
from exporter.snmp.vitals import Vitals, is_told_by
from exporter.snmp.walk import Client, V2Client

if TYPE_CHECKING:
    from exporter.snmp.keys import User


#: A poll may take this part of the interval.
_SHARE = 0.9


class Clients:
    """Makes clients of either version; those of one process share its sockets."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._users: dict[Access, User] = {}

    async def client(self, job: Job, timeout: float, retries: int) -> Client:
        """Raises SnmpError for a name without an address."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(job.host, job.port, type=socket.SOCK_DGRAM)
        except OSError as error:
            raise SnmpError("unreachable", f"{job.host} has no address: {error.strerror}") from error
        agent = Agent(found[0][4], timeout, retries)
        access = job.access
        if access.version == 2:
            return V2Client(self._session, agent, access.community)
        from exporter.snmp.keys import User  # noqa: PLC0415 - 20 MB that most inventories do not need
        from exporter.snmp.v3 import V3Client  # noqa: PLC0415 - the same

        if access not in self._users:
            self._users[access] = User(
                access.username,
                access.security_level,
                access.auth_protocol,
                access.password,
                access.priv_protocol,
                access.priv_password,
            )
        return V3Client(self._session, agent, self._users[access], access.context_name)


class Watch:
    """Polls one device, and remembers its modules, its client, and the names of its rows."""

    def __init__(self, job: Job, assignment: Assignment, layouts: Mapping[str, Layout]) -> None:
        self.job = job
        self.assignment = assignment
        self._layouts = layouts
        self._chosen: list[Layout] = []
        #: The modules among them that load, memory and uptime can be read from.
        self._vital: list[str] = []
        self._renderer: Renderer | None = None
        self._client: Client | None = None
        self._named_at: dict[str, float] = {}
        self._vitals = Vitals()
        self._duplicates = self._over_limit = 0

    async def poll(self, clients: Clients) -> Polled:
        """One poll, whatever comes of it."""
        begin, start = time.time(), time.monotonic()
        polls: dict[str, list[VarBind]] = {}
        failure: SnmpError | None = None
        try:
            if self._client is None:
                self._client = await clients.client(self.job, self.assignment.timeout, self.assignment.retries)
            # A device that answers a row at a time must not be asked for longer than until its next turn.
            async with asyncio.timeout(_SHARE * self.assignment.interval):
                if self._renderer is None:
                    await self._choose(self._client)
                for layout in self._chosen:
                    failure = await self._module(self._client, layout.module, polls) or failure
        except TimeoutError:
            failure = SnmpError("timeout", "the device was not done with its answers when its next poll drew near")
        except SnmpError as error:
            # Silence: whatever else could be asked would be met by it too.
            failure = error
        page = self._renderer.render(polls) if self._renderer is not None else Page()
        self._duplicates += page.duplicates
        self._over_limit += page.over_limit
        polled = Polled(self.job.device, begin, start, time.monotonic() - start, page)
        polled.modules = tuple(layout.module.name for layout in self._chosen)
        if failure is not None:
            polled.failure, polled.problem = failure.kind, str(failure)
        if self._client is not None:
            traffic = self._client.traffic
            polled.sent, polled.received, polled.retries = traffic.sent, traffic.received, traffic.retries
            polled.errors = dict(traffic.errors)
        polled.duplicates, polled.over_limit = self._duplicates, self._over_limit
        vitals = self._vitals.read(self._telling(polls), start)
        polled.cpu, polled.memory, polled.uptime = vitals.cpu, vitals.memory, vitals.uptime
        return polled

    async def _choose(self, client: Client) -> None:
        """The modules that the inventory names, or those of what the device says that it is."""
        names: Sequence[str] = self.job.modules
        if not names:
            try:
                answers = await client.get(classify.QUESTIONS)
            except PartialWalk as error:
                answers = error.varbinds
            names = classify.classify(classify.facts(answers)).modules
        self._chosen = [self._layouts[name] for name in names if name in self._layouts]
        self._vital = [layout.module.name for layout in self._chosen if is_told_by(layout.module.asked)]
        self._renderer = Renderer(self._chosen, self.job.labels, self.assignment.limit)

    def _telling(self, polls: Mapping[str, list[VarBind]]) -> Iterator[VarBind]:
        """What load, memory and uptime are read from."""
        if self._renderer is not None:
            for name in self._vital:
                yield from polls.get(name, ())
                yield from self._renderer.names(name)

    async def _module(self, client: Client, module: Module, polls: dict[str, list[VarBind]]) -> SnmpError | None:
        """Ask for one module; what went wrong is returned if the device may still answer for the next one."""
        repetitions = module.max_repetitions or self.assignment.max_repetitions
        found = polls[module.name] = []
        try:
            await self._learn(client, module, repetitions)
            columns, instances = await self._filtered(client, module, repetitions)
            if instances:
                found += await client.get(instances)
            if columns:
                found += await client.walk(
                    columns, repetitions, allow_nonincreasing=module.allow_nonincreasing_oids
                )
        except PartialWalk as error:
            found += error.varbinds
            if error.kind in _SILENCE:
                raise
            return error
        except SnmpError as error:
            if error.kind in _SILENCE:
                raise
            return error
        return None

    async def _learn(self, client: Client, module: Module, repetitions: int) -> None:
        """Ask what rows are called, once in a while."""
        now = time.monotonic()
        if now - self._named_at.get(module.name, -1e9) < self.assignment.slow_interval:
            return
        names: list[VarBind] = []
        if module.lookup_instances:
            names += await client.get(module.lookup_instances)
        if module.lookup_columns:
            names += await client.walk(module.lookup_columns, repetitions)
        if self._renderer is not None:
            self._renderer.learn(module.name, names)
        self._named_at[module.name] = now

    async def _filtered(self, client: Client, module: Module, repetitions: int) -> tuple[list[bytes], list[bytes]]:
        """Columns to walk and instances to get, after the module's filters."""
        columns, instances = list(module.columns), list(module.instances)
        for one in reversed(module.filters):
            taken = [column for column in columns if column.startswith(one.targets)]
            if taken:
                rows = await self._passing(client, one.conditions, repetitions)
                columns = [column for column in columns if column not in taken]
                instances += [column + row for column in taken for row in rows]
        return columns, instances

    async def _passing(self, client: Client, conditions: Sequence[Condition], repetitions: int) -> list[bytes]:
        """The rows that meet all conditions, in the order of the first one's column."""
        passing = [
            [
                oid[len(condition.oid) :]
                for oid, tag, value in await client.walk([condition.oid], repetitions)
                if _meets(condition, tag, value)
            ]
            for condition in conditions
        ]
        common = set(passing[0]).intersection(*passing)
        return [row for row in passing[0] if row in common]


#: Kinds of error behind which there is no answer to anything.
_SILENCE = frozenset({"timeout", "unreachable"})


def _meets(condition: Condition, tag: int, value: bytes) -> bool:
    text = decode.text(tag, value, "DisplayString")
    return any(pattern.search(text) for pattern in condition.values)
