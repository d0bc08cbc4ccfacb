"""The inventory file that a discovery writes: whole or not at all, and over no other unless that is meant."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TextIO

import yaml

from exporter.errors import DiscoverError
from exporter.tools.discover_devices import Catalogue, Row


class Target:
    """Where the inventory goes: a file, or where there is none standard output."""

    def __init__(self, path: Path | None, force: bool, out: TextIO) -> None:
        """Raises DiscoverError for a file that could not be written in the end."""
        self.path = path
        self._force = force
        self._out = out
        if path is not None:
            try:
                self._check(path)
            except OSError as error:
                raise _cannot(path, error) from error

    def _check(self, path: Path) -> None:
        if path.is_symlink() or path.exists():
            if not stat.S_ISREG(path.stat().st_mode):
                raise DiscoverError(f"--output: {path} is a directory, device or pipe; expected a regular file")
            if not self._force:
                raise DiscoverError(f"--output: {path} exists; expected no file, or --force")
        folder = path.absolute().parent
        while not folder.exists():
            folder = folder.parent
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            raise DiscoverError(f"--output: {path} cannot be written: {folder} is no folder for that")

    def write(self, text: str) -> None:
        """Raises DiscoverError."""
        try:
            if self.path is None:
                # What a closed pipe does not take must not be tried again at the program's end.
                with open(self._out.fileno(), "wb", closefd=False) as file:
                    file.write(text.encode())
            else:
                self._write(self.path.resolve(), text.encode())
        except OSError as error:
            if self.path is None:
                raise DiscoverError(f"standard output cannot be written: {error.strerror}") from error
            raise _cannot(self.path, error) from error

    def _write(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Beside a file that is to be replaced: it stays whole until the new one is.
        fresh = path.with_name(f".{path.name}.new") if self._force else path
        if self._force:
            fresh.unlink(missing_ok=True)
        with fresh.open("xb") as file:
            try:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                if self._force:
                    fresh.replace(path)
            except OSError:
                fresh.unlink()
                raise


def _cannot(path: Path, error: OSError) -> DiscoverError:
    return DiscoverError(f"--output: {path} cannot be written: {error.strerror}")


def render(catalogue: Catalogue, about: str) -> str:
    """The file's text; `about` is a line on how it came to be."""
    lines = [f"# {about}"]
    if catalogue.known:
        lines.append("# Left out, for the inventory has them:")
    for known in catalogue.known:
        own = f", which calls itself {known.own_name}" if known.own_name else ""
        lines.append(f"#   {known.address} {known.device}{own}")
    lines += [f"#   {address} answers as {name}" for address, name in catalogue.further]
    lines.append("devices:")
    lines += map(_line, catalogue.rows)
    return "\n".join(lines) + "\n"


def _line(row: Row) -> str:
    keys = yaml.safe_dump(
        row.keys, default_flow_style=True, allow_unicode=True, sort_keys=False, width=float("inf")
    ).rstrip("\n")
    remarks = f" # {'; '.join(row.remarks)}" if row.remarks else ""
    return f"  - {keys}{remarks}"
