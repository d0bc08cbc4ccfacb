"""The system calls that Python 3.11 has no names for, and the namespace's own configuration by ip(8)."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.simnet.packets import HOST_V4, HOST_V6

DEVICE = "simnet0"
CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
_PR_SET_TIMERSLACK = 29
_TUNSETIFF = 0x400454CA
_IFF_TUN = 0x0001
_IFF_NO_PI = 0x1000

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: int) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def new_network_namespace() -> None:
    """Give the calling thread a network namespace of its own: unshare(2)."""
    _call("unshare", CLONE_NEWNET)


def enter_network_namespace(path: str) -> None:
    """Move the calling thread, and no other, into a network namespace: setns(2)."""
    with Path(path).open("rb") as namespace:
        _call("setns", namespace.fileno(), CLONE_NEWNET)


def follow_parent(parent: int) -> None:
    """Raise SystemExit in this process when `parent` has died: prctl(2), PR_SET_PDEATHSIG.

    The signal also comes when only the thread that started this process has ended; that is no reason to go.
    """

    def parent_gone(signum: int, frame: object) -> None:
        if os.getppid() != parent:
            raise SystemExit

    signal.signal(signal.SIGTERM, parent_gone)
    _call("prctl", _PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit


def exact_timers() -> None:
    """Let no timer of this thread be late on purpose: prctl(2), PR_SET_TIMERSLACK."""
    _call("prctl", _PR_SET_TIMERSLACK, 1, 0, 0, 0)


def open_tun() -> int:
    """A non-blocking descriptor of a new TUN device: one read or write is one IP packet."""
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), _IFF_TUN | _IFF_NO_PI))
    return tun


def interface_up(prefixes: Sequence[str], mtu: int) -> list[str]:
    """What ip(8) has to do for loopback, the device, its addresses, and routes of `prefixes` to it."""
    return [
        "link set lo up",
        # The queue holds a second's worth of a flood, so that a pause of the simulator drops nothing.
        f"link set {DEVICE} mtu {mtu} txqueuelen 20000 up",
        f"addr replace {HOST_V4}/32 dev {DEVICE}",
        f"addr replace {HOST_V6}/128 dev {DEVICE} nodad",
        *(f"route replace {prefix} dev {DEVICE}" for prefix in prefixes),
    ]


def ip(commands: Sequence[str], namespace: str = "") -> None:
    """Run ip(8) commands in the calling thread's network namespace, or in that of the path."""
    inside = ["nsenter", f"--net={namespace}"] if namespace else []
    # -batch reads commands of both families, as each address says.
    done = subprocess.run(
        [*inside, "ip", "-batch", "-"], input="\n".join(commands), text=True, capture_output=True, check=False
    )
    if done.returncode:
        raise OSError(f"ip: {done.stderr.strip()}")


def processes_inside(namespace: str) -> list[int]:
    """Processes, but not the calling one, whose network namespace is that of the path."""
    wanted = Path(namespace).stat().st_ino
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if (entry / "ns/net").stat().st_ino == wanted:
                    found.append(int(entry.name))
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
    return found
