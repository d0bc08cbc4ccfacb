"""sendmmsg(2) and recvmmsg(2) over numpy arrays: many packets in a system call, no Python object a packet.

The calls go through `ctypes.PyDLL`, which keeps the interpreter lock: they never block (MSG_DONTWAIT), and giving
the lock away around each would let a thread that renders /metrics delay the probe schedule.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import sys
from typing import Any

import numpy as np
import numpy.typing as npt

MSG_ERRQUEUE = 0x2000
#: Only the 64-bit Linux layout of struct mmsghdr is spelled out here.
AVAILABLE = sys.platform == "linux" and ctypes.sizeof(ctypes.c_void_p) == 8

_MESSAGE = np.dtype(
    {
        "names": ["name", "namelen", "iov", "iovlen", "control", "controllen", "flags", "length"],
        "formats": ["u8", "u4", "u8", "u8", "u8", "u8", "i4", "u4"],
        "offsets": [0, 8, 16, 24, 32, 40, 48, 56],
        "itemsize": 64,
    }
)
_IOVEC = np.dtype([("base", "u8"), ("length", "u8")])

Bytes = npt.NDArray[np.uint8]


def _function(name: str, *arguments: Any) -> Any:
    call = getattr(ctypes.PyDLL(None, use_errno=True), name)
    call.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, *arguments]
    return call


_recvmmsg = _function("recvmmsg", ctypes.c_void_p) if AVAILABLE else None
_sendmmsg = _function("sendmmsg") if AVAILABLE else None


def _addresses(memory: npt.NDArray[Any], count: int) -> npt.NDArray[np.uint64]:
    """The address of each of the first `count` rows of an array."""
    return memory.ctypes.data + np.arange(count, dtype=np.uint64) * np.uint64(memory.strides[0])


class Receiver:
    """Memory for `capacity` incoming messages: row i of each array belongs to message i.

    With `name_bytes` 0 the kernel is not asked for the sender's address.
    """

    def __init__(self, capacity: int, row_bytes: int, name_bytes: int, control_bytes: int) -> None:
        self.capacity = capacity
        self.rows: Bytes = np.zeros((capacity, row_bytes), np.uint8)
        self.names: Bytes = np.zeros((capacity, name_bytes), np.uint8)
        self.controls: Bytes = np.zeros((capacity, control_bytes), np.uint8)
        self._messages = np.zeros(capacity, _MESSAGE)
        self._iov = np.zeros(capacity, _IOVEC)
        self._iov["base"] = _addresses(self.rows, capacity)
        self._iov["length"] = row_bytes
        self._messages["iov"] = _addresses(self._iov, capacity)
        self._messages["iovlen"] = 1
        self._messages["name"] = _addresses(self.names, capacity) if name_bytes else 0
        self._messages["namelen"] = name_bytes
        self._messages["control"] = _addresses(self.controls, capacity)
        self._messages["controllen"] = control_bytes
        self.lengths: npt.NDArray[np.uint32] = self._messages["length"]
        self._namelen = self._messages["namelen"]
        self._controllen = self._messages["controllen"]
        self._pointer = self._messages.ctypes.data
        self._used = 0

    def receive(self, descriptor: int, flags: int = 0) -> int:
        """Take what waits, at most `capacity` messages; returns how many, 0 for none. Raises OSError."""
        assert _recvmmsg is not None
        # The kernel wrote its own lengths over these.
        self._namelen[: self._used] = self.names.shape[1]
        self._controllen[: self._used] = self.controls.shape[1]
        # A message may come with less control data than the one before it in this place.
        self.controls[: self._used] = 0
        self._used = 0
        count = int(_recvmmsg(descriptor, self._pointer, self.capacity, flags | socket.MSG_DONTWAIT, None))
        if count < 0:
            code = ctypes.get_errno()
            if code in (errno.EAGAIN, errno.EINTR):
                return 0
            raise OSError(code, os.strerror(code))
        self._used = count
        return count


class Sender:
    """Messages that each carry one row of `rows`, and a shared run of zeros behind it when that is not enough."""

    def __init__(self, rows: Bytes, zeros: int) -> None:
        capacity, self._row_bytes = rows.shape
        self.capacity = capacity
        self._rows = rows
        self._zeros: Bytes = np.zeros(max(zeros, 1), np.uint8)
        self._messages = np.zeros(capacity, _MESSAGE)
        self._iov = np.zeros((capacity, 2), _IOVEC)
        self._iov["base"][:, 0] = _addresses(rows, capacity)
        self._iov["base"][:, 1] = self._zeros.ctypes.data
        self._messages["iov"] = _addresses(self._iov, capacity)
        self._name = self._messages["name"]
        self._shape: tuple[int, int, int] = (0, 0, 0)
        self._control: Bytes | None = None
        self._pointer = self._messages.ctypes.data

    def prepare(self, names: npt.NDArray[np.uint64], name_bytes: int, length: int, control: Bytes | None) -> None:
        """Address the first `len(names)` messages; each is `length` bytes and carries the same control data."""
        self._name[: len(names)] = names
        shape = name_bytes, length, 0 if control is None else control.ctypes.data
        if shape == self._shape:
            return
        # Kept, for the kernel reads it at every send.
        self._shape, self._control = shape, control
        messages = self._messages
        messages["namelen"] = name_bytes
        self._iov["length"][:, 0] = min(length, self._row_bytes)
        self._iov["length"][:, 1] = max(0, length - self._row_bytes)
        messages["iovlen"] = 1 if length <= self._row_bytes else 2
        messages["control"] = shape[2]
        messages["controllen"] = 0 if control is None else len(control)

    def send(self, descriptor: int, first: int, end: int) -> int:
        """Send messages `first` to `end - 1`; returns how many went. Raises OSError when the first is refused."""
        assert _sendmmsg is not None
        pointer = self._pointer + first * _MESSAGE.itemsize
        while True:
            count = int(_sendmmsg(descriptor, pointer, end - first, socket.MSG_DONTWAIT))
            if count >= 0:
                return count
            code = ctypes.get_errno()
            if code != errno.EINTR:
                raise OSError(code, os.strerror(code))
