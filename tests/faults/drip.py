"""Scrapers that read one byte a second: `python -m tests.faults.drip PORT COUNT SECONDS`."""

from __future__ import annotations

import socket
import sys
import time
from contextlib import suppress


def start(port: int) -> socket.socket:
    """One that has asked for the page, and has room for next to nothing of it."""
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    reader.connect(("127.0.0.1", port))
    reader.sendall(b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n")
    reader.setblocking(False)
    return reader


def main(port: int, count: int, seconds: float) -> None:
    """Those that are cut off come again."""
    end = time.monotonic() + seconds
    readers: list[socket.socket] = []
    said = False
    while time.monotonic() < end:
        for reader in list(readers):
            try:
                gone = not reader.recv(1)
            except BlockingIOError:
                gone = False
            except OSError:
                gone = True
            if gone:
                readers.remove(reader)
                reader.close()
        while len(readers) < count:
            with suppress(OSError):
                readers.append(start(port))
        if not said:
            print("reading", flush=True)
            said = True
        time.sleep(1)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
