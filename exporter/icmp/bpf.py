"""The classic BPF filter of a raw ICMP socket (Linux Documentation/networking/filter.rst).

It passes echo replies that carry one of our identifiers, and ICMP errors that quote one of our requests; the
kernel drops the rest before it costs us anything. Identifiers come in aligned blocks, so that a block of any
size is one comparison.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Sequence

SO_ATTACH_FILTER = 26

_LD_BYTE_X, _LD_HALF_X = 0x50, 0x48
_LD_BYTE_ABS, _LD_HALF_ABS = 0x30, 0x28
_LDX_IP_HEADER = 0xB1  # X <- 4 * (byte [k] & 0x0f)
_AND, _LSH, _ADD_X, _TAX = 0x54, 0x64, 0x0C, 0x07
_JEQ, _RET = 0x15, 0x06
_ALL = 0xFFFFFFFF

Instruction = tuple[int, int, int, int]


def program(family: int, bases: Sequence[int], block: int) -> list[Instruction]:
    """Accept identifiers `base .. base + block - 1` of each base; `block` is a power of two."""
    errors: tuple[int, ...]
    mask = 0xFFFF & ~(block - 1)
    if family == socket.AF_INET:
        reply, request, errors = 0, 8, (3, 11, 12)
        start: list[Instruction] = [(_LDX_IP_HEADER, 0, 0, 0), (_LD_BYTE_X, 0, 0, 0)]
        own_ident: list[Instruction] = [(_LD_HALF_X, 0, 0, 4)]
        # X moves on to the quoted IP header's end: X + 8 + its own length.
        quoted: list[Instruction] = [
            (_LD_BYTE_X, 0, 0, 8),
            (_AND, 0, 0, 0x0F),
            (_LSH, 0, 0, 2),
            (_ADD_X, 0, 0, 0),
            (_TAX, 0, 0, 0),
            (_LD_BYTE_X, 0, 0, 8),
        ]
        quoted_ident: list[Instruction] = [(_LD_HALF_X, 0, 0, 12)]
    else:
        reply, request, errors = 129, 128, (1, 2, 3, 4)
        start = [(_LD_BYTE_ABS, 0, 0, 0)]
        own_ident = [(_LD_HALF_ABS, 0, 0, 4)]
        quoted = [(_LD_BYTE_ABS, 0, 0, 48)]
        quoted_ident = [(_LD_HALF_ABS, 0, 0, 52)]

    ours: list[Instruction] = [(_AND, 0, 0, mask)]
    for left, base in zip(range(len(bases) - 1, -1, -1), bases, strict=True):
        # On a hit, over the remaining comparisons and the refusal.
        ours.append((_JEQ, left + 1, 0, base & mask))
    ours += [(_RET, 0, 0, 0), (_RET, 0, 0, _ALL)]

    reply_branch = own_ident + ours
    error_branch = [*quoted, (_JEQ, 1, 0, request), (_RET, 0, 0, 0), *quoted_ident, *ours]
    # Type dispatch: a reply falls into its branch, an error jumps over that, all else is refused.
    dispatch: list[Instruction] = [(_JEQ, len(errors) + 1, 0, reply)]
    for left, kind in zip(range(len(errors) - 1, -1, -1), errors, strict=True):
        dispatch.append((_JEQ, left + 1 + len(reply_branch), 0, kind))
    dispatch.append((_RET, 0, 0, 0))
    return [*start, *dispatch, *reply_branch, *error_branch]


def attach(sock: socket.socket, instructions: Sequence[Instruction]) -> None:
    """Put the filter on the socket, in place of the one it had. Raises OSError."""
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)
    memory = ctypes.create_string_buffer(code, len(code))
    sock.setsockopt(
        socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", len(instructions), ctypes.addressof(memory))
    )
