"""What systemd is told of the service (sd_notify(3)): a datagram to the socket that it names, if it names one."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, MutableMapping

log = logging.getLogger(__name__)

#: systemd reads at once; a socket that nobody reads must not hold anything up.
_PATIENCE = 1.0


class Notify:
    """Takes its variables out of `environment`, so that no process started from here speaks for the service."""

    def __init__(self, environment: MutableMapping[str, str] = os.environ) -> None:
        address = environment.pop("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")):
            address = ""
        #: A leading @ stands for the NUL of Linux's abstract addresses.
        self._address = address.replace("@", "\0", 1) if address.startswith("@") else address
        period = environment.pop("WATCHDOG_USEC", "")
        watched = environment.pop("WATCHDOG_PID", str(os.getpid()))
        #: Seconds between two signs of life: half of what systemd waits for. None where it waits for none.
        self._interval = int(period) / 2e6 if period.isdecimal() and watched == str(os.getpid()) else None

    def ready(self, status: str) -> None:
        """The start, or a reload, is done; `status` is shown by `systemctl status`."""
        self._send(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        # The time tells systemd which of two reloads a later READY=1 speaks of.
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    async def keep_alive(self, unhealthy: Callable[[], str]) -> None:
        """Feed the watchdog while `unhealthy` has nothing to say."""
        while self._interval:
            reason = unhealthy()
            if reason:
                log.error("the watchdog gets no sign of life: %s", reason)
            else:
                self._send("WATCHDOG=1")
            await asyncio.sleep(self._interval)

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(_PATIENCE)
                sender.sendto(message.encode(), self._address)
        except OSError as error:
            log.warning("systemd is not told %s: %s", message.partition("\n")[0], error.strerror or error)
