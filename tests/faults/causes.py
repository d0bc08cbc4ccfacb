"""Faults to cause, each as a context manager that ends it; what they are done to is one exporter or its network."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.simnet import Simnet
from tests.simnet.kernel import DEVICE

ROOT = Path(__file__).parents[2]


class Mounts:
    """A mount namespace that outlives the exporters in it; a context manager. `commands` make its mounts.

    `prefix` goes before an exporter's command.
    """

    def __init__(self, *commands: str) -> None:
        self._commands = commands

    def __enter__(self) -> Self:
        # cat ends with its standard input: with this process, whatever becomes of it.
        script = " && ".join([*self._commands, "echo mounted", "exec cat"])
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation=private", "sh", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "mounted\n"
        self.prefix = ["nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt", "--"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._holder.communicate()

    def seen(self, path: Path) -> Path:
        """The way to what is called `path` inside."""
        return Path(f"/proc/{self._holder.pid}/root{path}")


def own_disk(folder: Path, kilobytes: int) -> str:
    """For Mounts: `folder` is a small disk of its own."""
    folder.mkdir(exist_ok=True)
    return f"mount -t tmpfs -o size={kilobytes}k none {folder}"


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """No room is left on the disk that `folder` is on."""
    filler = folder / "filler"
    try:
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        yield
    finally:
        filler.unlink(missing_ok=True)


def descriptors(process: int) -> set[int]:
    return {int(entry.name) for entry in Path(f"/proc/{process}/fd").iterdir()}


@contextmanager
def no_descriptors(process: int) -> Iterator[None]:
    """The process may open nothing any more; what it has open stays."""
    limits = resource.prlimit(process, resource.RLIMIT_NOFILE)
    room = limits[0]
    # Several looks: what a save has open at one of them is free at the next.
    for _ in range(30):
        used = descriptors(process)
        room = min(room, next(number for number in range(room + 1) if number not in used))
        time.sleep(0.01)
    resource.prlimit(process, resource.RLIMIT_NOFILE, (room, limits[1]))
    try:
        yield
    finally:
        resource.prlimit(process, resource.RLIMIT_NOFILE, limits)


@contextmanager
def stopped(process: int) -> Iterator[None]:
    """The process stands still, as under a debugger, or as its whole machine does while it is moved."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def pollers(process: int) -> list[int]:
    """The processes that an exporter has started: its SNMP pollers."""
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


@contextmanager
def firewall(net: Simnet, prefix: str) -> Iterator[None]:
    """This machine's own packet filter refuses to send (EPERM); an xfrm policy stands in for one."""
    net.run(["ip", "xfrm", "policy", "update", "dst", prefix, "dir", "out", "action", "block"], check=True)
    try:
        yield
    finally:
        net.run(["ip", "xfrm", "policy", "delete", "dst", prefix, "dir", "out"], check=True)


@contextmanager
def narrow_link(net: Simnet, rate: str) -> Iterator[None]:
    """The way out takes so much and holds 17 packets more: the kernel refuses the others (ENOBUFS)."""
    shape = ["root", "tbf", "rate", rate, "burst", "2kb", "limit", "1500b"]
    net.run(["tc", "qdisc", "replace", "dev", DEVICE, *shape], check=True)
    try:
        yield
    finally:
        # What waits goes out: with its queue it would be lost without a word.
        shape[3] = "1gbit"
        net.run(["tc", "qdisc", "change", "dev", DEVICE, *shape], check=True)
        time.sleep(0.1)
        net.run(["tc", "qdisc", "delete", "dev", DEVICE, "root"], check=True)


@contextmanager
def interface_down(net: Simnet) -> Iterator[None]:
    net.drop_interface()
    try:
        yield
    finally:
        net.raise_interface()


@contextmanager
def route_gone(net: Simnet, prefix: str) -> Iterator[None]:
    net.run(["ip", "route", "delete", prefix, "dev", DEVICE], check=True)
    try:
        yield
    finally:
        net.run(["ip", "route", "replace", prefix, "dev", DEVICE], check=True)


@contextmanager
def silence(net: Simnet, prefix: str) -> Iterator[None]:
    """Nobody behind this prefix answers."""
    net.cut(prefix)
    try:
        yield
    finally:
        net.restore(prefix)


@contextmanager
def beside(net: Simnet, module: str, arguments: Sequence[object]) -> Iterator[subprocess.Popen[str]]:
    """A program of the tests that runs inside the network; it is killed at the end, if it still runs."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    process = net.popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
