"""What the process may do: everything until its sockets are open, then nothing that an ordinary user may not.

Linux keeps capabilities for each thread, and what a thread starts inherits them (capabilities(7)): `confine` comes
before the first thread, `drop` before any thread that is to be without them, and `check_threads` looks at them all.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
import time
from pathlib import Path

from exporter.errors import PrivilegeError

_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL = 24, 38, 47, 4
_CAPABILITY_VERSION_3 = 0x20080522
#: The kernel's sets have this many bits.
_CAPABILITIES = 64
_THREAD_SECONDS = 2.0
_LINUX = sys.platform == "linux"


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("thread", ctypes.c_int))


#: Effective, permitted and inheritable, the lower 32 bits and then the upper ones.
_Sets = ctypes.c_uint32 * 6


def confine() -> None:
    """From now on no program that this one starts has a capability, or can gain one. Raises PrivilegeError."""
    if not _LINUX:
        return
    if error := _prctl(_PR_SET_NO_NEW_PRIVS, 1) or _prctl(_PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL):
        raise PrivilegeError(f"cannot give up what started programs would inherit: {os.strerror(error)}")
    for capability in range(_CAPABILITIES):
        error = _prctl(_PR_CAPBSET_DROP, capability)
        # EPERM: it takes CAP_SETPCAP. Without, no_new_privs alone sees to it that the set gives nothing to anyone.
        # EINVAL: that was the kernel's last one.
        if error in (errno.EPERM, errno.EINVAL):
            return
        if error:
            raise PrivilegeError(f"cannot drop a capability for good: {os.strerror(error)}")


def drop() -> None:
    """Take every capability from the calling thread; what it has opened stays open. Raises PrivilegeError."""
    if not _LINUX:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capset(ctypes.byref(_Header(_CAPABILITY_VERSION_3, 0)), ctypes.byref(_Sets())) != 0:
        raise PrivilegeError(f"cannot drop capabilities: {os.strerror(ctypes.get_errno())}")


def check_threads() -> None:
    """Raise PrivilegeError if any thread has a capability: from outside, nothing can take it away."""
    if not _LINUX:
        return
    # The log's thread is older than the sockets, and may be about to drop its own.
    deadline = time.monotonic() + _THREAD_SECONDS
    while powerful := [thread.name for thread in Path("/proc/self/task").iterdir() if _permitted(thread)]:
        if time.monotonic() > deadline:
            raise PrivilegeError(
                f"thread {', '.join(powerful)} keeps capabilities: it was started before they were dropped, "
                "as some libraries do while they are loaded"
            )
        time.sleep(_THREAD_SECONDS / 100)


def _permitted(thread: Path) -> int:
    """The permitted set of a thread, none if it has ended."""
    try:
        status = (thread / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(status.partition("\nCapPrm:")[2].split()[0], 16)


def check_reach() -> None:
    """Raise PrivilegeError where root without capabilities may not even read this program."""
    for path in (Path(sys.executable), Path(__file__)):
        if not os.access(path, os.R_OK):
            raise PrivilegeError(
                f"root gives up its capabilities, and without them it may not read {path}.\n"
                "Install the exporter where any user may read it, such as /opt, or run it as a user of its own:\n"
                "  sudo setpriv --reuid=USER --regid=USER --init-groups \\\n"
                "    --inh-caps=+net_raw --ambient-caps=+net_raw ward-exporter serve"
            )


def _prctl(option: int, argument: int) -> int:
    """prctl(2) with one argument; the errno, 0 if it went well."""
    libc = ctypes.CDLL(None, use_errno=True)
    rest = (ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0))
    return 0 if libc.prctl(option, ctypes.c_ulong(argument), *rest) == 0 else ctypes.get_errno()
