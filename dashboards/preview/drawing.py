"""Panels of each kind, as near to what Grafana shows as a still picture needs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from dashboards.look import Json
from dashboards.preview import units
from dashboards.preview.canvas import CLASSIC, EDGE, FAINT, TEXT, Sheet, colour, shortened
from dashboards.preview.fields import Answers, Line, Row, field, lines, matrix, table
from dashboards.preview.filling import Span

_ROW = 23
_LEGEND = 14


def draw(sheet: Sheet, panel: Json, place: Json, title: str, answers: Answers, span: Span) -> None:
    """One panel at its place, or what it says without data."""
    axes, width, height = sheet.panel(title, place)
    if not any(answers.values()):
        nothing = panel["fieldConfig"]["defaults"]["noValue"] or "no data"
        axes.text(width / 2, height / 2, nothing, fontsize=9, color=FAINT, ha="center", va="center")
        return
    kinds: dict[str, Callable[..., None]] = {
        "stat": _stat,
        "table": _table,
        "timeseries": _series,
        "state-timeline": _timeline,
        "heatmap": _heatmap,
        "geomap": _map,
    }
    kinds[panel["type"]](sheet, axes, (width, height), panel, answers, span)


Size = tuple[float, float]


def _stat(_: Sheet, axes: Axes, size: Size, panel: Json, answers: Answers, span: Span) -> None:
    """As many cells as there are series, as square as they can be."""
    width, height = size
    found = sorted(lines(panel, answers), key=lambda line: line.name)
    names = panel["options"]["textMode"] == "value_and_name"
    across = min(len(found), max(1, round(math.sqrt(len(found) * width / height / (2.2 if names else 1)))))
    down = math.ceil(len(found) / across)
    wide, high = width / across, height / down
    for number, line in enumerate(found):
        x, y = number % across * wide, number // across * high
        value = line.series.last
        text, shade = units.mapped(value, line.field) or (
            units.text(value, line.field["unit"], line.field.get("decimals"), span.end),
            units.threshold(value, line.field),
        )
        axes.add_patch(Rectangle((x + 1, y + 1), wide - 2, high - 2, facecolor=colour(shade)))
        written = f"{line.name}\n{text}" if names else text
        longest = max(map(len, written.split("\n")))
        points = min(9 if names else 22, high * (0.3 if names else 0.55), wide / max(3, longest) * 0.8)
        axes.text(x + wide / 2, y + high / 2, written, fontsize=points, color="#111217", ha="center", va="center")


def _table(_: Sheet, axes: Axes, size: Size, panel: Json, answers: Answers, span: Span) -> None:
    """The first page of a table."""
    width, height = size
    grouped = any(step["id"] == "groupingToMatrix" for step in panel["transformations"])
    columns, rows = matrix(answers) if grouped else table(panel, answers)
    room = int(height // _ROW) - 1
    fields = {name: field(panel, name) for name in columns}
    shown = [{name: _cell(row, name, fields[name], span.end) for name in columns} for row in rows[:room]]
    lengths = [max(len(name), *(len(row[name][0]) for row in shown)) + 2 for name in columns]
    wide = [length / sum(lengths) * width for length in lengths]
    x = 0.0
    for name, room_for in zip(columns, wide, strict=True):
        axes.text(x + 4, _ROW / 2, shortened(name, room_for, 8), fontsize=8, color="#6e9fff", va="center")
        for number, row in enumerate(shown, 1):
            text, shade, filled = row[name]
            y = number * _ROW
            if filled and shade:
                axes.add_patch(Rectangle((x + 1, y + 1), room_for - 2, _ROW - 2, facecolor=colour(shade)))
            ink = "#111217" if filled and shade else colour(shade or TEXT)
            axes.text(x + 4, y + _ROW / 2, shortened(text, room_for, 8), fontsize=8, color=ink, va="center")
        x += room_for
    axes.plot([0, width], [_ROW, _ROW], color=EDGE, linewidth=1)
    if len(rows) > room:
        axes.text(width, -10, f"1 to {room} of {len(rows)}", fontsize=7, color=FAINT, ha="right", va="center")


def _cell(row: Row, name: str, settings: Json, now: float) -> tuple[str, str, bool]:
    """Its text, its colour if any, and whether the colour fills it."""
    value = row.get(name, "")
    filled = settings["custom"]["cellOptions"]["type"] == "color-background"
    if found := units.mapped(value, settings):
        return *found, filled
    if isinstance(value, str):
        return value, "", False
    shade = units.threshold(value, settings) if "thresholds" in settings else ""
    return units.text(value, settings["unit"], settings.get("decimals"), now), shade, filled


def _clock(axes: Axes, span: Span) -> None:
    axes.set_xlim(span.start, span.end)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    form = "%H:%M:%S" if span.seconds < 1200 else "%H:%M"
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: time.strftime(form, time.localtime(at))))


def _framed(sheet: Sheet, axes: Axes, margins: tuple[float, float, float, float]) -> Axes:
    inner = sheet.inner(axes, *margins)
    inner.set_facecolor("none")
    inner.tick_params(colors=FAINT, labelsize=7.5, length=0, pad=5)
    inner.grid(color=EDGE, linewidth=0.6)
    for spine in inner.spines.values():
        spine.set_visible(False)
    return inner


def _unbroken(line: Line, step: float) -> tuple[list[float], list[float]]:
    """Its points, with a gap where the next one is not the next step."""
    at: list[float] = []
    values: list[float] = []
    sign = -1 if line.field["custom"].get("transform") == "negative-Y" else 1
    for moment, value in line.series.points:
        if at and moment - at[-1] > step * 1.5:
            at.append(moment)
            values.append(math.nan)
        at.append(moment)
        values.append(value * sign)
    return at, values


def _series(sheet: Sheet, axes: Axes, size: Size, panel: Json, answers: Answers, span: Span) -> None:
    width, height = size
    found = lines(panel, answers)
    step = float(span.step(panel["targets"][0]["interval"]))
    listed = [line for line in found if not line.field["custom"].get("hideFrom", {}).get("legend")]
    beside = panel["options"]["legend"]["displayMode"] == "table"
    room = min(330.0, width * 0.45) if beside else 0.0
    inner = _framed(sheet, axes, (62, 4, room + 8, 20 if beside else 20 + _LEGEND))
    shades: dict[str, str] = {}
    floor: list[float] = []
    stacked = panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal"
    for line in found:
        fixed = line.field.get("color", {}).get("fixedColor")
        shades[line.name] = colour(fixed) if fixed else CLASSIC[len(shades) % len(CLASSIC)]
    if stacked:
        moments = sorted({at for line in found for at, _ in line.series.points})
        floor = [0.0] * len(moments)
        for line in found:
            values = dict(line.series.points)
            top = [low + values.get(at, 0.0) for low, at in zip(floor, moments, strict=True)]
            inner.fill_between(moments, floor, top, step="post", color=shades[line.name], alpha=0.65, linewidth=0)
            floor = top
    else:
        _lines(inner, found, shades, step)
    _clock(inner, span)
    _bounded(inner, panel)
    settings = panel["fieldConfig"]["defaults"]
    inner.yaxis.set_major_locator(MaxNLocator(5, integer=settings.get("decimals") == 0))
    unit, decimals = found[0].field["unit"], settings.get("decimals")
    inner.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: units.text(abs(value) if value < 0 else value, unit, decimals, span.end))
    )
    if beside:
        _legend_table(axes, (width - room, width, height), listed, shades, span)
    else:
        x = 62.0
        for name in dict.fromkeys(line.name for line in listed):
            axes.plot([x, x + 12], [height - 7] * 2, color=shades[name], linewidth=3)
            axes.text(x + 17, height - 7, name, fontsize=8, color=TEXT, va="center")
            x += 36 + 7 * len(name)


def _lines(inner: Axes, found: Sequence[Line], shades: dict[str, str], step: float) -> None:
    points = {line.name: _unbroken(line, step) for line in found}
    for line in found:
        custom = line.field["custom"]
        at, values = points[line.name]
        style = (0, (6, 5)) if custom.get("lineStyle", {}).get("fill") == "dash" else "-"
        inner.plot(at, values, color=shades[line.name], linewidth=1.2 * custom["lineWidth"], linestyle=style)
        below = custom.get("fillBelowTo")
        if below and len(points[below][0]) == len(at):
            inner.fill_between(at, points[below][1], values, color=shades[line.name], alpha=0.3, linewidth=0)


def _bounded(inner: Axes, panel: Json) -> None:
    settings = panel["fieldConfig"]["defaults"]
    low, high = inner.get_ylim()
    low = settings.get("min", low)
    high = min(high, settings["max"]) if "max" in settings else high
    # Lines along 0 have no scale of their own.
    flat = all(value == 0 for line in inner.lines for value in line.get_ydata())  # type: ignore[union-attr]
    inner.set_ylim(low, low + 1 if inner.lines and flat else high * 1.03)


def _legend_table(
    axes: Axes, place: tuple[float, float, float], listed: Sequence[Line], shades: dict[str, str], span: Span
) -> None:
    left, right, height = place
    axes.text(right - 62, 8, "Last", fontsize=7.5, color="#6e9fff", ha="right", va="center")
    axes.text(right - 2, 8, "Max", fontsize=7.5, color="#6e9fff", ha="right", va="center")
    ranked = sorted(listed, key=lambda line: -max(value for _, value in line.series.points))
    for number, line in enumerate(ranked[: int((height - 16) // _LEGEND)]):
        y = 22 + number * _LEGEND
        axes.plot([left + 2, left + 12], [y, y], color=shades[line.name], linewidth=3)
        name = shortened(line.name, right - left - 142, 7.5)
        axes.text(left + 17, y, name, fontsize=7.5, color=TEXT, va="center")
        most = max(value for _, value in line.series.points)
        for x, value in ((right - 62, line.series.last), (right - 2, most)):
            text = units.text(value, line.field["unit"], line.field.get("decimals"), span.end)
            axes.text(x, y, text, fontsize=7.5, color=TEXT, ha="right", va="center")


def _timeline(sheet: Sheet, axes: Axes, size: Size, panel: Json, answers: Answers, span: Span) -> None:
    """The first page of a timeline; the states that occur are its legend."""
    width, height = size
    every = lines(panel, answers)
    most = panel["options"]["perPage"]
    found = every[:most]
    step = float(span.step(panel["targets"][0]["interval"]))
    room = min(260.0, max(len(line.name) for line in found) * 7 + 16)
    inner = _framed(sheet, axes, (room, 2, 6, 20 + _LEGEND))
    inner.set_ylim(len(found), 0)
    inner.set_yticks([])
    inner.grid(visible=False)
    seen: dict[str, str] = {}
    for number, line in enumerate(found):
        for at, value in line.series.points:
            text, shade = units.mapped(value, line.field) or (str(value), "text")
            seen[text] = shade
            inner.add_patch(Rectangle((at, number + 0.08), step * 1.05, 0.84, facecolor=colour(shade), linewidth=0))
        name = shortened(line.name, room - 8, 8)
        y = 2 + (number + 0.5) * (height - 22 - _LEGEND) / len(found)
        axes.text(room - 6, y, name, fontsize=8, color=TEXT, ha="right", va="center")
    _clock(inner, span)
    x = room
    for text, shade in seen.items():
        axes.add_patch(Rectangle((x, height - 12), 10, 10, facecolor=colour(shade)))
        axes.text(x + 15, height - 7, text, fontsize=7.5, color=TEXT, va="center")
        x += 34 + 7 * len(text)
    if len(every) > most:
        axes.text(
            width, height - 7, f"1 to {most} of {len(every)}", fontsize=7, color=FAINT, ha="right", va="center"
        )


def _heatmap(sheet: Sheet, axes: Axes, _: Size, panel: Json, answers: Answers, span: Span) -> None:
    """Cumulative buckets, made plain as Grafana makes them."""
    found = sorted(
        (one for one in answers["A"] if one.labels["le"] != "+Inf"), key=lambda one: float(one.labels["le"])
    )
    step = span.step(panel["targets"][0]["interval"])
    inner = _framed(sheet, axes, (62, 4, 8, 20))
    below: dict[float, float] = {}
    highest = max(max(value for _, value in one.points) for one in found) or 1.0
    for number, one in enumerate(found):
        for at, value in one.points:
            plain = max(0.0, value - below.get(at, 0.0))
            below[at] = value
            if plain > 1e-9:
                share = math.sqrt(plain / highest)
                shade = (0.2 + 0.8 * share, 0.15 + 0.55 * share, 0.35 * (1 - share))
                inner.add_patch(Rectangle((at, number), step, 1, facecolor=shade, linewidth=0))
    inner.set_ylim(0, len(found))
    inner.set_yticks([number + 0.5 for number in range(0, len(found), 2)])
    unit = panel["fieldConfig"]["defaults"]["unit"]
    inner.set_yticklabels([units.text(float(one.labels["le"]), unit, None, span.end) for one in found[::2]])
    _clock(inner, span)


def _map(sheet: Sheet, axes: Axes, _: Size, panel: Json, answers: Answers, span: Span) -> None:
    """The markers alone: the outlines of countries are a file of Grafana's."""
    inner = _framed(sheet, axes, (30, 6, 10, 18))
    for one in answers["A"]:
        x, y = float(one.labels["longitude"]), float(one.labels["latitude"])
        text, shade = units.mapped(one.last, field(panel, "State")) or ("", "text")
        inner.scatter([x], [y], s=110, color=colour(shade), zorder=3)
        inner.annotate(
            f"{one.labels['site']}\n{text}", (x, y), (0, -12), textcoords="offset points", fontsize=7.5, color=TEXT,
            ha="center", va="top",
        )  # fmt: skip
    inner.margins(0.12)
