"""Values as text, in the units and with the digits that Grafana would choose."""

from __future__ import annotations

import math

from dashboards.look import Json

Sizes = tuple[tuple[float, str], ...]
_PREFIXES: Sizes = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
#: What a unit stands for alone, and from which values on it has another name.
_SIGNS = {"s": "s", "bytes": "B", "bps": "b/s", "pps": "p/s", "cps": "c/s"}
_SIZES: dict[str, Sizes] = {
    "s": ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs")),
    "bytes": ((2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB")),
    "short": _PREFIXES,
    **{unit: tuple((size, name + _SIGNS[unit]) for size, name in _PREFIXES) for unit in ("bps", "pps", "cps")},
}


def text(value: float, unit: str, decimals: int | None, now: float) -> str:
    """A value as it stands in a panel; `now` in Unix seconds is what moments are told against."""
    if math.isnan(value):
        return ""
    if unit == "percentunit":
        return f"{_digits(value * 100, decimals)}%"
    if unit == "dateTimeFromNow":
        return f"{_scaled(max(0.0, now - value / 1000), _SIZES['s'], 's', 0)} ago"
    return _scaled(value, _SIZES.get(unit, ()), _SIGNS.get(unit, ""), decimals)


def _scaled(value: float, sizes: Sizes, smallest: str, decimals: int | None) -> str:
    for size, name in sizes:
        if abs(value) >= size:
            return f"{_digits(value / size, decimals)} {name}".strip()
    return f"{_digits(value, decimals)} {smallest}".strip()


def _digits(value: float, decimals: int | None) -> str:
    """Three significant digits, unless the panel says how many."""
    if decimals is None:
        decimals = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
        decimals = min(decimals, 3)
        return f"{value:.{decimals}f}".rstrip("0").rstrip(".") if decimals else f"{value:.0f}"
    return f"{value:.{decimals}f}"


def mapped(value: float | str, field: Json) -> tuple[str, str] | None:
    """The text and the colour that a value mapping gives."""
    for mapping in field.get("mappings", ()):
        whole = not isinstance(value, str) and value == int(value)
        found = mapping["options"].get(str(int(value)) if whole else str(value))
        if found:
            return found["text"], found["color"]
    return None


def threshold(value: float, field: Json) -> str:
    """The colour of the last step that a value has reached."""
    found = "text"
    for step in field.get("thresholds", {"steps": []})["steps"]:
        if step["value"] is None or value >= step["value"]:
            found = step["color"]
    return found
