"""What the C library keeps of memory that is free: with glibc as little as it may, else whatever it does."""

from __future__ import annotations

import ctypes

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # malloc.h
_MOST_ARENAS = 2
#: Pages and whole inventories; not the arrays of a round of probes, for which the way to the system is too long.
_LARGE = 1 << 20

_libc = ctypes.CDLL(None)


def keep_little() -> None:
    """Two heaps for all threads, as each that renders or reloads would leave one of its own behind; and blocks that
    are large come from the system one by one, at all times: glibc by itself, once it has seen such a block freed,
    takes the next ones from its heap, where a small one behind them holds them fast. To be called first."""
    if hasattr(_libc, "mallopt"):
        _libc.mallopt(_M_ARENA_MAX, _MOST_ARENAS)
        _libc.mallopt(_M_MMAP_THRESHOLD, _LARGE)


def give_back() -> None:
    """Give what is free back to the system, after much of it has become free."""
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)
