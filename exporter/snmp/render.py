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
from exporter.snmp.layout import Column, Family, Known, Layout, labels_of, samples

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

    Where a value has no label, all stands before. `names` is what those of a new row are looked up in; `unnamed`
    says that some row was not there.
    """

    names: Known
    before: dict[bytes, str] = field(default_factory=dict)
    after: dict[bytes, str] = field(default_factory=dict)
    unnamed: bool = False


@dataclass(slots=True)
class _Gathered:
    """A family while it grows; the labels of its samples are in `seen`, or in one of `wholes`."""

    head: Family
    lines: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    wholes: list[frozenset[str]] = field(default_factory=list)


class _Kept(NamedTuple):
    """The lines of a column, which stay as they are while its values do, and the labels in them."""

    head: Family
    lines: str
    labels: frozenset[str]


@dataclass(slots=True)
class _Stretch:
    """Where a column stands in a poll. Of plain numbers the labels, once all rows have some and no two the same.

    `tags` and `values` are those of the last poll; `kept` is what they came out as, if that can be had again.
    """

    column: Column
    start: int
    stop: int
    labels: list[str] = field(default_factory=list)
    distinct: frozenset[str] = frozenset()
    tags: Sequence[int] = ()
    values: Sequence[bytes] = ()
    kept: _Kept | None = None


class _Order(NamedTuple):
    """The identifiers of a poll of a module, and its columns among them: mostly the same as those of the next."""

    oids: Sequence[bytes]
    stretches: list[_Stretch]


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
        self._orders: dict[str, _Order] = {}
        for name in self._layouts:
            self._renamed(name)

    def learn(self, module: str, varbinds: Iterable[VarBind]) -> None:
        """Take over the names that rows of a module are looked up in, in place of those learnt before."""
        names = self._names[module]
        learnt = {oid: (tag, value) for oid, tag, value in varbinds}
        if learnt != names.learnt:
            names.learnt = learnt
            self._renamed(module)

    def names(self, module: str) -> Iterator[VarBind]:
        """All that was learnt of a module."""
        return ((oid, tag, value) for oid, (tag, value) in self._names[module].learnt.items())

    def unnamed(self) -> list[str]:
        """Modules of which rows have come, since the last time, that the names learnt do not know."""
        found = [module for module, kinds in self._rows.items() if any(rows.unnamed for rows in kinds)]
        for module in found:
            for rows in self._rows[module]:
                rows.unnamed = False
        return found

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
        self._orders.pop(module, None)

    def _module(
        self, layout: Layout, varbinds: Sequence[VarBind], gathered: dict[str, _Gathered], page: Page
    ) -> None:
        """Add the samples of one module, a column at a time."""
        name = layout.module.name
        kinds = self._rows[name]
        oids, tags, values = zip(*varbinds, strict=True)
        order = self._orders.get(name)
        if order is None or order.oids != oids:
            order = self._orders[name] = _Order(oids, list(_stretches(layout, oids)))
        for stretch in order.stretches:
            place = slice(stretch.start, stretch.stop)
            same = stretch.values == values[place] and stretch.tags == tags[place]
            if same and stretch.kept is not None and self._repeat(stretch.kept, gathered, page):
                continue
            stretch.tags, stretch.values, stretch.kept = tags[place], values[place], None
            rows = kinds[stretch.column.rows]
            if not stretch.column.plain:
                self._texts(stretch, varbinds[place], rows, gathered, page)
            elif not self._numbers(stretch, oids, rows, gathered, page):
                self._values(stretch.column, varbinds[place], rows, gathered, page)
            elif same:
                head = stretch.column.family
                lines = "".join(gathered[head.name].lines[-len(stretch.labels) :])
                stretch.kept = _Kept(head, lines, stretch.distinct)
        for rows in kinds:
            # Rows that come and go, such as a host's processes, must not gather.
            if len(rows.before) > 2 * len(varbinds) + 64:
                rows.before.clear()
                rows.after.clear()

    def _numbers(
        self,
        stretch: _Stretch,
        oids: Sequence[bytes],
        rows: _Rows,
        gathered: dict[str, _Gathered],
        page: Page,
    ) -> bool:
        """Samples that are numbers as they come, a whole column at once: much of a poll's CPU goes in here.

        False where something about them wants a closer look, as new rows do, and nothing has been done.
        """
        if not stretch.labels:
            size = len(stretch.column.metric.oid)
            labels = [rows.before.get(oid[size:], "") for oid in oids[stretch.start : stretch.stop]]
            distinct = frozenset(labels)
            if "" in distinct or len(distinct) < len(labels):
                return False
            stretch.labels, stretch.distinct = labels, distinct
        numbers = _numbers_of(stretch.tags, stretch.values)
        family = self._room(stretch.column.family, stretch.distinct, gathered, page) if numbers else None
        if family is None:
            return False
        name = family.head.name
        family.lines += [f"{name}{row} {number}\n" for row, number in zip(stretch.labels, numbers, strict=True)]
        return True

    def _room(
        self, head: Family, labels: frozenset[str], gathered: dict[str, _Gathered], page: Page
    ) -> _Gathered | None:
        """The family, with samples of these labels counted as its own; None where not all of them may be."""
        family = gathered.setdefault(head.name, _Gathered(head))
        others = (family.seen, *family.wholes)
        if page.samples + len(labels) > self._limit or any(map(labels.intersection, others)):
            return None
        family.wholes.append(labels)
        page.samples += len(labels)
        return family

    def _repeat(self, kept: _Kept, gathered: dict[str, _Gathered], page: Page) -> bool:
        """The lines of the last poll again; False where not all of them may be."""
        family = self._room(kept.head, kept.labels, gathered, page)
        if family is not None:
            family.lines.append(kept.lines)
        return family is not None

    def _texts(
        self,
        stretch: _Stretch,
        varbinds: Sequence[VarBind],
        rows: _Rows,
        gathered: dict[str, _Gathered],
        page: Page,
    ) -> None:
        """Samples that are no plain numbers: what comes out whole and of one family is kept."""
        own: dict[str, _Gathered] = {}
        before = page.cut
        alone = Page(samples=page.samples)
        self._values(stretch.column, varbinds, rows, own, alone)
        if len(own) == 1 and alone == Page(samples=alone.samples):
            (family,) = own.values()
            kept = _Kept(family.head, "".join(family.lines), frozenset(family.seen))
            if self._repeat(kept, gathered, page):
                stretch.kept = kept
                return
        self._values(stretch.column, varbinds, rows, gathered, page)
        # Labels of rows are cut but once: the second time they are there.
        page.cut = before + alone.cut

    def _values(
        self,
        column: Column,
        varbinds: Sequence[VarBind],
        rows: _Rows,
        gathered: dict[str, _Gathered],
        page: Page,
    ) -> None:
        """Samples of any type, one by one."""
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
        if labels in family.seen or any(labels in whole for whole in family.wholes):
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
            own, named = labels_of(column.metric, suffix, rows.names)
            rows.unnamed = rows.unnamed or not named
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


def _stretches(layout: Layout, oids: Sequence[bytes]) -> Iterator[_Stretch]:
    """The columns of a poll, each as far as it goes on; what belongs to none is left out."""
    at, end = 0, len(oids)
    while at < end:
        column = layout.column(oids[at])
        start, at = at, at + 1
        if column is not None:
            prefix = column.metric.oid
            while at < end and oids[at].startswith(prefix):
                at += 1
            yield _Stretch(column, start, at)


def _numbers_of(tags: Sequence[int], values: Sequence[bytes]) -> list[int]:
    """The numbers of a column in which all are of one sort and none is malformed; else nothing."""
    if not _SIZES.issuperset(map(len, values)):
        return []
    if decode.UNSIGNED.issuperset(tags):
        return list(map(int.from_bytes, values))
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
