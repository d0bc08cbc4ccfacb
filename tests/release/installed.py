"""A release, built twice, and installed from its own files into a virtual environment without a network."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements.lock"
#: What the lock names, downloaded once and kept for the next run.
CACHE = ROOT / ".cache" / "wheels"
NOBODY_ELSE = ["unshare", "--net"]


class Release(NamedTuple):
    """What `make dist` has written into a folder."""

    folder: Path
    wheel: Path
    source: Path
    bill: Path


def build(folder: Path, *, umask: int, time_zone: str) -> Release:
    """`make dist`, by somebody whose machine is set up so."""
    subprocess.run(
        [sys.executable, "-m", "release", str(folder)],
        check=True,
        capture_output=True,
        cwd=ROOT,
        umask=umask,
        env={**os.environ, "TZ": time_zone, "PYTHONHASHSEED": str(umask)},
    )
    (wheel,), (source,), (bill,) = (folder.glob(end) for end in ("*.whl", "*.tar.gz", "*.cdx.json"))
    return Release(folder, wheel, source, bill)


def downloaded() -> Path:
    """A folder with a wheel of each package in the lock, for this Python; asks the package index if it must."""
    folder = CACHE / hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]
    done = folder / "done"
    if not done.exists():
        command = ["download", "--no-deps", "--only-binary=:all:", "--require-hashes", f"--requirement={LOCK}"]
        _pip(sys.executable, [*command, f"--dest={folder}"])
        done.touch()
    return folder


def install(release: Release, folder: Path) -> Path:
    """The `bin` folder of a new virtual environment that holds the release and what it needs, and nothing else."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    offline = ["install", "--no-index", f"--find-links={downloaded()}", "--no-compile"]
    _pip(python, [*offline, "--require-hashes", f"--requirement={release.folder / LOCK.name}"], NOBODY_ELSE)
    # Not --no-deps: what the wheel asks for has to be there by now.
    _pip(python, [*offline, str(release.wheel)], NOBODY_ELSE)
    return folder / "bin"


def wheel_of(source: Path, folder: Path, epoch: str) -> Path:
    """The wheel that pip builds from a source archive."""
    words = ["wheel", "--no-index", "--no-deps", "--no-build-isolation", f"--wheel-dir={folder}", str(source)]
    _pip(sys.executable, words, NOBODY_ELSE, epoch)
    (wheel,) = folder.glob("*.whl")
    return wheel


def _pip(python: str, words: Sequence[str], prefix: Sequence[str] = (), epoch: str = "") -> None:
    own = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", f"--python={python}"]
    environment = {**os.environ, **({"SOURCE_DATE_EPOCH": epoch} if epoch else {})}
    done = subprocess.run(
        [*prefix, *own, *words], check=False, capture_output=True, text=True, timeout=300, env=environment
    )
    assert done.returncode == 0, done.stderr
