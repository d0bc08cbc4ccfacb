"""What the C library keeps of memory that is free: with glibc as little as it may, else whatever it does."""

from __future__ import annotations

import ctypes

_M_ARENA_MAX = -8  # malloc.h
_MOST_ARENAS = 2

_libc = ctypes.CDLL(None)


def few_arenas() -> None:
    """Each thread that renders or reloads would get a heap of its own, and leave it behind; to be called first."""
    if hasattr(_libc, "mallopt"):
        _libc.mallopt(_M_ARENA_MAX, _MOST_ARENAS)


def give_back() -> None:
    """Give what is free back to the system, after much of it has become free."""
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)
