"""Which sockets a user gets: raw ones, datagram ones, or an explanation."""

from __future__ import annotations

import errno
import logging
import socket
import sys
from collections.abc import Iterator

import pytest

from exporter.errors import SocketError
from exporter.icmp import mmsg, sockets
from exporter.icmp.fallback import IcmplibTransport
from exporter.icmp.transport import KernelTransport
from tests.icmp.wire import furnish
from tests.simnet import Simnet

#: A program that tells the kinds of its sockets and the larger of its receive buffers, or the refusal.
PROGRAM = """
import socket
from exporter.errors import SocketPermissionError
from exporter.icmp.sockets import open_transports
try:
    opened = open_transports(1, 300_000)
except SocketPermissionError as error:
    print("refused:", error)
else:
    for family, transport in opened.items():
        size = transport._channels[0].sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        print(socket.AddressFamily(family).name, transport.kind, size)
        transport.close()
"""


def run(net: Simnet, *without: str) -> list[str]:
    """What the program prints, as a user without these capabilities."""
    bounds = ["setpriv", "--bounding-set", ",".join(f"-{name}" for name in without)] if without else []
    done = net.run([*bounds, sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return str(done.stdout).splitlines()


@pytest.fixture
def closed(net: Simnet) -> Iterator[Simnet]:
    """A network in which datagram ICMP sockets are not granted."""
    net.run(["sysctl", "-q", "-w", "net.ipv4.ping_group_range=1 0"], check=True)
    yield net
    furnish(net)


def test_raw_where_they_are_granted(net: Simnet) -> None:
    """With CAP_NET_RAW both families are raw; with CAP_NET_ADMIN the buffer is as large as asked."""
    assert run(net) == ["AF_INET raw 600000", "AF_INET6 raw 600000"]


def test_datagram_where_raw_is_refused(net: Simnet) -> None:
    """Without CAP_NET_RAW the sockets are datagram ones, with the buffer that the kernel allows anyone."""
    found = [line.split() for line in run(net, "net_raw", "net_admin")]
    assert [line[:2] for line in found] == [["AF_INET", "dgram"], ["AF_INET6", "dgram"]]
    assert all(0 < int(line[2]) <= 600_000 for line in found)


def test_an_explanation_where_both_are_refused(closed: Simnet) -> None:
    """The refusal says what to grant: a capability, or a sysctl."""
    (first, *rest) = run(closed, "net_raw")
    assert first.startswith("refused:")
    assert any("cap_net_raw" in line.lower() for line in rest)
    assert any("ping_group_range" in line for line in rest)


def test_a_machine_without_ipv6(
    net: Simnet, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A family that the kernel was built without is left out, and the log says so; other errors are told."""
    real = socket.socket

    def without_ipv6(family: int = -1, *arguments: int, **options: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(code, "refused")
        return real(family, *arguments, **options)

    code = errno.EAFNOSUPPORT
    monkeypatch.setattr(socket, "socket", without_ipv6)
    with caplog.at_level(logging.WARNING):
        opened = net.inside(sockets.open_transports, 1, 1 << 20)
    assert list(opened) == [socket.AF_INET]
    assert "AF_INET6" in caplog.text
    opened[socket.AF_INET].close()
    code = errno.ENOBUFS
    with pytest.raises(SocketError, match="AF_INET6: refused"):
        net.inside(sockets.open_transports, 1, 1 << 20)


def test_icmplib_where_there_are_no_batch_calls(net: Simnet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without sendmmsg and recvmmsg gets icmplib's sockets."""
    monkeypatch.setattr(mmsg, "AVAILABLE", False)
    opened = net.inside(sockets.open_transports, 1, 1 << 20)
    assert [type(transport) for transport in opened.values()] == [IcmplibTransport, IcmplibTransport]
    assert not isinstance(opened[socket.AF_INET], KernelTransport)
    for transport in opened.values():
        transport.close()
