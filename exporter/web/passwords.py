"""Passwords against bcrypt hashes: off the loop, once each, and with the same effort for a name that nobody has."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
from collections import OrderedDict
from collections.abc import Mapping
from functools import partial

import bcrypt

from exporter.web.background import in_background
from exporter.web.web_config import User

#: Each costs a core for as long as a hash takes: who comes later is told to try again.
MOST_WAITING = 32
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
        self._checking: dict[bytes, asyncio.Task[bool]] = {}
        self._one_at_a_time = asyncio.Lock()
        self._nobodies: dict[int, bytes] = {}

    async def right(self, users: Mapping[str, User], name: str, password: bytes) -> bool:
        """Whether it is the password of a user of that name. Raises TooManyError."""
        user = users.get(name)
        hashed = self._nobody(users) if user is None else user.hash.reveal()
        digest = self._digest(name.encode(), hashed, password)
        for known, result in ((self._right, True), (self._wrong, False)):
            if digest in known:
                known.move_to_end(digest)
                return result
        task = self._checking.get(digest)
        if task is None:
            if len(self._checking) >= MOST_WAITING:
                raise TooManyError
            task = asyncio.create_task(self._check(digest, hashed, password))
            self._checking[digest] = task
            task.add_done_callback(lambda _: self._checking.pop(digest, None))
        # A client that goes away must not end what others wait for.
        return await asyncio.shield(task) and user is not None

    def _nobody(self, users: Mapping[str, User]) -> bytes:
        """A hash as costly as the costliest of the users'."""
        cost = max(user.cost for user in users.values())
        if cost not in self._nobodies:
            self._nobodies[cost] = bcrypt.gensalt(cost) + _NO_RESULT
        return self._nobodies[cost]

    def _digest(self, *parts: bytes) -> bytes:
        lengths = b"".join(len(part).to_bytes(4) for part in parts)
        return hmac.digest(self._key, lengths + b"".join(parts), hashlib.sha256)

    async def _check(self, digest: bytes, hashed: bytes, password: bytes) -> bool:
        async with self._one_at_a_time:
            right = await in_background(partial(_matches, hashed, password))
        known = self._right if right else self._wrong
        known[digest] = None
        if len(known) > _REMEMBERED:
            known.popitem(last=False)
        return right


def _matches(hashed: bytes, password: bytes) -> bool:
    fits = len(password) <= _LONGEST
    # One that is too long is wrong, and takes as long to be.
    return bcrypt.checkpw(password if fits else b"", hashed) and fits
