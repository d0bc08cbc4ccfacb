"""The web configuration: any bytes are one, a list of problems that can be shown, or a ConfigError."""

from __future__ import annotations

import atexit
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from exporter.errors import ConfigError, Problem
from exporter.web.web_config import examine_web_config

_KINDS = ("yml", "json")
#: In memory, as a disk would be what all of this waits for.
_SHARED = Path("/dev/shm")
_FOLDER = Path(mkdtemp(prefix="ward-fuzz-", dir=_SHARED if _SHARED.is_dir() else None))
atexit.register(rmtree, _FOLDER)


def fuzz(data: bytes) -> None:
    """The first byte is the kind of file."""
    if not data:
        return
    path = _FOLDER / f"web.{_KINDS[data[0] % len(_KINDS)]}"
    path.write_bytes(data[1:])
    problems: list[Problem] = []
    try:
        config, files, problems = examine_web_config(path)
        str(config).encode()
        if path not in files:
            raise AssertionError("the file itself is not watched")
    except ConfigError as error:
        problems = list(error.problems)
    for problem in problems:
        str(problem).encode()
