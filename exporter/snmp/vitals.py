"""Load, memory and uptime of any device, in the same units: out of whatever its vendor's modules have brought.

A source counts only where those before it in its list have said nothing. Of several boards the busiest or fullest
one speaks for the device, for the others are of no help to it; the processors of a host are averaged.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from exporter.errors import BerError
from exporter.snmp import ber, decode
from exporter.snmp.ber import VarBind, parse_oid

#: A column's numbers by row, which is what stands behind the column's identifier.
Rows = Mapping[bytes, float]

#: What a device has most of, and nothing here is made of.
_INTERFACES = (parse_oid("1.3.6.1.2.1.2.2"), parse_oid("1.3.6.1.2.1.31.1"))
#: hrStorageRam, a value of hrStorageType.
_RAM = parse_oid("1.3.6.1.2.1.25.2.1.2")
_SCALAR = b"\0"


class Reading(NamedTuple):
    """Ratios from 0 to 1, and seconds; None for what the device does not say.

    `restarted` says that it, or its agent, has been started since the last time.
    """

    cpu: float | None
    memory: float | None
    uptime: float | None
    restarted: bool = False


@dataclass(frozen=True, slots=True)
class _Source:
    columns: tuple[bytes, ...]
    read: Callable[..., float | None]


def _source(read: Callable[..., float | None], table: str, *columns: int) -> _Source:
    """Columns of a table below 1.3.6.1, or the table itself as the only one."""
    named = [f"1.3.6.1.{table}.{column}" for column in columns] or [f"1.3.6.1.{table}"]
    return _Source(tuple(map(parse_oid, named)), read)


# What a source makes of its columns.


def _most(percents: Rows) -> float | None:
    return max(_percents(percents), default=None)


def _mean(percents: Rows) -> float | None:
    found = _percents(percents)
    return sum(found) / len(found) if found else None


def _most_used(percents: Rows) -> float | None:
    """As `_most`; no memory is empty, so 0 stands for a part that has none."""
    return max((ratio for ratio in _percents(percents) if ratio > 0), default=None)


def _percents(rows: Rows) -> list[float]:
    # What is out of range stands for "none", as 65535 or 2147483647 do.
    return [percent / 100 for percent in rows.values() if 0 <= percent <= 100]


def _used_and_free(used: Rows, free: Rows) -> float | None:
    return _used_and_total(used, {row: used[row] + free[row] for row in used.keys() & free.keys()})


def _used_and_total(used: Rows, total: Rows) -> float | None:
    ratios = (used[row] / total[row] for row in used.keys() & total.keys() if total[row] > 0)
    return max((ratio for ratio in ratios if 0 <= ratio <= 1), default=None)


def _first_pool(used: Rows, free: Rows) -> float | None:
    """Cisco's pools: the first of a module is what its processor has; others are small and full by intent."""
    # A byte of 0x80 or more in front would make the last number a larger one.
    first = {row: size for row, size in used.items() if row.endswith(b"\1") and row[-2:-1] < b"\x80"}
    return _used_and_free(first or used, free)


def _without_caches(total: Rows, free: Rows, buffers: Rows, cached: Rows) -> float | None:
    spare = sum(rows.get(_SCALAR, 0) for rows in (free, buffers, cached))
    if not free or total.get(_SCALAR, 0) <= 0:
        return None
    return min(max(1 - spare / total[_SCALAR], 0), 1)


def _ram(kinds: Rows, sizes: Rows, used: Rows) -> float | None:
    rows = kinds.keys() & sizes.keys() & used.keys()
    size = sum(sizes[row] for row in rows)
    return min(sum(used[row] for row in rows) / size, 1) if size > 0 else None


_CISCO, _JUNIPER, _FORTINET = "4.1.9.9", "4.1.2636.3.1.13.1", "4.1.12356.101.4.1"
_HUAWEI, _H3C = "4.1.2011.5.25.31.1.1.1.1", "4.1.25506.2.6.1.1.1.1"
_PROCURVE, _CHECK_POINT = "4.1.11.2.14.11.5.1", "4.1.2620.1.6.7"
_CPU = (
    _source(_most, f"{_CISCO}.109.1.1.1.1", 7),
    _source(_most, f"{_CISCO}.109.1.1.1.1", 8),
    _source(_most, f"{_CISCO}.305.1.1.1"),
    _source(_most, _JUNIPER, 8),
    _source(_most, _FORTINET, 3),
    _source(_most, _HUAWEI, 5),
    _source(_most, _H3C, 6),
    _source(_most, f"{_PROCURVE}.9.6.1"),
    _source(_mean, f"{_CHECK_POINT}.5.1", 5),
    _source(_most, f"{_CHECK_POINT}.2", 4),
    _source(_mean, "2.1.25.3.3.1.2"),
)
_MEMORY = (
    _source(_used_and_free, f"{_CISCO}.109.1.1.1.1", 12, 13),
    _source(_first_pool, f"{_CISCO}.48.1.1.1", 5, 6),
    _source(_first_pool, f"{_CISCO}.221.1.1.1.1", 18, 20),
    _source(_first_pool, f"{_CISCO}.221.1.1.1.1", 7, 8),
    _source(_most_used, f"{_CISCO}.305.1.1.2"),
    _source(_most_used, _JUNIPER, 11),
    _source(_most_used, _FORTINET, 4),
    _source(_most_used, _HUAWEI, 7),
    _source(_most_used, _H3C, 8),
    _source(_used_and_total, f"{_PROCURVE}.1.2.1.1.1", 7, 5),
    _source(_used_and_total, f"{_CHECK_POINT}.4", 4, 3),
    # Before HOST-RESOURCES-MIB, where net-snmp counts caches as used.
    _source(_without_caches, "4.1.2021.4", 5, 6, 14, 15),
    _source(_ram, "2.1.25.2.3.1", 2, 5, 6),
)

# Clocks, with their parts of a second. snmpEngineTime and FortiGate's own do not start again after 497 days.
_SYS_UPTIME = parse_oid("1.3.6.1.2.1.1.3")
_CLOCKS = {
    _SYS_UPTIME: 100,
    parse_oid("1.3.6.1.2.1.25.1.1"): 100,
    parse_oid("1.3.6.1.6.3.10.2.1.3"): 1,
    parse_oid("1.3.6.1.4.1.12356.101.4.1.20"): 100,
}
_WRAP = 2**32 / 100
#: The largest snmpEngineTime, at which it stays.
_LATCHED = 2**31 - 1
#: How far a device's clock and ours may go apart between two polls: so many seconds, and so much of the time.
_SLACK, _DRIFT = 5.0, 0.01

# net-snmp's counters of processor time; system time has that of interrupts in it.
_UCD_USER, _UCD_NICE, _UCD_SYSTEM, _UCD_IDLE, _UCD_WAIT, _UCD_STEAL = (
    parse_oid(f"1.3.6.1.4.1.2021.11.{column}") for column in (50, 51, 52, 53, 54, 64)
)
_UCD = (_UCD_USER, _UCD_NICE, _UCD_SYSTEM, _UCD_IDLE, _UCD_WAIT, _UCD_STEAL)

_COLUMNS = sorted({*(column for source in (*_CPU, *_MEMORY) for column in source.columns), *_CLOCKS, *_UCD})


def is_told_by(asked: Iterable[bytes]) -> bool:
    """Whether what is asked for can say anything here: most of what comes, that of interfaces, cannot."""
    return any(one.startswith(column) or column.startswith(one) for one in asked for column in _COLUMNS)


class Vitals:
    """Reads one device poll by poll, for some of it shows between two polls only."""

    def __init__(self) -> None:
        self._ticks: dict[bytes, float] = {}
        self._wraps = 0
        #: What sysUpTime was, and when; None before the first time.
        self._uptime = 0.0
        self._read_at: float | None = None
        #: What each clock was when it last told.
        self._clocks: dict[bytes, float] = {}

    def read(self, answers: Iterable[VarBind], now: float, *, whole: bool = True) -> Reading:
        """What a poll says, all modules and names together; `now` is of a clock that nobody sets.

        Where the answers are not the whole, there is no uptime without a clock that has told one before: that of
        the agent alone would look like a restart of the device.
        """
        columns = _columns(answers)
        cpu = _first(_CPU, columns)
        clocks = {
            clock: columns[clock][_SCALAR] / parts
            for clock, parts in _CLOCKS.items()
            if columns.get(clock, {}).get(_SCALAR, _LATCHED) != _LATCHED
        }
        wrapped = self._goes_on(clocks.get(_SYS_UPTIME), now)
        restarted = not wrapped and any(
            clocks[clock] < before - _SLACK for clock, before in self._clocks.items() if clock in clocks
        )
        missing = not whole and not self._clocks.keys() <= clocks.keys()
        self._clocks = clocks if whole else self._clocks | clocks
        if restarted:
            self._ticks = {}
        busy = self._busy(columns)
        if _SYS_UPTIME in clocks:
            clocks = {**clocks, _SYS_UPTIME: clocks[_SYS_UPTIME] + self._wraps * _WRAP}
        uptime = None if missing else max(clocks.values(), default=None)
        return Reading(busy if cpu is None else cpu, _first(_MEMORY, columns), uptime, restarted)

    def _busy(self, columns: Mapping[bytes, Rows]) -> float | None:
        """The share of processor time since the last poll that was neither idle nor waiting for disks."""
        now = {column: columns[column][_SCALAR] for column in _UCD if _SCALAR in columns.get(column, {})}
        before, self._ticks = self._ticks, now
        spent = {column: now[column] - before[column] for column in now.keys() & before.keys()}
        total = sum(spent.values())
        if _UCD_IDLE not in spent or total <= 0 or min(spent.values()) < 0:
            return None
        return 1 - (spent[_UCD_IDLE] + spent.get(_UCD_WAIT, 0)) / total

    def _goes_on(self, uptime: float | None, now: float) -> bool:
        """Whether sysUpTime starts again at the very moment that it has to, which is no restart."""
        if uptime is None:
            return False
        wrapped = False
        if self._read_at is not None:
            passed = now - self._read_at
            ahead = self._uptime + passed - uptime
            slack = _SLACK + passed * _DRIFT
            wrapped = abs(ahead - _WRAP) <= slack
            if wrapped:
                self._wraps += 1
            elif abs(ahead) > slack:
                self._wraps = 0
        self._uptime, self._read_at = uptime, now
        return wrapped


def _first(sources: Iterable[_Source], columns: Mapping[bytes, Rows]) -> float | None:
    for source in sources:
        if source.columns[0] in columns:
            found = source.read(*(columns.get(column, {}) for column in source.columns))
            if found is not None:
                return found
    return None


def _columns(answers: Iterable[VarBind]) -> dict[bytes, dict[bytes, float]]:
    """The numbers of all columns that anything here is made of."""
    found: dict[bytes, dict[bytes, float]] = {}
    for oid, tag, value in [one for one in answers if not one[0].startswith(_INTERFACES)]:
        place = bisect_right(_COLUMNS, oid) - 1
        column = _COLUMNS[place]
        if place >= 0 and oid.startswith(column):
            number = _number(tag, value)
            if number is not None:
                found.setdefault(column, {})[oid[len(column) :]] = number
    return found


def _number(tag: int, value: bytes) -> float | None:
    """A number, also one that is sent as a text; 1 for hrStorageRam, None for all else."""
    if tag == ber.OBJECT_ID:
        return 1 if value == _RAM else None
    if tag == ber.OCTET_STRING:
        return float(value) if value.isdigit() and len(value) <= 20 else None
    try:
        return decode.whole(tag, value)
    except BerError:
        return None
