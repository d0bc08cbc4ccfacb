"""`ward-exporter discover`: from ranges of addresses to an inventory file."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TextIO

from exporter import addresses, values
from exporter.config import Settings, load_settings
from exporter.config_auths import Auth
from exporter.errors import DiscoverError
from exporter.fields import WrongError, did_you_mean, listed, shown
from exporter.icmp.sockets import open_transports
from exporter.inventory.classes import Classes
from exporter.inventory.device import Inventory
from exporter.inventory.sources import Sources
from exporter.snmp.session import Session
from exporter.tools import discover_names
from exporter.tools.discover_agents import LIMIT, Agents, physical_addresses
from exporter.tools.discover_devices import Catalogue, Cataloguer, Findings, alike, plain
from exporter.tools.discover_file import Target, render
from exporter.tools.discover_progress import Step, progress
from exporter.tools.discover_ranges import Ranges
from exporter.tools.discover_sweep import Sweep

FASTEST = 100_000
_RECEIVE_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asks for; `everything` is to ask SNMP of silent addresses too."""

    ranges: Sequence[str]
    config: Path | None
    auths: Sequence[str]
    output: Path | None
    force: bool
    large: bool
    everything: bool
    dns: bool
    site: str
    rate: int


def discover(wish: Wish, out: TextIO, err: TextIO) -> int:
    """Sweep, ask, and write what was found; raises DiscoverError, ConfigError, SocketError."""
    try:
        return _discover(wish, out, err)
    except KeyboardInterrupt:
        print("interrupted: nothing is written", file=err)
        return 130


def _discover(wish: Wish, out: TextIO, err: TextIO) -> int:
    ranges = Ranges(wish.ranges)
    ranges.check_size(wish.large)
    _check(wish)
    target = Target(wish.output, wish.force, out)
    settings = load_settings(wish.config)
    if wish.config is None:
        # The inventory of the built-in one is a demonstration.
        settings = replace(settings, inventory=())
    auths = _chosen(settings.snmp.auths, wish.auths)
    inventory = _inventory(settings, wish.output, err)
    hosts = [device.address for device in inventory.devices if addresses.family(device.address) == 0]
    resolved = discover_names.addresses(hosts) if wish.dns else {}
    cataloguer = Cataloguer(Classes(settings), inventory.devices, resolved, wish.site)
    search = _Search(wish, settings, auths, cataloguer)
    with progress(err, ranges.size, bool(auths)) as steps:
        findings = asyncio.run(search.run(ranges, *steps))
    if wish.dns:
        fresh = [address for address in findings.addresses if not cataloguer.knows(address)]
        names = discover_names.names(address for address in fresh if not findings.own_name(address))
        findings.names = {address: plain(name) for address, name in names.items()}
    catalogue = cataloguer.catalogue(findings)
    if search.refused:
        refused = ", ".join(f"{name} {count:,}" for name, count in search.refused.items())
        print(f"the kernel would not send to some addresses: {refused}", file=err)
    _tell(ranges, findings, catalogue, bool(auths), err)
    if not catalogue.rows:
        print("nothing new: nothing is written", file=err)
        return 0
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    target.write(render(catalogue, f"Found by ward-exporter discover at {now} in {listed(wish.ranges)}."))
    links = sum(row.isp for row in catalogue.rows)
    where = target.path or "standard output"
    print(f"written to {where}: {_count(len(catalogue.rows), 'device')}, {_count(links, 'ISP link')}", file=err)
    return 0


def _check(wish: Wish) -> None:
    if not 1 <= wish.rate <= FASTEST:
        raise DiscoverError(f"--rate: found {wish.rate}; expected 1 to {FASTEST:,} packets a second")
    if wish.site:
        try:
            values.name(wish.site)
        except WrongError as wrong:
            raise DiscoverError(f"--site: found {shown(wish.site)}; expected {wrong.expected}") from wrong


def _chosen(auths: Mapping[str, Auth], names: Sequence[str]) -> Mapping[str, Auth]:
    """The auths to try, in their order."""
    for name in names:
        if name not in auths:
            hint = did_you_mean(name, auths) or f"snmp.auths in ward.yml has {listed(sorted(auths)) or 'none'}"
            raise DiscoverError(f"--auth: no auth has the name {shown(name)}; {hint}")
    return {name: auths[name] for name in names} if names else auths


def _inventory(settings: Settings, output: Path | None, err: TextIO) -> Inventory:
    """The inventory as it is without the file that is about to be written."""
    sources = Sources(settings, growing=True, without=output)
    inventory = sources.read()
    for name, status in sources.status.items():
        if not status.ok:
            print(f"warning: {name} cannot be read: its devices count as new", file=err)
    return inventory


class _Search:
    """The sweep, and beside it the questions to those that have answered it."""

    def __init__(self, wish: Wish, settings: Settings, auths: Mapping[str, Auth], cataloguer: Cataloguer) -> None:
        self._wish = wish
        self._settings = settings
        self._auths = auths
        self._cataloguer = cataloguer
        self.refused: Mapping[str, int] = {}

    async def run(self, ranges: Ranges, pinged: Step, asked: Step) -> Findings:
        findings = Findings()
        waiting: asyncio.Queue[str | None] = asyncio.Queue()

        def ask(address: str) -> None:
            waiting.put_nowait(address)
            asked(0, 1)

        def answered(address: str) -> None:
            findings.pings.add(address)
            if self._auths:
                ask(address)

        transports = open_transports(1, _RECEIVE_BYTES)
        asker = asyncio.create_task(self._ask(waiting, findings, asked))
        try:
            timeout = self._settings.probe.timeout
            sweep = Sweep(transports, self._wish.rate, timeout, answered, lambda count: pinged(count, 0))
            await sweep.run(ranges)
            self.refused = sweep.refused
            for address in ranges if self._auths and self._wish.everything else ():
                if address not in findings.pings:
                    ask(address)
            waiting.put_nowait(None)
            await asker
        finally:
            asker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asker
            for transport in transports.values():
                transport.close()
        return findings

    async def _ask(self, waiting: asyncio.Queue[str | None], findings: Findings, asked: Step) -> None:
        """Ask the addresses that wait, until there is a None; then those that may be one device for more."""
        snmp = self._settings.snmp
        free = asyncio.Semaphore(LIMIT)
        with Session(LIMIT) as session:
            agents = Agents(session, self._auths, self._port, snmp.timeout, snmp.retries)

            async def one(address: str) -> None:
                try:
                    answer = await agents.ask(address)
                    if answer is not None:
                        findings.answers[address] = answer
                finally:
                    free.release()
                asked(1, 0)

            async with asyncio.TaskGroup() as tasks:
                while (address := await waiting.get()) is not None:
                    await free.acquire()
                    tasks.create_task(one(address))
            findings.strangers = agents.strangers
            several = [address for group in alike(findings) for address in group]
            told = await physical_addresses([findings.answers[address] for address in several])
            findings.physical = dict(zip(several, told, strict=True))

    def _port(self, address: str, auth: str) -> int:
        options = self._cataloguer.as_class(address, auth).snmp
        assert options is not None
        return options.port


def _tell(ranges: Ranges, findings: Findings, catalogue: Catalogue, asked: bool, err: TextIO) -> None:
    tell = partial(print, file=err)
    by_snmp = f", {len(findings.answers):,} SNMP" if asked else "; no auths are configured to ask SNMP by"
    tell(f"{_count(ranges.size, 'address', 'es')}: {len(findings.pings):,} answer ping{by_snmp}")
    renamed = [known for known in catalogue.known if known.own_name]
    if catalogue.known:
        others = f", {len(renamed):,} of them under another name" if renamed else ""
        tell(f"in the inventory already: {len(catalogue.known):,}{others}")
    if further := len(catalogue.further) + catalogue.merged:
        tell(f"further addresses of devices: {further:,}")


def _count(number: int, what: str, plural: str = "s") -> str:
    return f"{number:,} {what}{'' if number == 1 else plural}"
