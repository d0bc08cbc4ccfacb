"""A device's answers as lines of the Prometheus text format, named and labelled as snmp_exporter does.

The labels of a row are rendered once, for all of its columns and for as long as what they are looked up in stays
the same; a sample then costs little more than putting its number behind them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from exporter.errors import BerError
from exporter.snmp import ber, decode
from exporter.snmp.ber import VarBind
from exporter.snmp.layout import Column, Family, Known, Layout, labels_of, number_text, samples

#: Labels that stand on every sample; a module's own of such a name gets "exported_" in front, as in a scrape.
DEVICE_LABELS = frozenset({"device", "site", "role", "priority"})
#: Bytes of a number of SNMP.
_SIZES = frozenset(range(1, 10))
#: Longest text that becomes a label: a device may send 64 KiB as the name of a port.
MAX_LABEL = 1024


class Block(NamedTuple):
    """All samples of one metric name, whole lines; `help` is escaped."""

    kind: str
    help: str
    lines: bytes


@dataclass(slots=True)
class Page:
    """What one poll has brought, by metric name, and what was left out of it.

    `duplicates` had the labels of a sample before them, `over_limit` came behind the last one that was allowed,
    `malformed` were not what their module expects; `cut` counts labels that were too long.
    """

    blocks: dict[str, Block] = field(default_factory=dict)
    samples: int = 0
    duplicates: int = 0
    over_limit: int = 0
    malformed: int = 0
    cut: int = 0


@dataclass(slots=True)
class _Names:
    """What rows of a module are named by: learnt once in a while, and what came with the last poll."""

    learnt: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    fresh: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)


@dataclass(slots=True)
class _Rows:
    """The labels of rows of one kind: what stands before and behind the text of a value's label.

    Where a value has no label, all stands before. `names` is what those of a new row are looked up in.
    """

    names: Known
    before: dict[bytes, str] = field(default_factory=dict)
    after: dict[bytes, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Gathered:
    """A family while it grows; `seen` holds the labels of its samples."""

    head: Family
    lines: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)


class Renderer:
    """Renders the polls of one device; it remembers the labels of its rows from poll to poll.

    `device_labels` are rendered: `device="x",site="y"`, without braces. No more than `limit` samples are rendered.
    """

    def __init__(self, layouts: Iterable[Layout], device_labels: str, limit: int = 1_000_000) -> None:
        self._layouts = {layout.module.name: layout for layout in layouts}
        self._device_labels = device_labels
        self._limit = limit
        self._names = {name: _Names() for name in self._layouts}
        self._rows: dict[str, list[_Rows]] = {}
        for name in self._layouts:
            self._renamed(name)

    def learn(self, module: str, varbinds: Iterable[VarBind]) -> None:
        """Take over the names that rows of a module are looked up in, in place of those learnt before."""
        names = self._names[module]
        learnt = {oid: (tag, value) for oid, tag, value in varbinds}
        if learnt != names.learnt:
            names.learnt = learnt
            self._renamed(module)

    def names(self) -> Iterator[VarBind]:
        """All that was learnt, of all modules."""
        for names in self._names.values():
            yield from ((oid, tag, value) for oid, (tag, value) in names.learnt.items())

    def render(self, polls: Mapping[str, Sequence[VarBind]]) -> Page:
        """What a poll of each module has brought; a module whose poll has failed may be left out, or cut off."""
        page = Page()
        gathered: dict[str, _Gathered] = {}
        for name, layout in self._layouts.items():
            varbinds = polls.get(name)
            if varbinds:
                self._take_names(layout, varbinds)
                self._module(layout, varbinds, gathered, page)
        for name, family in gathered.items():
            page.blocks[name] = Block(family.head.kind, family.head.help, "".join(family.lines).encode())
        return page

    def _take_names(self, layout: Layout, varbinds: Iterable[VarBind]) -> None:
        """Note the names that come with each poll."""
        prefixes = layout.fresh_names
        if not prefixes:
            return
        names = self._names[layout.module.name]
        fresh = {oid: (tag, value) for oid, tag, value in varbinds if oid.startswith(prefixes)}
        if fresh != names.fresh:
            names.fresh = fresh
            self._renamed(layout.module.name)

    def _renamed(self, module: str) -> None:
        names = self._names[module]
        known = names.learnt | names.fresh
        self._rows[module] = [_Rows(known) for _ in range(self._layouts[module].row_kinds)]

    def _module(
        self, layout: Layout, varbinds: Sequence[VarBind], gathered: dict[str, _Gathered], page: Page
    ) -> None:
        """Add the samples of one module, a column at a time."""
        kinds = self._rows[layout.module.name]
        at, end = 0, len(varbinds)
        while at < end:
            column = layout.column(varbinds[at][0])
            start, at = at, at + 1
            if column is None:
                continue
            prefix = column.metric.oid
            while at < end and varbinds[at][0].startswith(prefix):
                at += 1
            add = self._numbers if column.plain else self._values
            add(column, varbinds[start:at], kinds[column.rows], gathered, page)
        for rows in kinds:
            # Rows that come and go, such as a host's processes, must not gather.
            if len(rows.before) > 2 * end + 64:
                rows.before.clear()
                rows.after.clear()

    def _numbers(
        self,
        column: Column,
        varbinds: Sequence[VarBind],
        rows: _Rows,
        gathered: dict[str, _Gathered],
        page: Page,
    ) -> None:
        """Samples that are numbers as they come. A poll's CPU goes in here: a usual column is done as a whole."""
        size, name = len(column.metric.oid), column.family.name
        family = gathered.setdefault(name, _Gathered(column.family))
        labels = [rows.before.get(oid[size:], "") for oid, _, _ in varbinds]
        distinct = set(labels)
        numbers = _numbers_of(varbinds)
        room = self._limit - page.samples
        # A row that is new is "" here.
        if len(numbers) == len(distinct) <= room and "" not in distinct and family.seen.isdisjoint(distinct):
            family.seen.update(distinct)
            family.lines += [f"{name}{row} {number}\n" for row, number in zip(labels, numbers, strict=True)]
            page.samples += len(labels)
            return
        for oid, tag, value in varbinds:
            try:
                before, after = self._row(column, oid[size:], rows, page)
                self._add(family, before + after, number_text(decode.number(tag, value)), page)
            except BerError:
                page.malformed += 1

    def _values(
        self,
        column: Column,
        varbinds: Sequence[VarBind],
        rows: _Rows,
        gathered: dict[str, _Gathered],
        page: Page,
    ) -> None:
        """Samples of all other types."""
        size = len(column.metric.oid)
        for oid, tag, value in varbinds:
            try:
                before, after = self._row(column, oid[size:], rows, page)
                for head, label, number in samples(column, oid[size:], tag, value, rows.names):
                    labels = f"{before}{_escaped(label, page)}{after}"
                    self._add(gathered.setdefault(head.name, _Gathered(head)), labels, number, page)
            except BerError:
                page.malformed += 1

    def _add(self, family: _Gathered, labels: str, number: str, page: Page) -> None:
        """One sample, unless there is one of the same labels or there are enough."""
        if labels in family.seen:
            page.duplicates += 1
        elif page.samples >= self._limit:
            page.over_limit += 1
        else:
            family.seen.add(labels)
            family.lines.append(f"{family.head.name}{labels} {number}\n")
            page.samples += 1

    def _row(self, column: Column, suffix: bytes, rows: _Rows, page: Page) -> tuple[str, str]:
        """What stands before and behind the text of a value's label."""
        if suffix not in rows.before:
            own = labels_of(column.metric, suffix, rows.names)
            rows.before[suffix], rows.after[suffix] = self._rendered(column, own, page)
        return rows.before[suffix], rows.after[suffix]

    def _rendered(self, column: Column, labels: Mapping[str, str], page: Page) -> tuple[str, str]:
        """All labels in the order of their names; of those that a value's label is among, the two halves."""
        own = {_exported(name): text for name, text in labels.items()}
        value_label = _exported(column.value_label)
        own.pop(value_label, None)
        rendered = {name: f'{name}="{_escaped(text, page)}"' for name, text in sorted(own.items())}
        before = [self._device_labels] if self._device_labels else []
        if not value_label:
            joined = ",".join([*before, *rendered.values()])
            return (f"{{{joined}}}" if joined else "", "")
        before += [text for name, text in rendered.items() if name < value_label]
        after = [f",{text}" for name, text in rendered.items() if name > value_label]
        return "{" + ",".join([*before, f'{value_label}="']), f'"{"".join(after)}}}'


def _numbers_of(varbinds: Sequence[VarBind]) -> list[int]:
    """The numbers of a column in which all are of one sort and none is malformed; else nothing."""
    _, tags, values = zip(*varbinds, strict=True)
    if not _SIZES.issuperset(map(len, values)):
        return []
    if decode.UNSIGNED.issuperset(tags):
        return [int.from_bytes(value, "big") for value in values]
    if all(tag == ber.INTEGER for tag in tags):
        return [int.from_bytes(value, "big", signed=True) for value in values]
    return []


def _exported(name: str) -> str:
    return f"exported_{name}" if name in DEVICE_LABELS else name


def _escaped(text: str, page: Page) -> str:
    """A label's text between its quotes."""
    if len(text) > MAX_LABEL:
        page.cut += 1
        text = text[:MAX_LABEL]
    if "\\" in text or '"' in text or "\n" in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return text
