"""Requests over UDP on asyncio: out to the devices, answers to whom they belong, retries, and bounds on it all.

One socket an address family serves every device and both versions of SNMP. An answer counts only if it comes from
the address that was asked and bears the number of a request under way. That number stays the same over retries, so
a late answer to the first try is as good as one to the second. ICMP errors end the wait at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import secrets
import socket
import struct
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, Self, TypeVar

from exporter.errors import BerError, SnmpError
from exporter.snmp import ber

_RECEIVE_BYTES = 4 << 20
_LARGEST = 65_535
#: Datagrams that are taken in one go before others in the event loop have their turn.
_TURN = 64
# Of <linux/in.h>, <linux/in6.h> and <asm/socket.h>; Python names only some of them.
_IP_RECVERR, _IPV6_RECVERR, _SO_RCVBUFFORCE = 11, 25, 33
_FAMILY_OF_LENGTH = {2: socket.AF_INET, 4: socket.AF_INET6}
#: Our own queue is full, or the packet was too large for a link: neither says anything about the device.
_PASSING = frozenset({errno.ENOBUFS, errno.EAGAIN, errno.EMSGSIZE, errno.ENOMEM})

Answer = TypeVar("Answer")
Answer_co = TypeVar("Answer_co", covariant=True)


class Request(Protocol[Answer_co]):
    """Something to ask, of either version."""

    def datagram(self, number: int) -> bytes:
        """The message; `number`, from 1 to 2^31 - 1, is what `ber.message_number` finds in the answer."""

    def read(self, data: bytes) -> Answer_co:
        """An answer that bears the number; raises BerError where it is none after all."""


class Agent(NamedTuple):
    """Whom to ask: a socket address of two (IPv4) or four (IPv6) elements, and how patiently."""

    address: tuple[Any, ...]
    timeout: float
    retries: int

    @classmethod
    def at(cls, host: str, port: int = 161, timeout: float = 2.0, retries: int = 2) -> Self:
        """By a numeric address, which may have a scope (`fe80::1%eth0`); ValueError if it is none."""
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=flags)
        except OSError as error:
            raise ValueError(f"{host!r} is no IP address: {error.strerror}") from error
        return cls(found[0][4], timeout, retries)


@dataclass(slots=True)
class Traffic:
    """What asking has cost: `received` are answers that counted, `errors` are counted by SnmpError's kinds."""

    sent: int = 0
    received: int = 0
    retries: int = 0
    errors: Counter[str] = field(default_factory=Counter)

    def failure(self, kind: str, message: str) -> SnmpError:
        """An error to raise, counted."""
        self.errors[kind] += 1
        return SnmpError(kind, message)


@dataclass(slots=True, eq=False, repr=False)
class _Waiting:
    """A request under way; a timer sends it again, or ends it. No repr, for the datagram may hold a community."""

    future: asyncio.Future[Any]
    agent: Agent
    request: Request[Any]
    datagram: bytes
    traffic: Traffic
    tries: int = 0
    timer: asyncio.TimerHandle | None = None
    #: Why an answer could not be taken, for the error that says that there was none.
    wrong: str = ""
    malformed: bool = False

    def give_up(self) -> None:
        times = "once" if self.tries == 1 else f"{self.tries} times"
        message = f"no answer within {self.agent.timeout:g} s, asked {times}{self.wrong}"
        self.fail("malformed" if self.malformed else "timeout", message)

    def fail(self, kind: str, message: str) -> None:
        if not self.future.done():
            self.future.set_exception(self.traffic.failure(kind, message))


class _Lane:
    """One device's requests: those under way, and those that wait for it to answer others first."""

    __slots__ = ("free", "users", "waiting")

    def __init__(self, limit: int) -> None:
        self.free = asyncio.Semaphore(limit)
        self.users = 0
        self.waiting: set[_Waiting] = set()


class Session:
    """Requests under way, at most `limit` of them at once and `each` of one device.

    Made within a running event loop; `with` closes it.
    """

    def __init__(self, limit: int, each: int = 2) -> None:
        self._loop = asyncio.get_running_loop()
        self._limit = asyncio.Semaphore(limit)
        self._each = each
        self._lanes: dict[tuple[Any, ...], _Lane] = {}
        self._waiting: dict[int, _Waiting] = {}
        self._sockets = {family: sock for family in _FAMILY_OF_LENGTH.values() if (sock := _socket(family))}
        for sock in self._sockets.values():
            self._loop.add_reader(sock, self._readable, sock)
        #: Datagrams that belong to no request: late, forged, unreadable, or sent to somebody else.
        self.foreign = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End what is under way with an error, and give the sockets back."""
        for waiting in self._waiting.values():
            waiting.fail("unreachable", "the exporter has closed its sockets")
        for sock in self._sockets.values():
            self._loop.remove_reader(sock)
            sock.close()
        self._sockets.clear()

    async def ask(self, agent: Agent, request: Request[Answer], traffic: Traffic) -> Answer:
        """Send a request until it is answered. Raises SnmpError when all tries are spent, or ICMP says no."""
        place = agent.address[:2]
        lane = self._lanes.get(place)
        if lane is None:
            lane = self._lanes[place] = _Lane(self._each)
        lane.users += 1
        try:
            # The device's own turn first: who waits for it must not keep others from their devices.
            async with lane.free, self._limit:
                return await self._answer(agent, request, traffic, lane)
        finally:
            lane.users -= 1
            if not lane.users:
                del self._lanes[place]

    async def _answer(self, agent: Agent, request: Request[Answer], traffic: Traffic, lane: _Lane) -> Answer:
        number = self._number()
        future: asyncio.Future[Answer] = self._loop.create_future()
        waiting = _Waiting(future, agent, request, request.datagram(number), traffic)
        self._waiting[number] = waiting
        lane.waiting.add(waiting)
        try:
            self._try(waiting)
            return await future
        finally:
            del self._waiting[number]
            lane.waiting.remove(waiting)
            if waiting.timer is not None:
                waiting.timer.cancel()

    def _number(self) -> int:
        while True:
            number = secrets.randbelow(2**31 - 1) + 1
            if number not in self._waiting:
                return number

    def _try(self, waiting: _Waiting) -> None:
        """Send it for the first time, again, or never again."""
        if waiting.future.done():
            return
        if waiting.tries > waiting.agent.retries:
            waiting.give_up()
            return
        self._send(waiting)
        waiting.traffic.sent += 1
        waiting.traffic.retries += waiting.tries > 0
        waiting.tries += 1
        waiting.timer = self._loop.call_later(waiting.agent.timeout, self._try, waiting)

    def _send(self, waiting: _Waiting) -> None:
        address = waiting.agent.address
        sock = self._sockets.get(_FAMILY_OF_LENGTH[len(address)])
        if sock is None:
            waiting.fail("unreachable", f"this machine has no socket for {address[0]}")
            return
        # An ICMP error about anybody is told to whoever sends next, in place of sending: hence a second time.
        for last in (False, True):
            try:
                sock.sendto(waiting.datagram, address)
            except OSError as error:
                self._take_icmp(sock)
                if last and error.errno not in _PASSING:
                    waiting.fail("unreachable", f"cannot be sent to: {error.strerror}")
            else:
                return

    # Answers.

    def _readable(self, sock: socket.socket) -> None:
        for _ in range(_TURN):
            try:
                data, source = sock.recvfrom(_LARGEST)
            except BlockingIOError:
                return
            except OSError:
                self._take_icmp(sock)
                continue
            self._take(data, source)

    def _take(self, data: bytes, source: tuple[Any, ...]) -> None:
        try:
            waiting = self._waiting.get(ber.message_number(data))
        except BerError as error:
            self.foreign += 1
            self._blame(source, error)
            return
        if waiting is None or waiting.future.done():
            self.foreign += 1
        elif waiting.agent.address[:2] != source[:2]:
            # Nobody else can know the number, unless he reads along: so the device has a second address.
            self.foreign += 1
            waiting.wrong = f"; an answer came from {source[0]} port {source[1]}, which was not asked"
        else:
            try:
                answer = waiting.request.read(data)
            except BerError as error:
                self._note(waiting, error)
                return
            waiting.traffic.received += 1
            waiting.future.set_result(answer)

    def _blame(self, source: tuple[Any, ...], error: BerError) -> None:
        """Note an unreadable datagram with the requests to its sender, if only one can be meant."""
        lane = self._lanes.get(source[:2])
        if lane is not None and len(lane.waiting) == 1:
            (waiting,) = lane.waiting
            self._note(waiting, error)

    @staticmethod
    def _note(waiting: _Waiting, error: BerError) -> None:
        """Remember it for when no better answer comes; anyone may send nonsense in the device's name."""
        waiting.malformed = True
        waiting.wrong = f"; what came is no answer: {error}"

    def _take_icmp(self, sock: socket.socket) -> None:
        """End the requests to the devices that ICMP errors are about."""
        while sys.platform == "linux":
            try:
                _, ancillary, _, address = sock.recvmsg(0, 512, socket.MSG_ERRQUEUE)
            except OSError:
                return
            for _, _, data in ancillary:
                (code,) = struct.unpack_from("=I", data)
                lane = self._lanes.get(address[:2])
                if lane is not None and code not in _PASSING:
                    for waiting in lane.waiting:
                        waiting.fail("unreachable", f"ICMP: {os.strerror(code)}")


def _socket(family: socket.AddressFamily) -> socket.socket | None:
    """A socket of this family, or None where the machine has no such addresses."""
    try:
        sock = socket.socket(family, socket.SOCK_DGRAM)
    except OSError:
        return None
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
    if sys.platform == "linux":
        errors = (
            (socket.IPPROTO_IPV6, _IPV6_RECVERR) if family == socket.AF_INET6 else (socket.IPPROTO_IP, _IP_RECVERR)
        )
        sock.setsockopt(*errors, 1)
        with contextlib.suppress(PermissionError):
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BYTES)
    return sock
