"""The socket filter, executed by the kernel: packets over loopback, inside the simulated network's namespace."""

from __future__ import annotations

import socket
import struct

import pytest

from exporter.icmp import bpf
from tests.icmp.delivered import FAMILIES, error, reply, request
from tests.simnet import Simnet, packets
from tests.simnet.behaviour import ERRORS_V4, ERRORS_V6

LOOPBACK: dict[int, tuple[str, bytes]] = {
    socket.AF_INET: ("127.0.0.1", bytes((127, 0, 0, 1))),
    socket.AF_INET6: ("::1", bytes(15) + b"\1"),
}
MARK = 0x5AFE

Packets = dict[str, bytes]


@pytest.fixture
def quiet(shared_simnet: Simnet) -> Simnet:
    """The kernel inside answers no echo request, so that nothing arrives but what the test sends."""

    settings = ("net.ipv4.icmp_echo_ignore_all=1", "net.ipv6.icmp.echo_ignore_all=1")
    shared_simnet.run(["sysctl", "-q", "-w", *settings], check=True)
    return shared_simnet


def delivered(family: int, program: list[bpf.Instruction], sent: Packets) -> set[str]:
    """Which of these IP packets, sent to loopback, a raw socket with this filter is given."""
    protocol = socket.IPPROTO_ICMP if family == socket.AF_INET else socket.IPPROTO_ICMPV6
    address, packed = LOOPBACK[family]
    with (
        socket.socket(family, socket.SOCK_RAW, protocol) as listener,
        socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW) as sender,
    ):
        bpf.attach(listener, program)
        listener.settimeout(5)
        for data in sent.values():
            sender.sendto(addressed(data, packed), (address, 0))
        # Of IPv4 the header comes along, of IPv6 it does not.
        sent_from, found_from = (20, 20) if family == socket.AF_INET else (40, 0)
        names = {addressed(data, packed)[sent_from:]: name for name, data in sent.items()}
        found: set[str] = set()
        while "mark" not in found:
            found.add(names[listener.recv(2048)[found_from:]])
        return found


def addressed(data: bytes, packed: bytes) -> bytes:
    """The packet from loopback to loopback, its checksums made again."""
    if len(packed) == 4:
        header = bytearray(data[: 4 * (data[0] & 15)])
        header[10:12] = bytes(2)
        header[12:20] = packed + packed
        header[10:12] = struct.pack("!H", packets.checksum(bytes(header)))
        return bytes(header) + data[len(header) :]
    return data[:8] + packed + packed + packets.sealed(6, packed, packed, data[40:])


def around(base: int, block: int) -> tuple[list[int], list[int]]:
    """Identifiers at the edges of a block, inside and outside."""
    ours = {base, base + block - 1, base + block // 2}
    others = {base - 1, base + block, base ^ 0x8000, base ^ 0x0100, 0, 0xFFFF} - set(range(base, base + block))
    return sorted(ours), sorted(ident & 0xFFFF for ident in others)


@pytest.mark.parametrize("bases", [(0x4000,), (0x4000, 0xC080), (0xFF80, 0x0080)])
@pytest.mark.parametrize("block", [1, 2, 16, 128])
@pytest.mark.parametrize("family", FAMILIES)
def test_only_our_own_packets_are_delivered(quiet: Simnet, family: int, block: int, bases: tuple[int, ...]) -> None:
    """Replies and errors pass if they concern an identifier of ours, at both ends of each block, and only then."""
    wanted: Packets = {}
    unwanted: Packets = {}
    edges = [around(base, block) for base in bases]
    ours = {ident for inside, _ in edges for ident in inside}
    others = {ident for _, outside in edges for ident in outside}
    others = {ident for ident in others if not any(base <= ident < base + block for base in bases)}
    table = ERRORS_V4 if family == socket.AF_INET else ERRORS_V6
    for idents, into in ((ours, wanted), (others, unwanted)):
        for ident in idents:
            asked = request(family, ident)
            into[f"reply {ident:x}"] = reply(asked)
            for kind in table:
                into[f"{kind} {ident:x}"] = error(asked, kind)
                into[f"short {kind} {ident:x}"] = error(asked, kind, 8)
            if family == socket.AF_INET:
                into[f"reply with options {ident:x}"] = reply(asked, options=True)
                into[f"quoted options {ident:x}"] = error(asked, "host_unreachable", options=True)
    for ident in ours:
        asked = request(family, ident)
        unwanted[f"request {ident:x}"] = asked
        unwanted[f"error about a reply {ident:x}"] = error(reply(asked), "host_unreachable")
        unwanted[f"quote of nothing {ident:x}"] = error(asked, "host_unreachable", 0)
    # An ordinary reply to one of ours, sent last.
    mark = {"mark": reply(request(family, min(ours), MARK))}
    found = quiet.inside(delivered, family, bpf.program(family, bases, block), {**unwanted, **wanted, **mark})
    assert found == {*wanted, "mark"}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_new_filter_takes_the_place_of_the_old(quiet: Simnet, family: int) -> None:
    """Attaching again replaces the program, as a rotation of identifiers needs."""

    def twice() -> str:
        protocol = socket.IPPROTO_ICMP if family == socket.AF_INET else socket.IPPROTO_ICMPV6
        with socket.socket(family, socket.SOCK_RAW, protocol) as sock:
            for base in (0x1000, 0x2000):
                bpf.attach(sock, bpf.program(family, [base], 16))
            for base in (0x1000, 0x2000):
                blank = struct.pack("!BBHHH", 0 if family == socket.AF_INET else 129, 0, 0, base, 0)
                message = packets.sealed(4, b"", b"", blank)
                sock.sendto(message, (LOOPBACK[family][0], 0))
            sock.settimeout(5)
            data = sock.recv(2048)[20 if family == socket.AF_INET else 0 :]
            sock.setblocking(False)
            with pytest.raises(BlockingIOError):
                sock.recv(2048)
            return data[4:6].hex()

    assert quiet.inside(twice) == "2000"


def test_programs_are_short() -> None:
    """A program fits what the kernel takes for cheap, whatever the number of bases."""
    for family in FAMILIES:
        assert len(bpf.program(family, [0, 16], 16)) < 40
