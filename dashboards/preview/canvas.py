"""The sheet that a dashboard is drawn on: its measures, its colours, and the frame around each panel."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from dashboards.look import Json

_COLUMN, _LINE = 60, 34
_HEADER = 62
_TITLE = 22
_DPI = 100
_GAP = 4
#: With fewer, lines of different series get the same one.
_PALETTE = 256
BACKGROUND, PANEL, TEXT, FAINT, EDGE = "#111217", "#181b1f", "#d0d1dd", "#8a8d98", "#2c3038"
_NAMES = {
    "green": "#73bf69",
    "red": "#f2495c",
    "orange": "#ff9830",
    "yellow": "#fade2a",
    "blue": "#5794f2",
    "text": TEXT,
}
#: For series that have no colour of their own.
CLASSIC = (
    *("#7eb26d", "#eab839", "#6ed0e0", "#ef843c", "#e24d42", "#1f78c1", "#ba43a9", "#705da0", "#508642", "#cca300"),
    *("#447ebc", "#c15c17", "#890f02", "#0a437c", "#6d1f62", "#584477"),
)


def colour(name: str) -> str:
    return _NAMES.get(name, name)


def shortened(text: str, width: float, size: float) -> str:
    """A text that fits into `width` pixels at a font size in points."""
    most = max(3, int(width / (size * 0.86)))
    return text if len(text) <= most else text[: most - 1] + "…"


class Sheet:
    """One dashboard's picture; places are in Grafana's grid."""

    def __init__(self, title: str, about: str, lines: int) -> None:
        self.size = (24 * _COLUMN, _HEADER + lines * _LINE)
        self.figure = Figure(figsize=(self.size[0] / _DPI, self.size[1] / _DPI), dpi=_DPI, facecolor=BACKGROUND)
        FigureCanvasAgg(self.figure)
        self._text(12, 22, title, 15, TEXT, weight="bold")
        self._text(12, 46, about, 8.5, FAINT)
        self._text(
            self.size[0] - 12, 22, "PREVIEW: drawn by matplotlib, this is not Grafana", 10, "#ff9830", "right"
        )

    def _text(
        self, x: float, y: float, text: str, size: float, shade: str, align: str = "left", weight: str = "normal"
    ) -> None:
        width, height = self.size
        self.figure.text(
            x / width, 1 - y / height, text, fontsize=size, color=shade, ha=align, va="center", weight=weight
        )

    def heading(self, title: str, place: Json) -> None:
        self._text(12, _HEADER + (place["y"] + 0.55) * _LINE, title, 10.5, TEXT, weight="bold")

    def panel(self, title: str, place: Json) -> tuple[Axes, float, float]:
        """An axes for a panel's content below its title, in pixels with the origin at the top left, and its "
        "size."""
        left, top = place["x"] * _COLUMN + _GAP, _HEADER + place["y"] * _LINE + _GAP
        width, height = place["w"] * _COLUMN - 2 * _GAP, place["h"] * _LINE - 2 * _GAP
        frame = self._axes(left, top, width, height)
        frame.add_patch(Rectangle((0, 0), width, height, facecolor=PANEL, edgecolor=EDGE, linewidth=1))
        frame.text(8, 12, shortened(title, width - 12, 8.5), fontsize=8.5, color=TEXT, va="center", weight="bold")
        return self._axes(left + 6, top + _TITLE, width - 12, height - _TITLE - 6), width - 12, height - _TITLE - 6

    def _axes(self, left: float, top: float, width: float, height: float) -> Axes:
        whole_width, whole_height = self.size
        axes = self.figure.add_axes(
            (left / whole_width, 1 - (top + height) / whole_height, width / whole_width, height / whole_height)
        )
        axes.set_xlim(0, width)
        axes.set_ylim(height, 0)
        axes.set_axis_off()
        return axes

    def inner(self, axes: Axes, left: float, top: float, right: float, bottom: float) -> Axes:
        """An axes of its own scale inside a panel's, with margins in pixels."""
        box = axes.get_position()
        width, height = self.size
        return self.figure.add_axes(
            (
                box.x0 + left / width,
                box.y0 + bottom / height,
                box.width - (left + right) / width,
                box.height - (top + bottom) / height,
            )
        )

    def save(self, path: Path) -> None:
        self.figure.savefig(path, dpi=_DPI, facecolor=BACKGROUND)
        with Image.open(path) as picture:
            small = picture.convert("RGB").quantize(_PALETTE, dither=Image.Dither.NONE)
        small.save(path, optimize=True)
