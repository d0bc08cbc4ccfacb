"""The composition root: builds the parts, and owns start, reload and the end.

Threads: the probe loop; the resolver; the saver; a few for rendering and reloads; the main one serves HTTP.
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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from exporter.config import Settings, load_settings
from exporter.errors import WardError
from exporter.exposition import itself as exposition
from exporter.exposition.devices import DeviceText
from exporter.icmp.plan import Plan
from exporter.icmp.prober import Prober, Timing, receive_bytes, slots_needed
from exporter.icmp.resolver import Resolver
from exporter.icmp.sockets import open_transports
from exporter.inventory.device import Inventory
from exporter.inventory.sources import Sources
from exporter.inventory.topology import Topology
from exporter.saver import Saver
from exporter.state.columns import row_map
from exporter.state.verdict import Rules, Verdicts
from exporter.web.app import create_app
from exporter.web.server import Server, listen

log = logging.getLogger(__name__)

#: The probe thread gets the interpreter lock within this time, whatever the others render.
_SWITCH_SECONDS = 0.0005
_CALL_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Running:
    """A configuration and all that was built from it; a reload swaps the whole."""

    settings: Settings
    sources: Sources
    plan: Plan
    verdicts: Verdicts
    text: DeviceText

    @property
    def timing(self) -> Timing:
        return Timing(self.settings.probe.interval, self.settings.probe.timeout)


class Service:
    """The exporter. `run` returns the exit status; anything wrong with the start is raised before, as WardError."""

    def __init__(self, config: Path | None, address: str, storage: Path) -> None:
        self._config = config
        self._itself = exposition.Itself()
        self._process = exposition.Process()
        self._reloading = threading.Lock()
        self._socket: socket.socket = listen(address)
        self._saver = Saver(storage, self._itself)
        self._resolver = Resolver(self._resolved)
        self._running = self._build(*self._read())
        running = self._running
        transports = open_transports(
            slots_needed(running.plan.devices, running.timing) >> 16,
            receive_bytes(running.plan, running.timing),
        )
        self._saver.restore(running.verdicts)
        self._prober = Prober(transports, running.timing, running.plan, running.verdicts)
        self._itself.sockets = tuple(
            ("ipv6" if family == socket.AF_INET6 else "ipv4", transport.kind)
            for family, transport in transports.items()
        )
        self._server = Server(create_app(self))

    # What the web side asks for.

    @property
    def verdicts(self) -> Verdicts:
        return self._running.verdicts

    def render_metrics(self) -> bytes:
        """The page at /metrics; runs in a thread of its own."""
        start = time.perf_counter()
        self._itself.unresolved = len(self._resolver.failed)
        body = b"".join([part.encode() for part in self._parts()])
        self._itself.render_duration = time.perf_counter() - start
        self._itself.renders += 1
        return body

    def _parts(self) -> Iterator[str]:
        running = self._running
        yield from running.text.render()
        yield from exposition.render(self._prober.stats, running.verdicts, self._itself)
        yield self._process.render()

    def unhealthy(self) -> str:
        if self._prober.failure is not None:
            return f"the probe loop has failed: {self._prober.failure}"
        age = time.monotonic() - self._prober.heartbeat
        return "" if age < max(5.0, 3 * self._running.timing.interval) else f"the probe loop stands for {age:.0f} s"

    def unready(self) -> str:
        return self.unhealthy() or ("" if self._prober.first_sweep_done else "the first sweep is under way")

    async def reload(self) -> None:
        """Read everything again and go over to it. Raises WardError; what runs then goes on."""
        await asyncio.to_thread(self._reload, None)

    # Start, run, end.

    def run(self) -> int:
        sys.setswitchinterval(_SWITCH_SECONDS)
        self._settle()
        self._resolver.start()
        self._prober.start()
        self._saver.start(self._prober, lambda: self._running.verdicts)
        log.info(
            "probing %d devices each %g s, listening on port %d",
            len(self.verdicts.inventory.devices),
            self._running.timing.interval,
            self._socket.getsockname()[1],
        )
        try:
            asyncio.run(self._serve())
        finally:
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
            for coroutine in (self._reload_on(hangup), self._refresh(), self._end_with_prober())
        ]
        await self._server.serve(sockets=[self._socket])
        for task in tasks:
            task.cancel()

    def _end(self) -> None:
        self._server.should_exit = True

    async def _end_with_prober(self) -> None:
        while self._prober.failure is None:
            await asyncio.sleep(1)
        self._end()

    async def _reload_on(self, hangup: asyncio.Event) -> None:
        while True:
            await hangup.wait()
            hangup.clear()
            await self._try_reload(None)

    async def _refresh(self) -> None:
        """Ask the inventory's URLs again when they are due."""
        while True:
            sources = self._running.sources
            await asyncio.sleep(sources.next_refresh or 60)
            if sources is self._running.sources and sources.next_refresh:
                await self._try_reload(sources)

    async def _try_reload(self, sources: Sources | None) -> None:
        try:
            await asyncio.to_thread(self._reload, sources)
        except WardError as error:
            log.warning("reload failed, the former configuration stays: %s", error)
        except Exception:
            # What nobody has foreseen must not end what runs.
            log.exception("reload failed, the former configuration stays")

    # Configurations.

    def _read(self, sources: Sources | None = None) -> tuple[Sources, Inventory]:
        if sources is not None:
            return sources, sources.read()
        sources = Sources(load_settings(self._config), self._saver.folder / "sources")
        return sources, sources.read(force=True)

    def _build(self, sources: Sources, inventory: Inventory) -> Running:
        settings = sources.settings
        for warning in inventory.warnings:
            log.warning("%s", warning)
        topology = Topology(inventory)
        cycles = math.ceil(settings.probe.window / settings.probe.interval)
        rules = Rules(settings.probe.down_after, settings.probe.up_after, cycles, settings.flapping.window)
        verdicts = Verdicts(inventory, topology, rules)
        plan = Plan(inventory.devices, self._resolver.known)
        self._resolver.watch(plan.hosts, settings.probe.resolve_every)
        self._itself.interval = settings.probe.interval
        self._itself.sources = {name: (status.ok, status.devices) for name, status in sources.status.items()}
        self._itself.reload_successful = True
        self._itself.reloaded_at = time.time()
        return Running(settings, sources, plan, verdicts, DeviceText(verdicts, topology.site_names))

    def _reload(self, sources: Sources | None) -> None:
        with self._reloading:
            try:
                read, inventory = self._read(sources)
                if sources is not None and inventory == self.verdicts.inventory:
                    return
                self._swap(self._build(read, inventory))
            except BaseException:
                self._itself.reload_successful = False
                raise
            self._settle()
            log.info("reloaded: %d devices", len(inventory.devices))

    def _swap(self, new: Running) -> None:
        old = self._running
        rows = row_map(old.verdicts.inventory.devices, new.verdicts.inventory.devices)

        def go_over() -> None:
            new.verdicts.copy_from(old.verdicts, rows)
            self._prober.replace(new.plan, rows, new.verdicts, new.timing)
            self._running = new

        self._prober.call(go_over).result(_CALL_TIMEOUT)

    def _resolved(self, host: str, address: str | None) -> None:
        self._prober.call(lambda: self._running.plan.resolve(host, address))

    @staticmethod
    def _settle() -> None:
        """Take what will live for long out of the garbage collector's rounds: they would hold the loop up."""
        gc.collect()
        gc.freeze()
