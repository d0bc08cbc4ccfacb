"""Passwords against bcrypt hashes: off the loop, once each, and with the same effort for a name that nobody has."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import os
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from functools import partial

import bcrypt

from exporter.web.background import in_background
from exporter.web.web_config import User

#: Each costs a core for as long as a hash takes: who comes later is told to try again. Few of them are for one
#: network, so that who guesses from there does not keep others from their first check.
MOST_CHECKS = 64
MOST_OF_A_NETWORK = 8
#: Of one network, for whichever check: each keeps a connection busy, and busy ones make no room for others.
MOST_WAITING = 64
_REMEMBERED = 1000
#: bcrypt knows no more of a password, and refuses to look at a longer one.
_LONGEST = 72
#: What stands for the hash of a name that nobody has; no password gives it.
_NO_RESULT = b"." * 31


class TooManyError(Exception):
    """So many passwords are waiting to be checked that no more are taken."""


class Passwords:
    """Remembers results, never passwords: a keyed digest of name, hash and password stands for the three."""

    def __init__(self) -> None:
        self._key = os.urandom(32)
        # Apart, so that guesses do not drive out those who know their password.
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._wrong: OrderedDict[bytes, None] = OrderedDict()
        #: Checks that are not over, and the network that each is for.
        self._checking: dict[bytes, tuple[asyncio.Task[bool], str]] = {}
        #: Requests that wait for one, by network.
        self._waiting: Counter[str] = Counter()
        self._one_at_a_time = asyncio.Lock()
        self._nobodies: dict[int, bytes] = {}

    async def right(self, users: Mapping[str, User], name: str, password: bytes, peer: str) -> bool:
        """Whether it is the password of a user of that name. Raises TooManyError."""
        user = users.get(name)
        hashed = self._nobody(users) if user is None else user.hash.reveal()
        digest = self._digest(name.encode(), hashed, password)
        for known, result in ((self._right, True), (self._wrong, False)):
            if digest in known:
                known.move_to_end(digest)
                return result
        network = _network(peer)
        if self._waiting[network] >= MOST_WAITING:
            raise TooManyError
        task = self._task(digest, network, partial(_matches, hashed, password))
        self._waiting[network] += 1
        try:
            # A client that goes away must not end what others wait for.
            return await asyncio.shield(task) and user is not None
        finally:
            self._waiting[network] -= 1
            if not self._waiting[network]:
                del self._waiting[network]

    def _task(self, digest: bytes, network: str, check: Callable[[], bool]) -> asyncio.Task[bool]:
        """The check that is under way, or a new one. Raises TooManyError."""
        if digest in self._checking:
            return self._checking[digest][0]
        of_network = sum(one == network for _, one in self._checking.values())
        if of_network >= MOST_OF_A_NETWORK or len(self._checking) >= MOST_CHECKS:
            raise TooManyError
        task = asyncio.create_task(self._check(digest, check))
        self._checking[digest] = task, network
        task.add_done_callback(lambda _: self._checking.pop(digest, None))
        return task

    def _nobody(self, users: Mapping[str, User]) -> bytes:
        """A hash as costly as the costliest of the users'."""
        cost = max(user.cost for user in users.values())
        if cost not in self._nobodies:
            self._nobodies[cost] = bcrypt.gensalt(cost) + _NO_RESULT
        return self._nobodies[cost]

    def _digest(self, *parts: bytes) -> bytes:
        lengths = b"".join(len(part).to_bytes(4) for part in parts)
        return hmac.digest(self._key, lengths + b"".join(parts), hashlib.sha256)

    async def _check(self, digest: bytes, check: Callable[[], bool]) -> bool:
        async with self._one_at_a_time:
            right = await in_background(check)
        known = self._right if right else self._wrong
        known[digest] = None
        if len(known) > _REMEMBERED:
            known.popitem(last=False)
        return right


def _matches(hashed: bytes, password: bytes) -> bool:
    fits = len(password) <= _LONGEST
    # One that is too long is wrong, and takes as long to be.
    return bcrypt.checkpw(password if fits else b"", hashed) and fits


def _network(peer: str) -> str:
    """The address, or of IPv6 the /64 that whoever has one address mostly has whole."""
    address = ipaddress.ip_address(peer.partition("%")[0])
    if address.version == 4 or address.ipv4_mapped:
        return peer
    return str(ipaddress.ip_network((address, 64), strict=False))
