"""The composition root: builds the parts, and owns start, reload and the end.

Threads: the probe loop; the resolver; the saver; the log; one for each rendering and reload that is under way; the
main one serves HTTP.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from exporter import memory
from exporter.config import Settings, load_settings
from exporter.errors import ConfigError, Problem, WardError
from exporter.exposition import itself as exposition
from exporter.exposition.devices import DeviceText
from exporter.icmp.plan import Plan
from exporter.icmp.prober import Prober
from exporter.icmp.resolver import Resolver
from exporter.icmp.sizing import MOST_BYTES, MOST_SLOTS, Timing, slots_needed
from exporter.icmp.sockets import make_room, open_transports
from exporter.inventory.device import Inventory
from exporter.inventory.shard import WHOLE, Shard, divide, no_devices
from exporter.inventory.sources import Sources
from exporter.inventory.topology import Topology
from exporter.notify import Notify
from exporter.polling import Polling
from exporter.saver import Saver
from exporter.snmp.available import modules_of
from exporter.snmp.modules import Module
from exporter.state.columns import row_map
from exporter.state.verdict import Rules, Verdicts
from exporter.web.app import create_app
from exporter.web.background import in_background
from exporter.web.connections import Connections, most_connections
from exporter.web.live import LiveWebConfig
from exporter.web.security import protect
from exporter.web.server import Server, listen, url

log = logging.getLogger(__name__)

#: The probe thread gets the interpreter lock within this time, whatever the others render.
_SWITCH_SECONDS = 0.0005
#: The probe loop answers within a few milliseconds, or something is wrong with it.
_CALL_TIMEOUT = 10.0
_STALE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Running:
    """A configuration and all that was built from it; a reload swaps the whole."""

    settings: Settings
    sources: Sources
    plan: Plan
    verdicts: Verdicts
    text: DeviceText
    modules: Mapping[str, Module]

    @property
    def timing(self) -> Timing:
        return Timing(self.settings.probe.interval, self.settings.probe.timeout)


class Service:
    """The exporter. `run` returns the exit status; anything wrong with the start is raised before, as WardError.

    `sockets_open` is called when all sockets are open that take a capability, before anything is read.
    """

    def __init__(
        self,
        config: Path | None,
        address: str,
        storage: Path,
        web: Path | None = None,
        sockets_open: Callable[[], None] = lambda: None,
        shard: Shard = WHOLE,
    ) -> None:
        self._config = config
        self._notify = Notify()
        self._itself = exposition.Itself(shard=shard)
        self._process = exposition.Process()
        self._reloading = threading.Lock()
        #: What has failed since it last succeeded: "reload", "refresh".
        self._failures: set[str] = set()
        #: The inventory's warnings that the log has.
        self._warned: frozenset[str] = frozenset()
        self._turn = asyncio.Lock()
        self._next_reload: asyncio.Task[None] | None = None
        self._socket: socket.socket = listen(address)
        self._saver = Saver(storage, self._itself)
        # Of both families, whatever the inventory holds, and with all the room that this user may ask for: a reload
        # that needs more will find no capability any more.
        transports = open_transports(1, MOST_BYTES)
        sockets_open()
        self._web = LiveWebConfig(web)
        self._resolver = Resolver(self._resolved)
        self._polling = Polling()
        running = self._running = self._build(*self._read(None))
        self._show(running)
        slots = slots_needed(running.plan.devices, running.timing)
        make_room(transports.values(), slots, running.plan, running.timing)
        self._saver.restore(running.verdicts)
        running.verdicts.evaluate(time.monotonic_ns(), time.time())
        self._prober = Prober(transports, running.timing, running.plan, running.verdicts)
        self._itself.sockets = tuple(
            ("ipv6" if family == socket.AF_INET6 else "ipv4", transport.kind)
            for family, transport in transports.items()
        )
        connections = Connections(most_connections())
        self._server = Server(protect(create_app(self), self._web, connections), self._web, connections)

    # What the web side asks for.

    @property
    def verdicts(self) -> Verdicts:
        return self._running.verdicts

    def render_metrics(self) -> bytes:
        """The page at /metrics; runs in a thread of its own."""
        start = time.perf_counter()
        self._itself.unresolved = len(self._resolver.failed)
        body = b"".join(self._parts())
        self._itself.render_duration = time.perf_counter() - start
        self._itself.renders += 1
        return body

    def _parts(self) -> Iterator[bytes]:
        running = self._running
        yield from running.text.render()
        yield from exposition.render(self._prober.stats, running.verdicts, self._itself)
        yield self._process.render()

    def render_snmp(self, shard: tuple[int, int]) -> bytes:
        """The page at /metrics/snmp; runs in a thread of its own."""
        return self._polling.render(shard)

    @property
    def ending(self) -> bool:
        return self._server.should_exit

    @property
    def interval(self) -> float:
        return self._running.timing.interval

    def unhealthy(self) -> str:
        if self._prober.failure is not None:
            return f"the probe loop has failed: {self._prober.failure}"
        age = time.monotonic() - self._prober.heartbeat
        return "" if age < _STALE_SECONDS else f"the probe loop stands for {age:.0f} s"

    def unready(self) -> str:
        return self.unhealthy() or ("" if self._prober.first_sweep_done else "the first sweep is under way")

    async def reload(self) -> None:
        """Read everything again and go over to it. Raises WardError; what runs then goes on.

        One reload runs at a time; all requests that come meanwhile share the next one, which sees what they have
        changed before.
        """
        if self._next_reload is None:
            self._next_reload = asyncio.create_task(self._reload_in_turn())
        await asyncio.shield(self._next_reload)

    async def _reload_in_turn(self) -> None:
        async with self._turn:
            self._next_reload = None
            self._notify.reloading()
            try:
                await in_background(partial(self._reload, None))
            finally:
                self._notify.ready(self._status())

    # Start, run, end.

    def run(self) -> int:
        sys.setswitchinterval(_SWITCH_SECONDS)
        memory.keep_little()
        self._settle()
        self._resolver.start()
        self._prober.start()
        self._saver.start(self._prober, lambda: self._running.verdicts)
        where = url(self._socket, tls=self._web.current.tls is not None)
        log.info("%s, listening on port %d: %s", self._status(), self._socket.getsockname()[1], where)
        try:
            asyncio.run(self._serve())
        finally:
            self._polling.close()
            # The loop ends first, so that the last save holds its last outcome.
            self._prober.stop()
            self._saver.stop(self._running.verdicts)
        return 0 if self._prober.failure is None else 1

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        hangup = asyncio.Event()
        loop.add_signal_handler(signal.SIGHUP, hangup.set)
        tasks = [
            loop.create_task(coroutine)
            for coroutine in (
                self._reload_on(hangup),
                self._refresh(),
                self._end_with_prober(),
                self._web.watch(),
                self._notify.keep_alive(self.unhealthy),
            )
        ]
        self._notify.ready(self._status())
        await self._server.serve(sockets=[self._socket])
        for task in tasks:
            task.cancel()

    def _status(self) -> str:
        return f"probing {len(self.verdicts.inventory.devices)} devices each {self.interval:g} s"

    def _end(self) -> None:
        self._notify.stopping()
        self._server.should_exit = True

    async def _end_with_prober(self) -> None:
        while self._prober.failure is None:
            await asyncio.sleep(1)
        self._end()

    async def _reload_on(self, hangup: asyncio.Event) -> None:
        while True:
            await hangup.wait()
            hangup.clear()
            await self._try(self.reload())

    async def _refresh(self) -> None:
        """Ask the inventory's URLs again when they are due."""
        while True:
            sources, waited = self._running.sources, 0
            # Second by second, for a reload may bring other sources and other times.
            while sources is self._running.sources and waited < (sources.next_refresh or math.inf):
                await asyncio.sleep(1)
                waited += 1
            if sources is self._running.sources:
                await self._try(in_background(partial(self._reload, sources)))

    @staticmethod
    async def _try(reload: Coroutine[None, None, None]) -> None:
        try:
            await reload
        except WardError as error:
            log.warning("reload failed, the former configuration stays: %s", error)
        except Exception:
            # What nobody has foreseen must not end what runs.
            log.exception("reload failed, the former configuration stays")

    # Configurations.

    def _read(self, former: Sources | None) -> tuple[Sources, Inventory]:
        """All there is to read, anew; the URLs among `former` give what they gave last, should they fail."""
        sources = Sources(load_settings(self._config), self._saver.folder / "sources", former)
        return sources, self._read_sources(sources, force=True)

    def _read_sources(self, sources: Sources, *, force: bool = False) -> Inventory:
        shard = Shard(*self._itself.shard)
        try:
            inventory = divide(sources.read(force=force), shard)
            if not inventory.devices:
                raise ConfigError([no_devices(shard, str(sources.settings.path))])
        except WardError:
            self._show_failed(sources)
            raise
        return inventory

    def _build(self, sources: Sources, inventory: Inventory) -> Running:
        settings = sources.settings
        timing = Timing(settings.probe.interval, settings.probe.timeout)
        count = len(inventory.probed)
        if slots_needed(count, timing) > MOST_SLOTS:
            found = f"{count} devices each {timing.interval:g} s, waited for {timing.timeout:g} s each"
            message = f"{found}, are too many probes under way; expected a shorter timeout or a longer interval"
            raise ConfigError([Problem(str(settings.path), None, "probe.timeout", message)])
        topology = Topology(inventory)
        cycles = math.ceil(settings.probe.window / settings.probe.interval)
        rules = Rules(settings.probe.down_after, settings.probe.up_after, cycles, settings.flapping.window)
        verdicts = Verdicts(inventory, topology, rules)
        plan = Plan(inventory.probed, self._resolver.known)
        text = DeviceText(verdicts, topology.site_names)
        return Running(settings, sources, plan, verdicts, text, modules_of(settings, inventory.devices))

    def _show(self, running: Running) -> None:
        """Tell the page, the log and the resolver what runs now."""
        self._itself.interval = running.settings.probe.interval
        self._itself.reloaded_at = time.time()
        self._show_sources(running.sources, running.verdicts.inventory)
        self._resolver.watch(running.plan.hosts, running.settings.probe.resolve_every)
        self._polling.assign(running.settings.snmp, running.verdicts.inventory.devices, running.modules)

    def _show_sources(self, sources: Sources, inventory: Inventory) -> None:
        self._itself.sources = {name: (status.ok, status.devices) for name, status in sources.status.items()}
        for warning in inventory.warnings:
            if warning not in self._warned:
                log.warning("%s", warning)
        self._warned = frozenset(inventory.warnings)

    def _show_failed(self, sources: Sources) -> None:
        """Which of the sources that run now could not be read; what they gave before is still what runs."""
        status = sources.status
        self._itself.sources = {
            name: (status[name].ok if name in status else ok, devices)
            for name, (ok, devices) in self._itself.sources.items()
        }

    def _reload(self, sources: Sources | None) -> None:
        """Read all again, or, for a refresh, what `sources` hold now."""
        kind = "reload" if sources is None else "refresh"
        with self._reloading:
            if sources is not None and sources is not self._running.sources:
                return  # a reload has come before
            try:
                self._take_over(sources)
            except BaseException:
                self._failures.add(kind)
                raise
            else:
                # A refresh does not read ward.yml: it does not mend a reload that has failed.
                self._failures -= {"reload", "refresh"} if sources is None else {"refresh"}
            finally:
                self._itself.reload_successful = not self._failures

    def _take_over(self, sources: Sources | None) -> None:
        if sources is None:
            self._web.reload()
            read, inventory = self._read(self._running.sources)
        else:
            read, inventory = sources, self._read_sources(sources)
        runs = self.verdicts.inventory
        if sources is not None and (inventory.probed, inventory.sites) == (runs.probed, runs.sites):
            self._show_sources(sources, inventory)
            return
        new = self._build(read, inventory)
        self._swap(new)
        if sources is None:
            # Who reloads by hand wants to hear all of them again.
            self._warned = frozenset()
        self._show(new)
        # The former one goes with its last name, or it would be settled along.
        del runs
        self._settle()
        log.info("reloaded: %d devices", len(inventory.devices))

    def _swap(self, new: Running) -> None:
        """Go over to `new` between two ticks of the loop, or, after _CALL_TIMEOUT, not at all."""
        old = self._running
        rows = row_map(old.verdicts.inventory.probed, new.verdicts.inventory.probed)
        decided = threading.Lock()

        def go_over() -> None:
            if not decided.acquire(blocking=False):
                return
            # Names that were found since the plan was made; from now on the resolver speaks to this plan.
            for host in new.plan.hosts.keys() & self._resolver.known.keys():
                new.plan.resolve(host, self._resolver.known[host])
            new.verdicts.copy_from(old.verdicts, rows)
            new.verdicts.evaluate(time.monotonic_ns(), time.time())
            self._prober.replace(new.plan, rows, new.verdicts, new.timing)
            self._running = new

        done = self._prober.call(go_over)
        try:
            done.result(_CALL_TIMEOUT)
        except TimeoutError as error:
            if decided.acquire(blocking=False):
                raise WardError("the probe loop does not answer") from error
            done.result()

    def _resolved(self, host: str, address: str | None) -> None:
        self._prober.call(lambda: self._running.plan.resolve(host, address))

    @staticmethod
    def _settle() -> None:
        """Take what will live for long out of the garbage collector's rounds: they would hold the loop up."""
        # What was frozen before and is garbage now would never be found again.
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        memory.give_back()
