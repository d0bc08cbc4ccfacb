"""The simulator's packets: IP headers, echo replies and ICMP errors for both families, one at a time."""

from __future__ import annotations

import ipaddress
import struct
from random import Random

from tests.simnet.behaviour import ERRORS_V4, ERRORS_V6, Behaviour
from tests.simnet.host import Kind

HOST_V4 = "10.255.255.254"
HOST_V6 = "fd00:ffff::fe"
#: Where ICMP errors come from.
ROUTER_V4 = "10.255.255.1"
ROUTER_V6 = "fd00:ffff::1"

ICMP = 1
ICMP6 = 58
_DONT_FRAGMENT = 0x4000
#: Router alert (RFC 2113) and four no-operations: harmless, and 8 bytes that a parser must step over.
_OPTIONS_V4 = b"\x94\x04\x00\x00\x01\x01\x01\x01"
#: A hop-by-hop header holding one PadN (RFC 8200, 4.2 and 4.3).
_OPTIONS_V6 = bytes((ICMP6, 0, 1, 4, 0, 0, 0, 0))


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071): one's complement addition is arithmetic modulo 65,535."""
    if len(data) & 1:
        data += b"\0"
    return -int.from_bytes(data, "big") % 0xFFFF


def recognise(packet: bytes) -> tuple[bytes, bytes] | None:
    """Of an echo request: the address asked, and the header fields that requests alike share.

    None for anything else, for fragments, and for requests with IP options or extension headers.
    """
    if packet[0] == 0x45:
        if len(packet) < 28 or packet[9] != ICMP or packet[20] != 8 or packet[6] & 0x3F or packet[7]:
            return None
        return packet[16:20], packet[1:4] + packet[6:9] + packet[12:16]
    if packet[0] >> 4 == 6 and len(packet) >= 48 and packet[6] == ICMP6 and packet[40] == 128:
        return packet[24:40], packet[0:2] + packet[4:6] + packet[7:24]
    return None


def intact(request: bytes) -> bool:
    """Whether the ICMP checksum of an IP packet without options fits."""
    if len(request) & 1:
        request += b"\0"
    if request[0] >> 4 == 4:
        return int.from_bytes(request[20:], "big") % 0xFFFF == 0
    # From byte 8 on: the addresses, which the pseudo-header repeats, and the message.
    pseudo = int.from_bytes(request[4:6], "big") + ICMP6
    return (int.from_bytes(request[8:], "big") + pseudo) % 0xFFFF == 0


def dscp(packet: bytes) -> int:
    """The upper six bits of the TOS or traffic class (RFC 2474)."""
    return packet[1] >> 2 if packet[0] >> 4 == 4 else (packet[0] << 8 | packet[1]) >> 6 & 63


def whole(packet: bytes) -> bool:
    """Whether no router may break the packet up: DF is set, or it is IPv6."""
    return packet[0] >> 4 == 6 or bool(packet[6] & 0x40)


def header_v4(source: bytes, target: bytes, length: int, ttl: int, tos: int, options: bool) -> bytes:
    """An IPv4 header for `length` bytes of ICMP."""
    extra = _OPTIONS_V4 if options else b""
    words = 5 + len(extra) // 4
    first = struct.pack("!BBHHHBB", 0x40 | words, tos, words * 4 + length, 0, _DONT_FRAGMENT, ttl, ICMP)
    rest = source + target + extra
    return first + struct.pack("!H", checksum(first + rest)) + rest


def header_v6(source: bytes, target: bytes, length: int, ttl: int, tos: int, options: bool) -> bytes:
    """An IPv6 header, with a hop-by-hop header if asked, for `length` bytes of ICMPv6."""
    extra = _OPTIONS_V6 if options else b""
    following = 0 if options else ICMP6
    return struct.pack("!IHBB", 6 << 28 | tos << 20, len(extra) + length, following, ttl) + source + target + extra


def sealed(version: int, source: bytes, target: bytes, message: bytes) -> bytes:
    """The ICMP message with its checksum (bytes 2 and 3) filled in."""
    pseudo = b"" if version == 4 else source + target + struct.pack("!II", len(message), ICMP6)
    blank = message[:2] + b"\0\0" + message[4:]
    return message[:2] + struct.pack("!H", checksum(pseudo + blank)) + message[4:]


def datagram(
    version: int, source: bytes, target: bytes, message: bytes, ttl: int, tos: int, options: bool
) -> bytes:
    """A whole IP packet around an ICMP message whose checksum is yet to be made."""
    header = header_v4 if version == 4 else header_v6
    body = sealed(version, source, target, message)
    return header(source, target, len(body), ttl, tos, options) + body


def echo(request: bytes, kind: Kind, behaviour: Behaviour) -> bytes:
    """The honest reply. `kind` keeps the header, which is the same for all requests alike.

    The checksum follows from the request's, for only the type has changed: RFC 1624, equation 3, with the old
    and the new first word put in. Swapping the addresses of a pseudo-header does not change a sum.
    """
    if request[0] >> 4 == 4:
        if not kind.header:
            source, target, tos = request[16:20], request[12:16], request[1]
            header = header_v4(source, target, len(request) - 20, behaviour.ttl, tos, behaviour.ip_options)
            kind.header = header + b"\0\0"
        total = (request[22] << 8 | request[23]) + 0x0800
        at = 24
    else:
        if not kind.header:
            source, target, tos = request[24:40], request[8:24], (request[0] << 8 | request[1]) >> 4 & 255
            header = header_v6(source, target, len(request) - 40, behaviour.ttl, tos, behaviour.ip_options)
            kind.header = header + b"\x81\0"
        total = (request[42] << 8 | request[43]) + 0xFEFF
        at = 44
    if total > 0xFFFF:
        total -= 0xFFFF
    return kind.header + total.to_bytes(2, "big") + request[at:]


def _reply(
    request: bytes, behaviour: Behaviour, source_flip: int = 0, sequence_step: int = 0, payload: bytes | None = None
) -> bytes:
    version = request[0] >> 4
    if version == 4:
        start, source, target, kind, tos = 20, request[16:20], request[12:16], 0, request[1]
    else:
        start, source, target, kind = 40, request[24:40], request[8:24], 129
        tos = (request[0] << 8 | request[1]) >> 4 & 255
    source = source[:-1] + bytes((source[-1] ^ source_flip,))
    sequence = (int.from_bytes(request[start + 6 : start + 8], "big") + sequence_step) & 0xFFFF
    message = struct.pack("!BBH2sH", kind, 0, 0, request[start + 4 : start + 6], sequence)
    message += request[start + 8 :] if payload is None else payload
    return datagram(version, source, target, message, behaviour.ttl, tos, behaviour.ip_options)


def _payload(request: bytes) -> bytes:
    return request[28:] if request[0] >> 4 == 4 else request[48:]


def forged_cookie(request: bytes, behaviour: Behaviour, rng: Random) -> bytes:
    """A well-made reply whose first 8 payload bytes are others."""
    payload = _payload(request)
    mask = rng.getrandbits(64) | 1
    cookie = int.from_bytes(payload[:8].ljust(8, b"\0"), "big") ^ mask
    return _reply(request, behaviour, payload=cookie.to_bytes(8, "big")[: len(payload)] + payload[8:])


def forged_source(request: bytes, behaviour: Behaviour) -> bytes:
    """A well-made reply from the neighbouring address."""
    return _reply(request, behaviour, source_flip=1)


def foreign(request: bytes, behaviour: Behaviour, rng: Random) -> bytes:
    """A well-made reply to what another pinger with the same identifier would have asked."""
    return _reply(request, behaviour, sequence_step=1, payload=rng.randbytes(len(_payload(request))))


def corrupt(reply: bytes, message_bytes: int, rng: Random) -> bytes:
    """The reply with one bit of its identifier, sequence or payload flipped; its checksum no longer fits."""
    at = len(reply) - 1 - rng.randrange(message_bytes - 4)
    return reply[:at] + bytes((reply[at] ^ 1 << rng.randrange(8),)) + reply[at + 1 :]


def error(request: bytes, kind: str, mtu: int, quoted_bytes: int, router: str = "") -> bytes:
    """The ICMP error of a router about `request`, an IP packet without options."""
    version = request[0] >> 4
    if version == 4:
        code = ERRORS_V4[kind]
        start, source, room = 20, request[12:16], 576 - 28
        router = router or ROUTER_V4
    else:
        code = ERRORS_V6[kind]
        start, source, room = 40, request[8:24], 1280 - 48
        router = router or ROUTER_V6
    quote = request[: min(start + quoted_bytes, room)]
    value = 0
    if kind == "fragmentation_needed":
        value = mtu or 1280
    message = struct.pack("!BBHI", *code, 0, value) + quote
    return datagram(version, ipaddress.ip_address(router).packed, source, message, 62, 0xC0, False)
