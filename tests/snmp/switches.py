"""The process behind `Fleet`: `python -m tests.snmp.switches FD`, in the namespace whose devices it is.

It must not starve what is measured with it, so a request is understood once: what answers it is kept as bytes in
which only the request's number and the counters change. Requests are told apart by all but their number.
"""

from __future__ import annotations

import bisect
import ipaddress
import selectors
import socket
import struct
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from tests.snmp import agents
from tests.snmp.agents import END_OF_MIB_VIEW, GET, GET_BULK, NO_SUCH_INSTANCE, Asked, Oid, Row, oid_content, tlv
from tests.snmp.fleet import COMMUNITY, COUNTERS_32, COUNTERS_64, PORT, Counts, rate

_SYSTEM: Oid = (1, 3, 6, 1, 2, 1, 1)
_IF: Oid = (1, 3, 6, 1, 2, 1, 2, 2, 1)
_IFX: Oid = (1, 3, 6, 1, 2, 1, 31, 1, 1, 1)
_CISCO: Oid = (1, 3, 6, 1, 4, 1, 9)
_INTEGER, _OCTETS, _OID, _COUNTER, _GAUGE, _TICKS, _COUNTER64 = 0x02, 0x04, 0x06, 0x41, 0x42, 0x43, 0x46
#: What an Ethernet frame carries: a GETBULK is answered with as many rows.
_MOST_BYTES = 1472
_RECEIVE_BYTES = 8 << 20
_IP_PKTINFO, _IP_TRANSPARENT, _SO_RCVBUFFORCE = 8, 19, 33
_PKTINFO = struct.Struct("=I4s4s")
_FRONT = tlv(2, b"\x01") + tlv(4, COMMUNITY.encode())


#: A device's own name, with its address.
_NAME = b"sw-%b"
_UPTIME, _SYSNAME = (*_SYSTEM, 3, 0), (*_SYSTEM, 5, 0)
_PHYSICAL_ADDRESS: Oid = (*_IF, 6)


class Place(NamedTuple):
    """A value's place in a reply."""

    start: int
    size: int
    oid: Oid


class Reply(NamedTuple):
    """All behind the request's number, with the places of values that are a device's own or change."""

    tail: bytearray
    own: list[Place]
    counters: list[Place]


def rows(ports: int) -> list[Row]:
    """What a switch holds, in the order of walks; values that change are as long as they can become."""
    system: list[tuple[int, int, bytes]] = [
        (1, _OCTETS, b"Cisco IOS Software, C2960X Software (C2960X-UNIVERSALK9-M), Version 15.2(7)E4"),
        (2, _OID, oid_content((*_CISCO, 1, 1208))),
        (3, _TICKS, bytes(5)),
        (4, _OCTETS, b"noc@bank.example"),
        (5, _OCTETS, _NAME % bytes(4).hex().encode()),
        (6, _OCTETS, b"Tbilisi"),
        (7, _INTEGER, b"\x06"),
        (8, _TICKS, b"\0"),
    ]
    found: list[Row] = [((*_SYSTEM, number, 0), tag, value) for number, tag, value in system]
    found += [
        ((1, 3, 6, 1, 2, 1, 2, 1, 0), _INTEGER, bytes([ports])),
        ((1, 3, 6, 1, 2, 1, 4, 1, 0), _INTEGER, b"\x02"),
        ((1, 3, 6, 1, 2, 1, 4, 2, 0), _INTEGER, b"\x40"),
        ((1, 3, 6, 1, 2, 1, 17, 1, 2, 0), _INTEGER, bytes([ports])),
        ((*_CISCO, 9, 109, 1, 1, 1, 1, 7, 1), _GAUGE, b"\x07"),
        ((*_CISCO, 9, 109, 1, 1, 1, 1, 8, 1), _GAUGE, b"\x06"),
        ((*_CISCO, 9, 48, 1, 1, 1, 2, 1), _OCTETS, b"Processor"),
        ((*_CISCO, 9, 48, 1, 1, 1, 5, 1), _GAUGE, b"\x02\x00\x00\x00"),
        ((*_CISCO, 9, 48, 1, 1, 1, 6, 1), _GAUGE, b"\x04\x00\x00\x00"),
    ]
    for port in range(1, ports + 1):
        found += _interface(port)
    return sorted(found)


def _interface(port: int) -> list[Row]:
    plain: dict[int, tuple[int, bytes]] = {
        1: (_INTEGER, bytes([port])),
        2: (_OCTETS, b"GigabitEthernet1/0/%d" % port),
        3: (_INTEGER, b"\x06"),
        4: (_INTEGER, b"\x05\xdc"),
        5: (_GAUGE, b"\x3b\x9a\xca\x00"),
        6: (_OCTETS, bytes(6)),
        7: (_INTEGER, b"\x01"),
        8: (_INTEGER, b"\x01"),
        9: (_TICKS, b"\0"),
        **dict.fromkeys(COUNTERS_32, (_COUNTER, b"\0\0\0\0\0")),
    }
    more: dict[int, tuple[int, bytes]] = {
        1: (_OCTETS, b"Gi1/0/%d" % port),
        **dict.fromkeys(COUNTERS_64, (_COUNTER64, bytes(9))),
        14: (_INTEGER, b"\x01"),
        15: (_GAUGE, b"\x03\xe8"),
        16: (_INTEGER, b"\x02"),
        17: (_INTEGER, b"\x01"),
        18: (_OCTETS, b"to desk %d" % port),
        19: (_TICKS, b"\0"),
    }
    return [((*_IF, column, port), *value) for column, value in plain.items()] + [
        ((*_IFX, column, port), *value) for column, value in more.items()
    ]


class Switches:
    """Answers for any address; `silent` are networks whose devices do not have SNMP."""

    def __init__(self, ports: int, silent: Sequence[str]) -> None:
        self.requests = self.gets = 0
        self._rows = rows(ports)
        self._names = [oid for oid, _, _ in self._rows]
        self._silent = [ipaddress.IPv4Network(network) for network in silent]
        self._replies: dict[bytes, Reply] = {}
        self._heard: dict[bytes, bool] = {}
        self._rates: dict[bytes, dict[Oid, int]] = {}
        self._start = time.monotonic()

    def answer(self, data: bytes, device: bytes) -> bytes | None:
        """The reply of the device at this address; None where it is silent."""
        if not self._hears(device):
            return None
        kind, number, end = _number_of(data)
        key = data[end:] + data[kind : kind + 1]
        reply = self._replies.get(key)
        if reply is None:
            reply = self._replies[key] = _reply(self._found(agents.read_request(data)))
        self.requests += 1
        self.gets += data[kind] == GET
        self._bring_up_to_date(reply, device)
        return tlv(0x30, _FRONT, tlv(agents.RESPONSE, data[number:end], reply.tail))

    def _hears(self, device: bytes) -> bool:
        heard = self._heard.get(device)
        if heard is None:
            address = ipaddress.IPv4Address(device)
            heard = self._heard[device] = not any(address in network for network in self._silent)
        return heard

    def _bring_up_to_date(self, reply: Reply, device: bytes) -> None:
        tail = reply.tail
        for start, size, oid in reply.own:
            tail[start : start + size] = (
                _NAME % device.hex().encode() if oid == _SYSNAME else b"\2%b%c" % (device, oid[-1])
            )
        hundredths = int((time.monotonic() - self._start) * 100)
        rates = self._rates.setdefault(device, {})
        for start, size, oid in reply.counters:
            each = rates.get(oid)
            if each is None:
                address = str(ipaddress.IPv4Address(device))
                each = rates[oid] = 100 if oid == _UPTIME else rate(address, *oid[-2:])
            value = each * hundredths // 100
            tail[start : start + size] = (value % 2 ** (8 * size - 8)).to_bytes(size, "big")

    def _found(self, asked: Asked) -> list[Row]:
        if asked.kind == GET:
            return [self._at(oid) for oid in asked.oids]
        if asked.kind != GET_BULK:
            return [self._after(oid) for oid in asked.oids]
        found: list[Row] = []
        repeated, room = asked.oids, _MOST_BYTES - 60
        for _ in range(asked.second):
            now = [self._after(oid) for oid in repeated]
            for row in now:
                room -= len(agents.varbind(row))
                if room < 0:
                    return found
                found.append(row)
            repeated = tuple(row[0] for row in now)
        return found

    def _at(self, oid: Oid) -> Row:
        place = bisect.bisect_left(self._names, oid)
        known = place < len(self._names) and self._names[place] == oid
        return self._rows[place] if known else (oid, NO_SUCH_INSTANCE, b"")

    def _after(self, oid: Oid) -> Row:
        place = bisect.bisect_right(self._names, oid)
        return self._rows[place] if place < len(self._rows) else (oid, END_OF_MIB_VIEW, b"")


def _number_of(data: bytes) -> tuple[int, int, int]:
    """Where a request's PDU begins, and where its number does and ends, by lengths of at most two bytes more."""
    at = _behind_length(data, 1) + 3
    kind = at + 2 + data[at + 1]
    number = _behind_length(data, kind + 1)
    return kind, number, number + 2 + data[number + 1]


def _behind_length(data: bytes, at: int) -> int:
    return at + 1 + (data[at] & 0x7F if data[at] > 0x7F else 0)


def _reply(found: Sequence[Row]) -> Reply:
    content = b"".join(map(agents.varbind, found))
    front = tlv(_INTEGER, b"\0") * 2 + tlv(0x30, content)[: -len(content) or None]
    at, own, counters = len(front), list[Place](), list[Place]()
    for row in found:
        at += len(agents.varbind(row))
        oid, tag, value = row
        place = Place(at - len(value), len(value), oid)
        if tag in {_COUNTER, _COUNTER64} or oid == _UPTIME:
            counters.append(place)
        elif oid == _SYSNAME or oid[:-1] == _PHYSICAL_ADDRESS:
            own.append(place)
    return Reply(bytearray(front + content), own, counters)


def _socket() -> socket.socket:
    """Receives at any address, and sends from that one: IP_TRANSPARENT, for it is none of the machine's own."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BYTES)
    sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
    sock.setsockopt(socket.IPPROTO_IP, _IP_TRANSPARENT, 1)
    sock.bind(("0.0.0.0", PORT))
    return sock


def _serve(sock: socket.socket, switches: Switches) -> None:
    """All that has come."""
    while True:
        try:
            data, ancillary, _, client = sock.recvmsg(65_535, 64)
        except BlockingIOError:
            return
        ((_, _, about),) = ancillary
        device = _PKTINFO.unpack_from(about)[2]
        reply = switches.answer(data, device)
        if reply is not None:
            sock.sendmsg([reply], [(socket.IPPROTO_IP, _IP_PKTINFO, _PKTINFO.pack(0, device, bytes(4)))], 0, client)


def main() -> None:
    """Until nobody listens any more."""
    control: Connection[Any, Any] = Connection(int(sys.argv[1]))
    with _socket() as sock, selectors.DefaultSelector() as selector:
        switches = Switches(*control.recv())
        control.send(None)
        selector.register(sock, selectors.EVENT_READ)
        selector.register(control, selectors.EVENT_READ)
        while True:
            for ready, _ in selector.select():
                if ready.fileobj is sock:
                    _serve(sock, switches)
                    continue
                try:
                    control.recv()
                except EOFError:
                    return
                control.send(Counts(switches.requests, switches.gets))


if __name__ == "__main__":
    main()
