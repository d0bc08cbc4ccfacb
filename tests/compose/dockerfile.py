"""The Dockerfile, as far as others lean on it."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def instructions() -> list[tuple[str, str]]:
    """(instruction, the rest) of each line, with continued lines joined and comments left out."""
    text = re.sub(r"(?m)^\s*#.*\n", "", (ROOT / "Dockerfile").read_text())
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines) if name]


def health_check() -> list[str]:
    """The last HEALTHCHECK's command, as Compose writes one."""
    (rest,) = [rest for name, rest in instructions() if name == "HEALTHCHECK"]
    return ["CMD", *json.loads(rest.partition("CMD ")[2])]
