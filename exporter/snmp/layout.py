"""What the samples of a module look like: its metrics, with the labels of their rows and what becomes of a value.

Worked out once for each module, and shared by all devices that are asked by it.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from exporter.errors import BerError
from exporter.snmp import ber, decode, indexes
from exporter.snmp.module_keys import STATES, TEXTS
from exporter.snmp.modules import Extract, Lookup, Metric, Module

_REFERENCE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?inf(?:inity)?|nan", re.ASCII | re.IGNORECASE)

#: By identifier: tag and value.
Known = Mapping[bytes, tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class Family:
    """The head of a metric family; `help` is escaped."""

    name: str
    kind: str
    help: str


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A metric in use.

    Columns of the same `rows` have the same labels at the same row. `value_label` is the label, if any, that a
    value becomes or is named in; `plain` says that a value is a number and nothing is done to it.
    """

    metric: Metric
    family: Family
    rows: int
    value_label: str
    plain: bool
    #: Families of regex_extracts.
    extracts: tuple[tuple[Family, tuple[Extract, ...]], ...] = ()


class Layout:
    """A module's columns by their identifiers."""

    def __init__(self, module: Module) -> None:
        self.module = module
        #: Columns that name rows and are asked for with the metrics: their answers come with each poll.
        self.fresh_names = _fresh_names(module)
        self._keys: dict[str, int] = {}
        columns: dict[bytes, Column] = {}
        for metric in module.metrics:
            # The last of several for one identifier counts, as with snmp_exporter.
            columns[metric.oid] = self._column(metric)
        # One below another is never reached: the shorter identifier takes all that is below it.
        self._oids = sorted(
            oid for oid in columns if not any(oid != other and oid.startswith(other) for other in columns)
        )
        self._columns = [columns[oid] for oid in self._oids]
        self.row_kinds = len(self._keys)

    def column(self, oid: bytes) -> Column | None:
        """The column that a value at this identifier belongs to."""
        place = bisect_right(self._oids, oid) - 1
        return self._columns[place] if place >= 0 and oid.startswith(self._oids[place]) else None

    def _column(self, metric: Metric) -> Column:
        value_label = _value_label(metric)
        rows = self._keys.setdefault(repr((metric.indexes, metric.lookups, value_label)), len(self._keys))
        name, text = metric.name, metric.help
        if metric.type == "EnumAsInfo":
            name += "_info"
        if metric.type in STATES:
            text = f"{text} ({metric.type})"
        plain = metric.type in {"gauge", "counter", "Float", "Double"} and not metric.scale and not metric.offset
        extracts = tuple(
            (_family(metric.name + suffix, f"{metric.help} (regex extracted)"), several)
            for suffix, several in metric.regex_extracts.items()
        )
        family = _family(name, text, "counter" if metric.type == "counter" else "gauge")
        return Column(metric, family, rows, value_label, plain, extracts if metric.type in TEXTS else ())


def _family(name: str, text: str, kind: str = "gauge") -> Family:
    return Family(name, kind, text.replace("\\", "\\\\").replace("\n", "\\n"))


def _fresh_names(module: Module) -> tuple[bytes, ...]:
    """Columns that rows are named by, or that say of which type a value is, and that come with each poll."""
    asked = (*module.columns, *module.instances)
    names = {oid for metric in module.metrics for one in metric.lookups for oid in (one.oid, one.kind_oid)}
    names |= {metric.kind_oid for metric in module.metrics}
    return tuple(
        sorted(oid for oid in names if oid and any(one.startswith(oid) or oid.startswith(one) for one in asked))
    )


def _value_label(metric: Metric) -> str:
    if metric.type in STATES:
        return metric.name
    if metric.type not in TEXTS or metric.regex_extracts:
        return ""
    dropped = {lookup.labelname for lookup in metric.lookups if not lookup.labels}
    own = {index.labelname for index in metric.indexes} | {lookup.labelname for lookup in metric.lookups}
    # A text that is its own index is there already.
    return "" if metric.name in own - dropped else metric.name


# The labels of a row.


def labels_of(metric: Metric, suffix: bytes, known: Known) -> tuple[dict[str, str], bool]:
    """A row's own labels, from the numbers behind the column's identifier and what is known of other columns.

    With them, whether those columns know the row.
    """
    rest = ber.arcs(suffix)
    named = True
    labels: dict[str, str] = {}
    numbers: dict[str, indexes.Arcs] = {}
    for index in metric.indexes:
        text, used, rest = indexes.take(
            rest, index.type, index.fixed_size, implied=index.implied, states=index.enum_values
        )
        labels[index.labelname], numbers[index.labelname] = text, used
    for lookup in metric.lookups:
        if not lookup.labels:
            labels.pop(lookup.labelname, None)
            continue
        labels[lookup.labelname] = ""
        if not numbers.keys() >= set(lookup.labels):
            continue
        row = b"".join(indexes.encoded(numbers[label]) for label in lookup.labels)
        found = known.get(lookup.oid + row)
        if found is None:
            named = False
            continue
        with suppress(BerError):
            labels[lookup.labelname] = decode.text(*found, _kind(lookup, row, known), lookup.display_hint)
            numbers[lookup.labelname] = (decode.whole(*found),)
    return labels, named


def _kind(column: Lookup | Metric, row: bytes, known: Known) -> str:
    """The type of a value; of an InetAddress, what the column before it says."""
    if not column.kind_oid:
        return column.type
    says = known.get(column.kind_oid + row)
    unknown = column.type if isinstance(column, Lookup) else "OctetString"
    return unknown if says is None else indexes.COMBINED[column.type].get(decode.whole(*says), unknown)


# What becomes of a value.


def samples(
    column: Column, suffix: bytes, tag: int, value: bytes, known: Known
) -> Iterator[tuple[Family, str, str]]:
    """Family, text of the value's label ("" where there is none) and number of each sample that a value stands for.

    Raises BerError where a value is not what its tag says, or not what the metric is made of.
    """
    metric = column.metric
    if metric.type in {"EnumAsInfo", "EnumAsStateSet"}:
        state = decode.whole(tag, value)
        yield column.family, metric.enum_values.get(state, str(state)), "1"
        if metric.type == "EnumAsStateSet":
            yield from ((column.family, name, "0") for key, name in metric.enum_values.items() if key != state)
    elif metric.type == "Bits":
        if tag != ber.OCTET_STRING:
            raise BerError(f"a value of the tag {tag:#04x} where bits were expected")
        for bit, name in metric.enum_values.items():
            octet = value[bit >> 3] if 0 <= bit >> 3 < len(value) else 0
            yield column.family, name, str(octet >> (7 - bit & 7) & 1)
    elif column.extracts:
        text = decode.text(tag, value, _kind(metric, suffix, known), metric.display_hint)
        for family, extracts in column.extracts:
            found = _extracted(extracts, text)
            if found is not None:
                yield family, "", found
    elif metric.type in TEXTS:
        text = ""
        if column.value_label:
            text = decode.text(tag, value, _kind(metric, suffix, known), metric.display_hint)
        yield column.family, text, _scaled(metric, 1)
    else:
        yield column.family, "", _scaled(metric, _number(metric, tag, value))


def _number(metric: Metric, tag: int, value: bytes) -> int | float:
    if metric.type in {"DateAndTime", "NTPTimeStamp"}:
        found = None
        if tag == ber.OCTET_STRING:
            found = decode.date_and_time(value) if metric.type == "DateAndTime" else decode.ntp_timestamp(value)
    elif metric.type == "ParseDateAndTime":
        found = decode.parse_time(decode.text(tag, value, "DisplayString"), metric.datetime_pattern)
    else:
        return decode.number(tag, value)
    if found is None:
        raise BerError("a value that is no time")
    return found


def _scaled(metric: Metric, found: int | float) -> str:
    if metric.scale:
        found *= metric.scale
    return number_text(found + metric.offset if metric.offset else found)


def number_text(found: int | float) -> str:
    """A number in the text format. Counters of 64 bits keep all their digits; Prometheus rounds beyond 2^53."""
    text = str(found)
    return {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}.get(text, text)


def _extracted(extracts: tuple[Extract, ...], text: str) -> str | None:
    """The number of the first extract that fits and gives one."""
    for extract in extracts:
        match = extract.regex.fullmatch(text[: decode.LONGEST_SEARCHED])
        written = _expanded(extract.value, match) if match else ""
        if _NUMBER.fullmatch(written):
            found = float(written)
            if math.isfinite(found) or "n" in written.lower():
                return number_text(found)
    return None


def _expanded(template: str, match: re.Match[str]) -> str:
    """A template with its $1, $name and ${1}; nothing stands for a group that there is not, as in Go."""

    def group(reference: re.Match[str]) -> str:
        name = reference[1] or reference[2]
        if not name:
            return "$"
        try:
            return match[int(name) if name.isdecimal() else name] or ""
        except IndexError:
            return ""

    return _REFERENCE.sub(group, template)
