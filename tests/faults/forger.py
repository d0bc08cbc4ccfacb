"""Forges replies to the requests that it sees: `python -m tests.faults.forger COPIES SECONDS`.

It stands where nobody worse can: it sees every request as it goes out, and answers before the device does. For each
it sends so many packets that are wrong in one thing alone, by turns as in KINDS. At the end it prints how many.
"""

from __future__ import annotations

import os
import random
import socket
import struct
import sys
import time
from collections.abc import Iterator

KINDS = ("cookie", "source", "identifier", "sequence", "cut", "checksum")
#: Only who asks for all protocols is shown what goes out.
_ETH_P_ALL = 3
_HEADER = struct.Struct("!BBHHHBBH4s4s")


def forgeries(request: bytes, kind: str, count: int, rng: random.Random) -> Iterator[bytes]:
    """IPv4 packets that look like the reply to `request`, a whole IPv4 packet, but for one thing."""
    ident, sequence = struct.unpack_from("!HH", request, 24)
    payload = request[28:]
    us, device = request[12:16], request[16:20]
    for _ in range(count):
        source, body, spoil = device, payload, 0
        its_ident, its_sequence = ident, sequence
        if kind == "cookie":
            # Never the right one.
            body = bytes([payload[0] ^ rng.randrange(1, 256)]) + rng.randbytes(7) + payload[8:]
        elif kind == "source":
            source = device[:3] + bytes([device[3] ^ rng.randrange(1, 256)])
        elif kind == "identifier":
            its_ident = ident ^ rng.randrange(1, 65_536)
        elif kind == "sequence":
            its_sequence = sequence ^ rng.randrange(1, 65_536)
        elif kind == "cut":
            body = payload[: rng.randrange(8)]
        else:
            spoil = rng.randrange(1, 65_535)
        message = struct.pack("!BBHHH", 0, 0, 0, its_ident, its_sequence) + body
        sound = _checksum(message)
        # One's complement has two zeros: 0 and 0xffff are the same sum.
        wrong = (sound + spoil) % 0xFFFF if spoil else sound
        message = message[:2] + struct.pack("!H", wrong) + message[4:]
        yield _HEADER.pack(0x45, 0, 20 + len(message), 0, 0, 64, socket.IPPROTO_ICMP, 0, source, us) + message


def _checksum(data: bytes) -> int:
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def main(copies: int, seconds: float) -> None:
    rng = random.Random(os.getpid())
    counts = dict.fromkeys(KINDS, 0)
    end = time.monotonic() + seconds
    turn = 0
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL)) as wire,
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as out,
    ):
        wire.settimeout(0.5)
        print("forging", flush=True)
        while time.monotonic() < end:
            try:
                packet, (device, _, direction, *_) = wire.recvfrom(2048)
            except TimeoutError:
                continue
            outgoing = direction == socket.PACKET_OUTGOING and device != "lo"
            if not outgoing or len(packet) < 36 or packet[0] != 0x45 or packet[9::11][:2] != b"\x01\x08":
                continue
            kind = KINDS[turn % len(KINDS)]
            turn += 1
            for forged in forgeries(packet, kind, copies, rng):
                out.sendto(forged, (socket.inet_ntoa(forged[16:20]), 0))
            counts[kind] += copies
    print(*(f"{kind}={count}" for kind, count in counts.items()), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
