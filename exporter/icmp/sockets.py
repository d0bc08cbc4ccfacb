"""The best way to send ICMP that this machine allows: raw sockets, datagram sockets, or icmplib."""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Iterable

from exporter.errors import SocketError, SocketPermissionError
from exporter.icmp import mmsg
from exporter.icmp.fallback import IcmplibTransport
from exporter.icmp.plan import Plan
from exporter.icmp.sizing import Timing, burst_bytes, receive_bytes
from exporter.icmp.transport import KernelTransport, Transport

log = logging.getLogger(__name__)

_HOW_TO_GRANT = (
    "ICMP needs a raw socket or a datagram one, and the kernel refuses both. Grant one of them:\n"
    "  raw:      setcap cap_net_raw+ep on the Python binary, AmbientCapabilities=CAP_NET_RAW (systemd),\n"
    "            or --cap-add NET_RAW (container)\n"
    "  datagram: sysctl -w net.ipv4.ping_group_range='0 2147483647'"
)
_NO_FAMILY = (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT)


def open_transports(blocks: int, receive_bytes: int) -> dict[int, Transport]:
    """A transport for each address family that the machine has. Raises SocketError."""
    transports: dict[int, Transport] = {}
    try:
        for family in (int(socket.AF_INET), int(socket.AF_INET6)):
            try:
                transports[family] = _open(family, blocks, receive_bytes)
            except OSError as error:
                name = socket.AddressFamily(family).name
                if error.errno not in _NO_FAMILY:
                    raise SocketError(f"cannot open an ICMP socket of {name}: {error.strerror}") from error
                log.warning("no %s on this machine: %s", name, error.strerror)
    except SocketError:
        for transport in transports.values():
            transport.close()
        raise
    return transports


def make_room(transports: Iterable[Transport], slots: int, plan: Plan, timing: Timing) -> None:
    """For these probes, in each of them; the log says where the kernel gives too little. Raises
    SocketPermissionError, OSError."""
    granted = min(transport.resize(slots >> 16, receive_bytes(plan, timing)) for transport in transports)
    needed = burst_bytes(plan, timing)
    if granted < needed:
        log.warning(
            "a receive buffer of %d KiB, where a quarter of a second brings %d: when the loop is held up, probes "
            "will be void; give it more by net.core.rmem_max=%d",
            granted >> 10,
            needed >> 10,
            needed,
        )


def _open(family: int, blocks: int, receive_bytes: int) -> Transport:
    if not mmsg.AVAILABLE:
        return IcmplibTransport(family, blocks, receive_bytes)
    try:
        return KernelTransport(family, True, blocks, receive_bytes)
    except SocketPermissionError:
        try:
            return KernelTransport(family, False, blocks, receive_bytes)
        except SocketPermissionError as error:
            raise SocketPermissionError(_HOW_TO_GRANT) from error
