"""Prometheus text format 0.0.4: escaping, headers, and lines made from labels that were rendered once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


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
    return value.encode("utf-8", "replace").decode() if not value.isascii() else value


def labels(pairs: Iterable[tuple[str, str]]) -> str:
    """`{name="value",...}`, or nothing for no pairs."""
    text = ",".join(f'{name}="{escape(value)}"' for name, value in pairs)
    return f"{{{text}}}" if text else ""


def block(family: Family, series: Sequence[str], values: Sequence[float | int]) -> str:
    """A whole family: `series` are rendered labels, and `values` stand beside them."""
    name = family.name
    return family.header() + "".join(
        [f"{name}{label} {value}\n" for label, value in zip(series, values, strict=True)]
    )


def single(family: Family, value: float | int) -> str:
    """A family of one series without labels."""
    return f"{family.header()}{family.name} {value}\n"


def by_label(family: Family, values: Mapping[str, float | int]) -> str:
    """A family whose only label takes the keys of `values`."""
    return block(family, [labels([(family.labels[0], key)]) for key in values], list(values.values()))
