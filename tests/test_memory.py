"""What the C library keeps of memory that is free, on Debian and Ubuntu."""

from __future__ import annotations

import subprocess
import sys

_THREADS = """
import ctypes, sys, threading
from exporter import memory

if sys.argv[1] == "few":
    memory.keep_little()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
together = threading.Barrier(8)

def take():
    together.wait()
    for _ in range(1000):
        libc.malloc(2000)
    together.wait()

threads = [threading.Thread(target=take) for _ in range(8)]
[one.start() for one in threads]
[one.join() for one in threads]
libc.fdopen.restype = ctypes.c_void_p
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
"""
_TRIM = """
from pathlib import Path
from exporter import memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])

blocks = [bytes(2000) for _ in range(50_000)]
full = resident()
# Every fiftieth stays, so that no end of the heap is free.
blocks = blocks[::50]
kept = resident()
memory.give_back()
print(full, kept, resident())
"""


_LARGE = """
import ctypes, sys
from pathlib import Path
from exporter import memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

if sys.argv[1] == "little":
    memory.keep_little()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p

def block(size):
    found = ctypes.c_void_p(libc.malloc(size))
    ctypes.memset(found, 1, size)
    return found

# glibc draws its conclusion from the first.
libc.free(block(30 << 20))
large = block(20 << 20)
small = block(100 << 10)
before = resident()
libc.free(large)
print(before - resident())
"""


def run(code: str, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, timeout=60
    ).stdout


def test_threads_share_two_heaps() -> None:
    """However many threads allocate at once, they have two heaps between them; untold, glibc makes more."""
    assert run(_THREADS, "few").count("<heap nr=") == 2
    assert run(_THREADS, "as it is").count("<heap nr=") > 2


def test_what_is_free_is_given_back() -> None:
    """After much was freed the system has most of it again, although single blocks among it stay."""
    full, kept, given = map(int, run(_TRIM).split())
    assert kept > 0.9 * full
    assert given < 0.5 * full


def test_large_blocks_go_back_at_once() -> None:
    """A large block is the system's again once it is freed, whatever lies behind it; untold, glibc keeps it."""
    assert int(run(_LARGE, "little")) > 19 << 20
    assert int(run(_LARGE, "as it is")) < 1 << 20
