"""What has changed since when: the state of all devices with versions, as the messages of the live stream.

Nothing is kept for a listener but how far it has come. What it has missed is told from the state as it is, so one
that was away, or is slow, costs no memory, and several changes of one device become one.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from exporter import __version__
from exporter.icmp.packet import REASONS
from exporter.inventory.device import Site
from exporter.state.columns import DOWN
from exporter.state.history import Event
from exporter.state.verdict import Verdicts

#: Events that a page which opens is told; and the most that one message holds.
SHOWN_EVENTS = 100
#: Bits of a state's flags, in this order.
FLAGS = ("flapping", "maintenance", "shadowed", "mass_outage")
#: Numbers that are made JSON at a time: the encoder keeps the interpreter lock, and the probe loop needs it.
_CHUNK = 1000

Codes = npt.NDArray[np.int32]


class Position(NamedTuple):
    """How far a listener has come; `epoch` is another after a reload or a restart."""

    epoch: str
    version: int
    event: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.version}-{self.event}"

    @classmethod
    def parse(cls, text: str) -> Position | None:
        """None for what is no position."""
        epoch, *numbers = text.split("-")
        if len(numbers) != 2 or not all(number.isdecimal() and len(number) < 16 for number in numbers):
            return None
        return cls(epoch, int(numbers[0]), int(numbers[1]))


class Changes:
    """The states of one inventory; `look` brings them up to date, and all else speaks of the last look."""

    def __init__(self, verdicts: Verdicts, interval: float) -> None:
        self.verdicts = verdicts
        self.position = Position(secrets.token_hex(4), 0, 0)
        self._interval = interval
        self._count = len(verdicts.inventory.devices)
        self._codes: Codes = np.full(self._count, -1, np.int32)
        self._since = np.zeros(self._count)
        #: When each row has last changed.
        self._versions = np.zeros(self._count, np.int64)
        self._rest: dict[str, Any] = {}
        #: The last message made, and for whom: all listeners are mostly at the same place.
        self._made: tuple[Position, Position, bytes] | None = None
        self._static = b""

    def look(self, problem: str) -> bool:
        """Whether anything has changed; `problem` is what is wrong with the exporter itself."""
        event = self.verdicts.history.last
        codes, since = self._read()
        moved = (codes != self._codes) | (since != self._since)
        rest = self._read_rest(problem)
        if not moved.any() and rest == self._rest and event == self.position.event:
            return False
        version = self.position.version + 1
        self._versions[moved] = version
        self._codes, self._since, self._rest = codes, since, rest
        self.position = Position(self.position.epoch, version, event)
        return True

    def follows(self, position: Position) -> bool:
        """Whether `since` can tell what a listener at this position has missed."""
        events = self.verdicts.history.events()
        here = self.position
        return (
            position.epoch == here.epoch
            and position.version <= here.version
            and position.event <= here.event
            and (not events or events[0].number <= position.event + 1)
        )

    def since(self, position: Position, at: float) -> bytes:
        """What a listener at `position` has missed, as JSON."""
        here = self.position
        if self._made is None or self._made[:2] != (position, here):
            rows = np.flatnonzero(self._versions > position.version).tolist()
            self._made = position, here, self._message(rows, position.event, at)
        return self._made[2]

    def snapshot(self, at: float) -> tuple[Position, bytes]:
        """All there is, as JSON, and where it ends; may run in a thread: what changes meanwhile is told again."""
        here = self.position
        if not self._static:
            self._static = b"".join(_static(self.verdicts, self._interval))
        return here, b"%s,%s" % (self._static, self._message(range(self._count), 0, at)[1:])

    def figures(self) -> bytes:
        """Mean RTT (ms) and loss of each device over the window, as JSON; may run in a thread."""
        gauges = self.verdicts.window.gauges()
        rtt, loss = gauges.rtt[: self._count] * 1000, gauges.loss[: self._count]
        return b'{"rtt":[%s],"loss":[%s]}' % (_numbers(rtt, 3), _numbers(loss, 3))

    def _read(self) -> tuple[Codes, npt.NDArray[np.float64]]:
        columns, count = self.verdicts.columns, self._count
        verdict = columns.verdict[:count].astype(np.int32)
        flags = (
            columns.flapping[:count],
            self.verdicts.suppression.maintenance,
            columns.shadowed[:count],
            columns.mass_outage[:count],
        )
        codes = verdict + np.where(verdict == DOWN, columns.reason[:count].astype(np.int32) << 8, 0)
        for bit, flag in enumerate(flags):
            codes += flag.astype(np.int32) << (bit + 2)
        return codes, columns.last_change[:count].copy()

    def _read_rest(self, problem: str) -> dict[str, Any]:
        suppression, names = self.verdicts.suppression, self.verdicts.site_names
        isolated = [names[row] for row in np.flatnonzero(suppression.isolated).tolist()]
        return {"isolated": isolated, "mass_outage": suppression.mass_outage, "problem": problem}

    def _message(self, rows: Iterable[int], event: int, at: float) -> bytes:
        events = [event_json(one) for one in self.verdicts.history.events() if one.number > event]
        rest = json.dumps({"at": round(at, 3), **self._rest, "events": events[-SHOWN_EVENTS:]})
        codes, since = self._codes, self._since
        states = ",".join(_state(row, int(codes[row]), float(since[row])) for row in rows)
        return f'{rest[:-1]},"states":[{states}]}}'.encode()


def event_json(event: Event) -> dict[str, Any]:
    return event._asdict()


def _state(row: int, code: int, since: float) -> str:
    """`[row, verdict, since, flags, reason]`."""
    return f'[{row},{code & 3},{since:.3f},{code >> 2 & 15},"{REASONS[code >> 8]}"]'


def _static(verdicts: Verdicts, interval: float) -> Iterator[bytes]:
    """What only a reload changes: the beginning of a JSON object."""
    inventory = verdicts.inventory
    sites = []
    for name in verdicts.site_names:
        site = inventory.sites.get(name, Site(name=name))
        sites.append({"name": name, "region": site.region, "local_uplinks": site.local_uplinks})
    head = json.dumps({"version": __version__, "interval": interval, "sites": sites})
    yield f'{head[:-1]},"devices":['.encode()
    for row, device in enumerate(inventory.devices):
        facts = {
            "name": device.name,
            "address": device.address,
            "site": device.site,
            "role": device.role,
            "provider": device.provider,
            "rtt_limit": round(device.limits.rtt * 1000, 3),
            "loss_limit": device.limits.loss,
        }
        yield b"%s%s" % (b"," if row else b"", json.dumps(facts).encode())
    yield b"]"


def _numbers(values: npt.NDArray[np.float64], digits: int) -> bytes:
    """Separated by commas, null where there is nothing to tell."""
    parts = []
    for start in range(0, len(values), _CHUNK):
        chunk = np.round(values[start : start + _CHUNK], digits).tolist()
        parts.append(json.dumps(chunk, separators=(",", ":"))[1:-1].replace("NaN", "null"))
    return ",".join(parts).encode()
