"""`make dist`: wheel, source archive, bill of materials and checksums of the last commit, the same on any machine.

The source archive is built from what is committed, and the wheel from the source archive: what the archive lacks,
the wheel lacks too. Every file carries the time of the commit, or that in SOURCE_DATE_EPOCH.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from release import sbom

ROOT = Path(__file__).resolve().parents[1]
LOCK = "requirements.lock"


def build(folder: Path) -> list[Path]:
    """Build into `folder`; returns what was built."""
    folder.mkdir(parents=True, exist_ok=True)
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or _git("log", "-1", "--format=%ct").decode().strip()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        committed = work / "committed"
        committed.mkdir()
        (work / "committed.tar").write_bytes(_git("archive", "HEAD"))
        _unpack(work / "committed.tar", committed)
        archive = _flit("build_sdist", committed, work, epoch)
        _unpack(archive, work)
        source = work / archive.name.removesuffix(".tar.gz")
        wheel = _flit("build_wheel", source, work, epoch)
        _, version, *_ = wheel.name.split("-")
        bill = work / f"ward-exporter-{version}.cdx.json"
        bill.write_text(sbom.render(source / "pyproject.toml", source / LOCK, version, int(epoch)))
        return [Path(shutil.copyfile(path, folder / path.name)) for path in (archive, wheel, bill, source / LOCK)]


def _git(*words: str) -> bytes:
    return subprocess.run(["git", "-C", ROOT, *words], check=True, stdout=subprocess.PIPE).stdout


def _unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")


def _flit(hook: str, source: Path, folder: Path, epoch: str) -> Path:
    """Call a build hook (PEP 517) as pip does: in a process of its own, in the folder of the source."""
    call = f"import sys; from flit_core.buildapi import {hook}; print({hook}(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", call, str(folder)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=source,
        env={**os.environ, "SOURCE_DATE_EPOCH": epoch},
    )
    return folder / done.stdout.strip()


def main() -> int:
    """Build, and print the checksums as they stand in SHA256SUMS."""
    parser = argparse.ArgumentParser(prog="python -m release", description="Builds what is committed.")
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "dist", help="default: dist")
    folder = parser.parse_args().folder
    if _git("status", "--porcelain", "--untracked-files=no"):
        print("changes that are not committed are left out", file=sys.stderr)
    sums = "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(build(folder))
    )
    (folder / "SHA256SUMS").write_text(sums)
    print(sums, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
