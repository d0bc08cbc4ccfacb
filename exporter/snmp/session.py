"""Conversations over UDP on asyncio: requests out, answers to whom they belong, retries, and bounds on it all.

One socket an address family serves every device and both versions of SNMP. An answer counts only if it comes from
the address that was asked and bears the number of a request under way. That number stays the same over retries, so
a late answer to the first try is as good as one to the second. ICMP errors end the wait at once.

A conversation is a generator: it yields requests and is sent their answers, right from where the socket is read. To
wake a coroutine for each answer instead would cost more CPU than all the rest of an exchange.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import os
import secrets
import socket
import struct
import sys
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, Self, TypeVar

from exporter.errors import BerError, SnmpError
from exporter.snmp import ber

_RECEIVE_BYTES = 4 << 20
_LARGEST = 65_535
_NUMBERS = 2**31 - 1
#: Datagrams that are taken in one go before others in the event loop have their turn.
_TURN = 64
# Of <linux/in.h>, <linux/in6.h> and <asm/socket.h>; Python names only some of them.
_IP_RECVERR, _IPV6_RECVERR, _SO_RCVBUFFORCE = 11, 25, 33
_FAMILY_OF_LENGTH = {2: socket.AF_INET, 4: socket.AF_INET6}
#: Our own queue is full, or the packet was too large for a link: neither says anything about the device.
_PASSING = frozenset({errno.ENOBUFS, errno.EAGAIN, errno.EMSGSIZE, errno.ENOMEM})

Result = TypeVar("Result")


class Request(Protocol):
    """Something to ask, of either version."""

    def datagram(self, number: int) -> bytes:
        """The message; `number`, from 1 to 2^31 - 1, is what `ber.message_number` finds in the answer."""

    def read(self, data: bytes) -> Any:
        """An answer that bears the number; raises BerError where it is none after all."""


#: Yields requests, is sent what their `read` returned or thrown the SnmpError that came of them, and has a result.
Conversation = Generator[Request, Any, Result]


class Agent(NamedTuple):
    """Whom to ask: a socket address of two (IPv4) or four (IPv6) elements, and how patiently.

    Nothing is waited for beyond `until`, of CLOCK_MONOTONIC, which is the event loop's.
    """

    address: tuple[Any, ...]
    timeout: float
    retries: int
    until: float = math.inf

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
class _Talk:
    """A conversation and its request under way. No repr, for the datagram may hold a community."""

    future: asyncio.Future[Any]
    steps: Conversation[Any]
    agent: Agent
    traffic: Traffic
    number: int
    request: Request | None = None
    datagram: bytes = b""
    tries: int = 0
    #: When to send it again; the timer may be set to an earlier time, of a request that has been answered.
    deadline: float = 0.0
    timer: asyncio.TimerHandle | None = None
    #: Why an answer could not be taken, for the error that says that there was none.
    wrong: str = ""
    malformed: bool = False


class _Lane:
    """One device's conversations: those under way, and how many more wait for their turn."""

    __slots__ = ("free", "talks", "users")

    def __init__(self, limit: int) -> None:
        self.free = asyncio.Semaphore(limit)
        self.users = 0
        self.talks: set[_Talk] = set()


class Session:
    """Conversations under way, each with one request: at most `limit` of them at once and `each` with one device.

    Made within a running event loop; `with` closes it.
    """

    def __init__(self, limit: int, each: int = 2) -> None:
        self._loop = asyncio.get_running_loop()
        self._limit = asyncio.Semaphore(limit)
        self._each = each
        self._lanes: dict[tuple[Any, ...], _Lane] = {}
        self._talks: dict[int, _Talk] = {}
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
        for sock in self._sockets.values():
            self._loop.remove_reader(sock)
            sock.close()
        self._sockets.clear()
        for talk in tuple(self._talks.values()):
            self._fail(talk, "unreachable", "the exporter has closed its sockets")

    async def ask(self, agent: Agent, request: Request, traffic: Traffic) -> Any:
        """What the request's `read` makes of its answer; raises SnmpError."""
        return await self.converse(agent, _one(request), traffic)

    async def converse(self, agent: Agent, steps: Conversation[Result], traffic: Traffic) -> Result:
        """Lead a conversation to its end, and return its result; raises what it raises.

        A request that has spent all its tries, or that ICMP says is in vain, is an SnmpError in the conversation.
        """
        place = agent.address[:2]
        lane = self._lanes.get(place)
        if lane is None:
            lane = self._lanes[place] = _Lane(self._each)
        lane.users += 1
        try:
            # The device's own turn first: who waits for it must not keep others from their devices.
            async with lane.free, self._limit:
                future: asyncio.Future[Result] = self._loop.create_future()
                talk = _Talk(future, steps, agent, traffic, secrets.randbelow(_NUMBERS) + 1)
                lane.talks.add(talk)
                try:
                    self._go_on(talk, None)
                    return await future
                finally:
                    lane.talks.remove(talk)
                    self._forget(talk)
        finally:
            lane.users -= 1
            if not lane.users:
                del self._lanes[place]

    def _forget(self, talk: _Talk) -> None:
        if self._talks.get(talk.number) is talk:
            del self._talks[talk.number]
        if talk.timer is not None:
            talk.timer.cancel()
        talk.steps.close()

    # Requests.

    def _go_on(self, talk: _Talk, answer: Any) -> None:
        """Hand the conversation an answer, or the error that there is none, and send what it asks next."""
        try:
            request = talk.steps.throw(answer) if isinstance(answer, SnmpError) else talk.steps.send(answer)
        except StopIteration as end:
            talk.future.set_result(end.value)
        except Exception as error:
            # Whatever it is, it belongs to who has begun the conversation.
            talk.future.set_exception(error)
        else:
            self._begin(talk, request)

    def _begin(self, talk: _Talk, request: Request) -> None:
        # In a conversation the numbers follow each other: who cannot read along cannot guess the first.
        talk.number = talk.number % _NUMBERS + 1
        while talk.number in self._talks:
            talk.number = talk.number % _NUMBERS + 1
        self._talks[talk.number] = talk
        talk.request = request
        talk.datagram = request.datagram(talk.number)
        talk.tries = 0
        talk.wrong, talk.malformed = "", False
        self._try(talk)

    def _try(self, talk: _Talk) -> None:
        """Send it for the first time, again, or never again."""
        now = self._loop.time()
        if now >= talk.agent.until:
            self._fail(talk, "timeout", "the device was not done with its answers when its next poll drew near")
            return
        if talk.tries > talk.agent.retries:
            times = "once" if talk.tries == 1 else f"{talk.tries} times"
            message = f"no answer within {talk.agent.timeout:g} s, asked {times}{talk.wrong}"
            self._fail(talk, "malformed" if talk.malformed else "timeout", message)
            return
        talk.traffic.sent += 1
        talk.traffic.retries += talk.tries > 0
        talk.tries += 1
        talk.deadline = min(now + talk.agent.timeout, talk.agent.until)
        if talk.timer is None:
            talk.timer = self._loop.call_at(talk.deadline, self._tick, talk)
        self._send(talk)

    def _tick(self, talk: _Talk) -> None:
        talk.timer = None
        if talk.future.done():
            return
        if self._loop.time() < talk.deadline:
            talk.timer = self._loop.call_at(talk.deadline, self._tick, talk)
        else:
            self._try(talk)

    def _send(self, talk: _Talk) -> None:
        address = talk.agent.address
        sock = self._sockets.get(_FAMILY_OF_LENGTH[len(address)])
        if sock is None:
            self._fail(talk, "unreachable", f"this machine has no socket for {address[0]}")
            return
        # An ICMP error about anybody is told to whoever sends next, in place of sending: hence a second time.
        for last in (False, True):
            try:
                sock.sendto(talk.datagram, address)
            except OSError as error:
                self._take_icmp(sock)
                if last and error.errno not in _PASSING:
                    self._fail(talk, "unreachable", f"cannot be sent to: {error.strerror}")
            else:
                return

    def _fail(self, talk: _Talk, kind: str, message: str) -> None:
        if not talk.future.done():
            self._talks.pop(talk.number, None)
            self._go_on(talk, talk.traffic.failure(kind, message))

    # Answers.

    def _readable(self, sock: socket.socket) -> None:
        # As many as can be expected: to find out that there are no more costs as much as a datagram.
        for _ in range(min(max(len(self._talks), 1), _TURN)):
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
            talk = self._talks.get(ber.message_number(data))
        except BerError as error:
            self.foreign += 1
            self._blame(source, error)
            return
        if talk is None or talk.request is None or talk.future.done():
            self.foreign += 1
        elif talk.agent.address[:2] != source[:2]:
            # Nobody else can know the number, unless he reads along: so the device has a second address.
            self.foreign += 1
            talk.wrong = f"; an answer came from {source[0]} port {source[1]}, which was not asked"
        else:
            try:
                answer = talk.request.read(data)
            except BerError as error:
                self._note(talk, error)
                return
            del self._talks[talk.number]
            talk.traffic.received += 1
            self._go_on(talk, answer)

    def _blame(self, source: tuple[Any, ...], error: BerError) -> None:
        """Note an unreadable datagram with the request to its sender, if only one can be meant."""
        lane = self._lanes.get(source[:2])
        if lane is not None and len(lane.talks) == 1:
            (talk,) = lane.talks
            self._note(talk, error)

    @staticmethod
    def _note(talk: _Talk, error: BerError) -> None:
        """Remember it for when no better answer comes; anyone may send nonsense in the device's name."""
        talk.malformed = True
        talk.wrong = f"; what came is no answer: {error}"

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
                    for talk in tuple(lane.talks):
                        self._fail(talk, "unreachable", f"ICMP: {os.strerror(code)}")


def _one(request: Request) -> Conversation[Any]:
    return (yield request)


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
