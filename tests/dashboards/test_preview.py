"""The preview's pictures."""

from __future__ import annotations

from pathlib import Path

from matplotlib.patches import Rectangle
from PIL import Image

from dashboards.preview.canvas import Sheet


def test_lines_keep_colours_of_their_own(tmp_path: Path) -> None:
    """A saved picture has as many colours as its panels had, so that no two lines look alike."""
    sheet = Sheet("Colours", "", 12)
    axes, width, height = sheet.panel("All of them", {"x": 0, "y": 0, "w": 24, "h": 12})
    shades = [(red / 5, green / 5, blue / 5) for red in range(6) for green in range(6) for blue in range(0, 6, 2)]
    side = width / len(shades)
    for number, shade in enumerate(shades):
        axes.add_patch(Rectangle((number * side, 0), side, height, facecolor=shade, antialiased=False))
    sheet.save(tmp_path / "colours.png")
    with Image.open(tmp_path / "colours.png") as picture:
        row = picture.convert("RGB")
        seen = {row.getpixel((x, row.height // 2)) for x in range(12, row.width - 12)}
    assert len(seen) >= len(shades)
