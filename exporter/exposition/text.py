"""Prometheus text format 0.0.4: escaping, headers, and lines made from labels that were rendered once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
#: Lines put together at a time: a large inventory's whole family would keep the interpreter lock from the probes.
_CHUNK = 4096
_SURROGATES = re.compile("[\ud800-\udfff]")


class Family(NamedTuple):
    """A metric family; `labels` names what each of its series carries, in order."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()

    def header(self) -> str:
        return f"# HELP {self.name} {self.help}\n# TYPE {self.name} {self.kind}\n"


def escape(value: str) -> str:
    """A label value as it stands between quotes; lone surrogates, which UTF-8 cannot hold, become U+FFFD."""
    if "\\" in value or '"' in value or "\n" in value:
        value = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return value if value.isascii() else _SURROGATES.sub("\ufffd", value)


def labels(pairs: Iterable[tuple[str, str]]) -> str:
    """`{name="value",...}`, or nothing for no pairs."""
    text = ",".join(f'{name}="{escape(value)}"' for name, value in pairs)
    return f"{{{text}}}" if text else ""


def block(family: Family, series: Sequence[str], values: Sequence[float | int]) -> bytes:
    """A whole family: `series` are rendered labels, and `values` stand beside them."""
    return b"".join([family.header().encode(), *samples(family.name, series, values)])


def samples(name: str, series: Sequence[str], values: Sequence[float | int]) -> Iterator[bytes]:
    """The lines of one metric name, in pieces."""
    for start in range(0, len(series), _CHUNK):
        pairs = zip(series[start : start + _CHUNK], values[start : start + _CHUNK], strict=True)
        yield "".join([f"{name}{label} {value}\n" for label, value in pairs]).encode()


def single(family: Family, value: float | int) -> bytes:
    """A family of one series without labels."""
    return block(family, [""], [value])


def by_label(family: Family, values: Mapping[str, float | int]) -> bytes:
    """A family whose only label takes the keys of `values`."""
    return block(family, [labels([(family.labels[0], key)]) for key in values], list(values.values()))
