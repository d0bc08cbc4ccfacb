"""One line of the result: a measured value, held against a limit or against a peer measured in the same run."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """`ratio` is ours / peer and None where there is no peer; `ok` is None where the row only informs."""

    name: str
    what: str
    ours: str
    peer: str
    ratio: float | None
    bar: str
    ok: bool | None


def absolute(name: str, what: str, values: Sequence[float], unit: str, limit: float) -> Row:
    """The median of `values` must be at most `limit`; both in `unit`."""
    ours = statistics.median(values)
    return Row(name, what, amount(ours, unit), "", None, f"<= {amount(limit, unit)}", ours <= limit)


def against(
    name: str,
    what: str,
    ours: Sequence[float],
    peer: Sequence[float],
    unit: str,
    limit: float | None = None,
) -> Row:
    """The ratio of the medians must be at most `limit`; without one the row shows the ratio and judges nothing."""
    mine, theirs = statistics.median(ours), statistics.median(peer)
    ratio = mine / theirs
    bar = "" if limit is None else f"ratio <= {limit:.3g}"
    ok = None if limit is None else ratio <= limit
    return Row(name, what, amount(mine, unit), amount(theirs, unit), ratio, bar, ok)


def amount(value: float, unit: str) -> str:
    """Three significant digits, in full."""
    digits = f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
    return f"{digits} {unit}"


def table(rows: Sequence[Row]) -> str:
    """The rows as aligned columns."""
    lines = [("name", "what is measured", "ours", "peer", "ratio", "bar", "met")]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.3g}"
        met = {True: "yes", False: "NO", None: ""}[row.ok]
        lines.append((row.name, row.what, row.ours, row.peer, ratio, row.bar, met))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
