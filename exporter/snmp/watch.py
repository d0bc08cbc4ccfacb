"""One device under watch: which modules it has, what is kept of it between polls, and one poll after another."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from exporter.errors import BerError, PartialWalk, SnmpError
from exporter.snmp import classify, decode
from exporter.snmp.ber import VarBind
from exporter.snmp.clients import Clients, Line
from exporter.snmp.jobs import Assignment, Job, Polled
from exporter.snmp.layout import Layout
from exporter.snmp.modules import Condition, Module
from exporter.snmp.render import Page, Renderer
from exporter.snmp.vitals import Reading, Vitals, is_told_by
from exporter.snmp.walk import Client

log = logging.getLogger(__name__)

#: A poll may take this part of the interval: who answers a row at a time must be let go before its next turn.
_SHARE = 0.9
#: Kinds of error behind which there is no answer to anything.
_SILENCE = frozenset({"timeout", "unreachable"})
#: Names that did not come are asked for again after so many intervals, then after twice as many each time: those of
#: a device that is slow with them must leave it time for its counters.
_AGAIN = 1.5


@dataclass(slots=True)
class _Names:
    """When the names of a module's rows are asked for next, and what has kept some of them back."""

    due: float = 0.0
    pause: float = 0.0
    failure: SnmpError | None = None


@dataclass(slots=True)
class _Turn:
    """A poll while it is under way."""

    client: Client
    until: float
    #: What has come, by module.
    polls: dict[str, list[VarBind]]
    #: Modules of which all has come, and those whose names have been asked for.
    whole: set[str]
    named: set[str]


class Watch:
    """Polls one device, and remembers its modules, its client, and the names of its rows."""

    def __init__(self, job: Job, assignment: Assignment, layouts: Mapping[str, Layout]) -> None:
        self.job = job
        self.assignment = assignment
        self._layouts = layouts
        self._line = Line(job, assignment.interval)
        self._vitals = Vitals()
        self._failure = ""
        self._duplicates = self._over_limit = self._malformed = 0
        self._forget()

    def _forget(self) -> None:
        """Begin anew, as with a device that nothing is known of."""
        self._chosen: list[Layout] = []
        self._choose_at = 0.0
        #: The modules among them that load, memory and uptime can be read from.
        self._vital: list[str] = []
        self._renderer: Renderer | None = None
        self._names: dict[str, _Names] = {}

    def look_up(self) -> None:
        """Ask for the address of its host name before the next poll."""
        self._line.doubt()

    async def poll(self, clients: Clients) -> Polled:
        """One poll, whatever comes of it."""
        begin, start = time.time(), time.monotonic()
        failure, page, vitals = await self._try(clients, start)
        self._duplicates += page.duplicates
        self._over_limit += page.over_limit
        self._malformed += page.malformed
        polled = Polled(self.job.device, begin, start, time.monotonic() - start, page)
        polled.modules = tuple(layout.module.name for layout in self._chosen)
        if failure is not None:
            polled.failure, polled.problem = failure.kind, str(failure)
            if failure.kind in _SILENCE:
                self._line.doubt()
        self._failure = polled.failure
        traffic = self._line.traffic
        polled.sent, polled.received, polled.retries = traffic.sent, traffic.received, traffic.retries
        polled.errors = dict(traffic.errors)
        polled.duplicates, polled.over_limit, polled.malformed = self._duplicates, self._over_limit, self._malformed
        polled.cpu, polled.memory, polled.uptime = vitals.cpu, vitals.memory, vitals.uptime
        return polled

    async def _try(self, clients: Clients, start: float) -> tuple[SnmpError | None, Page, Reading]:
        """What one poll has brought, and what went wrong."""
        try:
            try:
                client = await self._line.client(clients)
            except SnmpError as error:
                return error, Page(), self._read({}, set(), start)
            turn = _Turn(client, start + _SHARE * self.assignment.interval, {}, set(), set())
            failure = await self._ask(turn)
            vitals = self._read(turn.polls, turn.whole, start)
            if vitals.restarted:
                # Its rows may have other numbers now, and it may be another device: none of this has been rendered.
                self._forget()
                turn = _Turn(client, turn.until, {}, set(), set())
                failure = await self._ask(turn)
                vitals = self._read(turn.polls, turn.whole, start)
            page = self._renderer.render(turn.polls) if self._renderer is not None else Page()
            if self._renderer is not None and (failure is None or failure.kind not in _SILENCE):
                unnamed = set(self._renderer.unnamed()) - turn.named
                if unnamed:
                    failure = await self._learn_again(turn, unnamed) or failure
                    page = self._renderer.render(turn.polls)
        except Exception as error:
            # A device must not be lost until a restart by what nobody has thought of.
            if self._failure != "internal":
                log.exception("%s: a poll by SNMP has met a bug of this program", self.job.device)
            self._forget()
            self._vitals = Vitals()
            message = f"a bug of this program: {type(error).__name__}"
            return self._line.traffic.failure("internal", message), Page(), Reading(None, None, None)
        return failure, page, vitals

    async def _ask(self, turn: _Turn) -> SnmpError | None:
        """Ask for all there is; what went wrong is returned, for something may have come before."""
        failure: SnmpError | None = None
        try:
            failure = await self._choose(turn)
            errors = turn.client.traffic.errors
            for layout in self._chosen:
                before = errors.total()
                problem = await self._module(turn, layout.module)
                # A scalar that is refused among others is counted, and no failure of the poll.
                if problem is None and errors.total() == before:
                    turn.whole.add(layout.module.name)
                failure = problem or failure
        except SnmpError as error:
            # Silence: whatever else could be asked would be met by it too.
            failure = error
        return failure

    async def _choose(self, turn: _Turn) -> SnmpError | None:
        """The modules that the inventory names, or those of what the device says that it is, now and then again."""
        now = time.monotonic()
        if self._renderer is not None and (self.job.modules or now < self._choose_at):
            return None
        names: Sequence[str] = self.job.modules
        failure: SnmpError | None = None
        if not names:
            turn.client.pace(self.assignment.timeout, self.assignment.retries, turn.until)
            answers: list[VarBind] = []
            failure = await _gather(answers, turn.client.get(classify.QUESTIONS))
            if failure is not None and (self._renderer is not None or not answers):
                return failure
            names = classify.classify(classify.facts(answers)).modules
        # A part of the answers is asked for again with the next poll.
        self._choose_at = now + self.assignment.slow_interval if failure is None else 0.0
        chosen = [self._layouts[name] for name in names if name in self._layouts]
        if self._renderer is None or chosen != self._chosen:
            self._chosen = chosen
            self._vital = [layout.module.name for layout in chosen if is_told_by(layout.module.asked)]
            self._renderer = Renderer(chosen, self.job.labels, self.assignment.limit)
            self._names = {layout.module.name: _Names() for layout in chosen}
        return None

    def _read(self, polls: Mapping[str, list[VarBind]], whole: set[str], start: float) -> Reading:
        return self._vitals.read(self._telling(polls), start, whole=whole.issuperset(self._vital))

    def _telling(self, polls: Mapping[str, list[VarBind]]) -> Iterator[VarBind]:
        """What load, memory and uptime are read from."""
        if self._renderer is not None:
            for name in self._vital:
                yield from polls.get(name, ())
                yield from self._renderer.names(name)

    async def _module(self, turn: _Turn, module: Module) -> SnmpError | None:
        """Ask for one module; what went wrong is returned if the device may still answer for the rest."""
        turn.client.pace(
            self.assignment.timeout if module.timeout is None else module.timeout,
            self.assignment.retries if module.retries is None else module.retries,
            turn.until,
        )
        client = turn.client
        found = turn.polls[module.name] = []
        failure: SnmpError | None = None
        # Before the names: a device may be so slow with those that nothing else comes.
        if module.instances:
            failure = await _gather(found, client.get(module.instances))
        failure = await self._learn(turn, module) or failure
        columns = list(module.columns)
        for one in reversed(module.filters):
            taken = [column for column in columns if column.startswith(one.targets)]
            if taken:
                rows, problem = await self._passing(client, module, one.conditions)
                instances = [column + row for column in taken for row in rows]
                columns = [column for column in columns if column not in taken]
                failure = problem or failure
                if instances:
                    failure = await _gather(found, client.get(instances)) or failure
        if columns:
            failure = await _gather(found, self._walk(client, module, columns)) or failure
        return failure

    def _walk(self, client: Client, module: Module, columns: Sequence[bytes]) -> Awaitable[list[VarBind]]:
        repetitions = module.max_repetitions or self.assignment.max_repetitions
        return client.walk(columns, repetitions, allow_nonincreasing=module.allow_nonincreasing_oids)

    async def _learn(self, turn: _Turn, module: Module) -> SnmpError | None:
        """Ask what rows are called, once in a while; returns what keeps some names back, now or since then."""
        state, now = self._names[module.name], time.monotonic()
        if now < state.due or self._renderer is None or not (module.lookup_columns or module.lookup_instances):
            return state.failure
        names: list[VarBind] = []
        failure: SnmpError | None = None
        try:
            if module.lookup_instances:
                failure = await _gather(names, turn.client.get(module.lookup_instances))
            if module.lookup_columns:
                failure = await _gather(names, self._walk(turn.client, module, module.lookup_columns)) or failure
        except SnmpError as error:
            failure = error
        turn.named.add(module.name)
        state.failure = failure
        if failure is None:
            state.due, state.pause = now + self.assignment.slow_interval, 0.0
        else:
            pause = max(2 * state.pause, _AGAIN * self.assignment.interval)
            state.pause = min(pause, self.assignment.slow_interval)
            state.due = now + state.pause
            # What has not come this time is what it was.
            names = [*self._renderer.names(module.name), *names]
        self._renderer.learn(module.name, names)
        if failure is not None and failure.kind in _SILENCE:
            raise failure
        return failure

    async def _learn_again(self, turn: _Turn, modules: set[str]) -> SnmpError | None:
        """Ask for the names of modules with new rows; not sooner than is due where that has failed before."""
        failure: SnmpError | None = None
        try:
            for layout in self._chosen:
                state = self._names[layout.module.name]
                if layout.module.name in modules and state.failure is None:
                    state.due = 0.0
                    failure = await self._learn(turn, layout.module) or failure
        except SnmpError as error:
            failure = error
        return failure

    async def _passing(
        self, client: Client, module: Module, conditions: Sequence[Condition]
    ) -> tuple[list[bytes], SnmpError | None]:
        """The rows that meet all conditions, in the order of the first one's column; and what went wrong."""
        passing: list[list[bytes]] = []
        failure: SnmpError | None = None
        for condition in conditions:
            found: list[VarBind] = []
            failure = await _gather(found, self._walk(client, module, [condition.oid])) or failure
            size = len(condition.oid)
            passing.append([oid[size:] for oid, tag, value in found if _meets(condition, tag, value)])
        common = set(passing[0]).intersection(*passing)
        return [row for row in passing[0] if row in common], failure


async def _gather(found: list[VarBind], answers: Awaitable[list[VarBind]]) -> SnmpError | None:
    """Add what comes; what went wrong is returned, or raised where the device is silent."""
    try:
        found += await answers
    except SnmpError as error:
        if isinstance(error, PartialWalk):
            found += error.varbinds
        if error.kind in _SILENCE:
            raise
        return error
    return None


def _meets(condition: Condition, tag: int, value: bytes) -> bool:
    try:
        text = decode.text(tag, value, "DisplayString")[: decode.LONGEST_SEARCHED]
    except BerError:
        return False
    return any(pattern.search(text) for pattern in condition.values)
