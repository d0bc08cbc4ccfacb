"""The exporter as a user that is not root, and what the kernel says a process may do."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.serving import Serving
from tests.simnet import Simnet

#: Nobody's, and nobody's group.
USER = 9841


@contextmanager
def open_folder(owner: int = USER) -> Iterator[Path]:
    """A folder of that user's, on a path that everybody may walk: pytest's own folders are root's alone."""
    with tempfile.TemporaryDirectory(prefix="ward-", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        os.chown(folder, owner, owner)
        yield folder


@contextmanager
def serving_as_user(net: Simnet) -> Iterator[Serving]:
    """An exporter whose folder is USER's, not started yet."""
    with open_folder() as folder, Serving(folder, net) as serving:
        yield serving


def as_user(hold: Path, *capabilities: str) -> list[str]:
    """A command's prefix: it runs as USER with these capabilities (`net_raw`) and no others."""
    kept = ",".join(("-all", *(f"+{name}" for name in capabilities)))
    return [
        *interpreter_for_all(hold),
        *("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"),
        *(f"--{name}={kept}" for name in ("bounding-set", "inh-caps", "ambient-caps")),
    ]


def interpreter_for_all(hold: Path) -> list[str]:
    """A command's prefix: where Python lies in somebody's home, everybody may read it there, and nothing else."""
    base = Path(sys.base_prefix).resolve()
    closed = next((path for path in reversed(base.parents) if not path.stat().st_mode & 0o001), None)
    if closed is None:
        return []
    at, place, home = (shlex.quote(str(path)) for path in (hold / "python", base, closed))
    script = f"""
        mkdir {at} && mount --bind {place} {at}
        mount -t tmpfs -o mode=0755 tmpfs {home} && mkdir -p {place} && mount --bind {at} {place}
        umount {at} && rmdir {at}
        exec "$@"
    """
    return ["unshare", "--mount", "--propagation=private", "sh", "-euc", script, "sh"]


def processes(first: int) -> list[int]:
    """A process and all that it has started."""
    found = [first]
    for pid in found:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            found += map(int, children.read_text().split())
    return found


def statuses(pid: int) -> list[dict[str, str]]:
    """/proc/PID/task/*/status: one for each thread that does not end meanwhile."""
    texts = []
    for path in Path(f"/proc/{pid}/task").glob("*/status"):
        with suppress(FileNotFoundError, ProcessLookupError):
            texts.append(path.read_text())
    return [
        {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}
        for text in texts
    ]


def powers(pids: Sequence[int]) -> set[tuple[str, str]]:
    """What threads of these processes may do and hand on: (set, hexadecimal mask), without the empty ones."""
    sets = ("CapInh", "CapPrm", "CapEff", "CapAmb")
    return {
        (name, status[name]) for pid in pids for status in statuses(pid) for name in sets if int(status[name], 16)
    }
