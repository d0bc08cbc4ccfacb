"""The configurations beside, with the certificates that they name."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.web.security.authority import fill

FILES = Path(__file__).parent / "files"


def prepare(folder: Path) -> None:
    """Fill `folder` with every configuration, and all that they name."""
    fill(folder)
    for source in FILES.glob("*.yml"):
        lines = source.read_text().splitlines()
        (folder / source.name).write_text("".join(f"{_line(folder, line)}\n" for line in lines))


def _line(folder: Path, line: str) -> str:
    """`    @server.crt` stands for the lines of that file, as far in."""
    blanks, sign, name = line.partition("@")
    if blanks.strip() or not sign:
        return line
    return "\n".join(blanks + inner for inner in (folder / name).read_text().splitlines())


def place(folder: Path, name: str) -> Path:
    """One of the configurations, in a folder that has them all."""
    return Path(shutil.copy(folder / name, folder / "web.yml"))
