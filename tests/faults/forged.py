"""Forged and foreign replies by the million: `python -m tests.faults.forged [MILLIONS] [SECONDS]`.

First so many millions through the parser and the matching, as fast as they go, beside 10,000 probes that wait for
their replies; then 20,000 a second through the sockets of a running exporter. Each is wrong in one thing alone.
Status 1 if one of them is taken.
"""

from __future__ import annotations

import random
import socket
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt

from exporter.icmp import packet
from exporter.icmp.arrivals import Parser
from exporter.icmp.channel import RECEIVE_CONTROL
from exporter.icmp.flight import Flight
from exporter.icmp.transport import BATCH, NO_BLOCK
from tests.faults.causes import beside, silence
from tests.faults.forger import KINDS, forgeries
from tests.faults.patient import DEVICES, REPLIES, Patient

WAITING = 10_000
IDENT = 0x5A5A
_SECOND = 1_000_000_000


class Sky:
    """Probes under way, and the requests that went out for them."""

    def __init__(self) -> None:
        self.flight = Flight(65_536)
        self.block_of = np.full(65_536, NO_BLOCK, np.uint8)
        self.block_of[IDENT] = 0
        self.now = _SECOND
        rows = np.arange(WAITING, dtype=np.int32)
        low = np.uint64(0xFFFF_0000_0000) | (np.uint64(0x0A01_0000) + rows.astype(np.uint64))
        slots, cookies = self.flight.launch(rows, np.ones(WAITING, np.int64), np.zeros(WAITING, np.uint64), low)
        self.flight.sent(slots, np.full(WAITING, IDENT, np.uint16), 0, self.now, 3600 * _SECOND)
        buffer = packet.RequestBuffer(socket.AF_INET, WAITING, 56)
        buffer.fill(np.full(WAITING, IDENT), slots, cookies)
        us = socket.inet_aton("10.255.255.254")
        header = bytes([0x45, 0, 0, 84, 0, 0, 0, 0, 64, socket.IPPROTO_ICMP, 0, 0])
        self.requests = [
            header + us + (0x0A01_0000 + row).to_bytes(4, "big") + buffer.rows[row].tobytes()
            for row in range(WAITING)
        ]

    def take(self, rows: npt.NDArray[np.uint8], lengths: npt.NDArray[np.uint32]) -> Counter[str]:
        """What the exporter makes of packets."""
        controls = np.zeros(len(rows), RECEIVE_CONTROL)
        arrivals = Parser(socket.AF_INET, True).parse(rows, lengths, np.zeros((len(rows), 0), np.uint8), controls)
        received = np.zeros(len(rows), np.int64)
        matched = self.flight.match(arrivals, self.block_of, received, self.now, 3600 * _SECOND)
        return Counter(
            taken=len(matched.replies.rows)
            + len(matched.losses.rows)
            + len(matched.late)
            + len(matched.duplicates),
            foreign=matched.foreign,
            invalid=matched.invalid,
        )


def direct(millions: float) -> Counter[str]:
    """Packets by what became of them. Those wrong in their cookie get a new one each time; the rest repeat."""
    sky, rng = Sky(), random.Random(1)
    random_words = np.random.default_rng()
    batches = []
    for kind in KINDS:
        chosen = rng.sample(sky.requests, BATCH)
        packets = [forged for request in chosen for forged in forgeries(request, kind, 1, rng)]
        rows = np.zeros((BATCH, packet.ROW_BYTES), np.uint8)
        for row, forged in zip(rows, packets, strict=True):
            row[: len(forged)] = np.frombuffer(forged, np.uint8)
        batches.append((kind, rows, np.array(list(map(len, packets)), np.uint32)))
    found: Counter[str] = Counter()
    turn = 0
    while found.total() < millions * 1e6:
        kind, rows, lengths = batches[turn % len(batches)]
        turn += 1
        given = rows.copy()
        if kind == "cookie":
            right = rows[:, 28:36].copy().view(np.uint64)[:, 0]
            # Never the one that it was made from, which differs from the right one in its first byte.
            words = random_words.integers(0, 2**64, BATCH, np.uint64) << np.uint64(8) | (right & np.uint64(0xFF))
            given[:, 28:36] = words.view(np.uint8).reshape(BATCH, 8)
            given[:, 22:24] = 0
            given[:, 22:24] = (
                packet.checksum(given[:, 20:84].copy().view(np.uint16)).view(np.uint8).reshape(BATCH, 2)
            )
        found += sky.take(given, lengths.copy())
    # Each probe is still waiting: the right reply is taken.
    for start in range(0, WAITING, BATCH):
        requests = sky.requests[start : start + BATCH]
        rows = np.zeros((len(requests), packet.ROW_BYTES), np.uint8)
        for row, request in zip(rows, requests, strict=True):
            reply = bytearray(request)
            reply[12:16], reply[16:20] = request[16:20], request[12:16]
            reply[20] = 0
            row[: len(reply)] = reply
        words = rows[:, 20:84].copy()
        words[:, 2:4] = 0
        rows[:, 22:24] = packet.checksum(words.view(np.uint16)).view(np.uint8).reshape(len(rows), 2)
        found["answered"] += sky.take(rows, np.full(len(rows), 84, np.uint32))["taken"]
    return found


def through_sockets(seconds: float) -> tuple[int, int]:
    """Forged packets sent, and replies counted that the network has not given; one device is silent meanwhile."""
    with tempfile.TemporaryDirectory() as folder, Patient(Path(folder)) as patient:
        patient.until_well()
        patient.net.reset_truth()
        before = patient.later(patient.page(), 2)
        # 41 devices, five times a second, and the one of loopback, which the forger does not see.
        with (
            silence(patient.net, DEVICES["d7"]),
            beside(patient.net, "tests.faults.forger", [98, seconds]) as forger,
        ):
            said, _ = forger.communicate()
            time.sleep(2)
            page = patient.page()
            truths = patient.net.truths(list(DEVICES.values()))
        invented = sum(
            max(0, int(page.value(REPLIES, name) - before.value(REPLIES, name)) - truths[address].replies)
            for name, address in DEVICES.items()
        )
        for name in ("foreign_replies", "invalid_replies", "receive_buffer_drops"):
            told = page.value(f"ward_probe_{name}_total") - before.value(f"ward_probe_{name}_total")
            print(f"  {name}: {told:,.0f}")
        return sum(int(word.partition("=")[2]) for word in str(said).split()[1:]), invented


def main() -> int:
    millions = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 60.0
    begin = time.monotonic()
    found = direct(millions)
    took = time.monotonic() - begin
    forged = found["taken"] + found["foreign"] + found["invalid"]
    print(f"{forged:,} packets through the parser in {took:.0f} s: {found['taken']} taken, {found['foreign']:,}")
    print(
        f"  for no probe, {found['invalid']:,} refused; then {found['answered']:,} right ones: all taken",
        flush=True,
    )
    sent, invented = through_sockets(seconds)
    print(f"{sent:,} through sockets in {seconds:.0f} s ({sent / seconds:,.0f}/s): {invented} taken")
    return 0 if found["taken"] == invented == 0 and found["answered"] == WAITING else 1


if __name__ == "__main__":
    sys.exit(main())
