"""Messages of SNMPv3 under its User-based Security Model (RFC 3412, RFC 3414), and a device's engine behind them.

pysnmp has an engine for this, which takes 8 to 15 ms of CPU for a GETBULK of 60 values, thirty times as much; it
keeps its users by name and its clocks by engine, so that two auths of one user name, or two devices of one engine
identifier, would break each other. Here each device has an engine of its own.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Sequence
from typing import NamedTuple

from exporter.errors import BerError
from exporter.snmp import ber
from exporter.snmp.ber import OCTET_STRING, SEQUENCE, Response
from exporter.snmp.keys import AUTH, PRIV, User

REPORT = 0xA8
#: usmStatsNotInTimeWindows, the counter in a report of a device that has another time than we think.
NOT_IN_TIME = ber.parse_oid("1.3.6.1.6.3.15.1.1.2.0")
_REPORTABLE = 4
_LARGEST = b"\x02\x03\x00\xff\xe3"  # 65,507, as large as a datagram can be
_MODEL = b"\x02\x01\x03"
#: Seconds by which a message may be late (RFC 3414, section 2.2.3).
_WINDOW = 150
_MOST = 2**31 - 1


class Report(NamedTuple):
    """Why a device did not answer a message, as the name of a counter, and what it says of its engine."""

    counter: bytes
    engine: bytes
    boots: int
    seconds: int


class Engine:
    """What is known of a device's engine: who it is, how often it has booted, and its clock since then."""

    def __init__(self, user: User, name: bytes, boots: int, seconds: int) -> None:
        self.user = user
        self.name = name
        self.keys = user.keys(name)
        self.set_clock(boots, seconds)

    def set_clock(self, boots: int, seconds: int) -> None:
        self._boots, self._seconds, self._at = boots, seconds, time.monotonic()

    def clock(self) -> tuple[int, int]:
        """Boots and seconds by now."""
        return self._boots, min(self._seconds + int(time.monotonic() - self._at), _MOST)

    def hear(self, boots: int, seconds: int) -> bool:
        """Set the clock by an authentic message, if that is newer; False if it is too old to be believed."""
        now = self.clock()
        if boots < now[0] or boots == _MOST or (boots == now[0] and seconds < now[1] - _WINDOW):
            return False
        # Later than what it has last said, which may be less than our guess since then: its clock counts, not ours.
        if (boots, seconds) > (self._boots, self._seconds):
            self.set_clock(boots, seconds)
        return True


class Discovery:
    """The question who a device's engine is, which needs no user."""

    def datagram(self, number: int) -> bytes:
        scoped = _scoped(b"", b"", ber.encode_pdu(ber.GET, number, ()))
        return _message(number, _REPORTABLE, _engine(b"", 0, 0, b""), b"", b"", scoped)

    def read(self, data: bytes) -> Report:
        """The report that answers it; raises BerError."""
        try:
            message = _open(data)
            if message.flags & (AUTH | PRIV):
                raise BerError("the answer to a discovery is signed")
            at, end = ber.inside(data, message.at, SEQUENCE, message.end)
            at, _ = _context(data, at, end)
            report = _report(message, data, at, end)
        except IndexError:
            raise BerError("the message is cut off") from None
        if not 0 < len(report.engine) <= 32:
            raise BerError(f"an engine identifier of {len(report.engine)} bytes")
        return report


class Request:
    """A request to a known engine, by a user that it should know; `flags` are the user's, or fewer."""

    def __init__(
        self, engine: Engine, flags: int, context: bytes, kind: int, oids: Sequence[bytes], max_repetitions: int = 0
    ) -> None:
        self._engine, self._flags, self._context = engine, flags, context
        self._kind, self._oids, self._repetitions = kind, oids, max_repetitions
        self._number = 0

    def datagram(self, number: int) -> bytes:
        """The message; `number` is its own and that of the request in it."""
        engine, flags, keys = self._engine, self._flags, self._engine.keys
        boots, seconds = engine.clock()
        self._number = number
        data = _scoped(
            engine.name, self._context, ber.encode_pdu(self._kind, number, self._oids, self._repetitions)
        )
        salt = b""
        if flags & PRIV:
            text, salt = keys.encrypt(data, boots, seconds)
            data = ber.element(OCTET_STRING, text)
        about = _engine(engine.name, boots, seconds, engine.user.name)
        zeros = bytes(keys.digest_size)
        message = _message(number, flags | _REPORTABLE, about, zeros, salt, data)
        if not flags & AUTH:
            return message
        at = len(message) - len(data) - len(salt) - 2 - len(zeros)
        return message[:at] + keys.digest(message) + message[at + len(zeros) :]

    def read(self, data: bytes) -> Response | Report:
        """The answer, if it is the device's and as secure as the question, or a report why there is none.

        Raises BerError for everything else. A report may be less secure: a device signs none for who it does not
        know. It cannot be forged by who has not seen the message's number. That of a device's time is signed (RFC
        3414, section 3.2): who has seen the number must not be able to set our clock.
        """
        try:
            message = _open(data)
            if message.flags & AUTH:
                self._authenticate(message, data)
            at, end = message.at, message.end
            if message.flags & PRIV:
                start, stop = ber.inside(data, at, OCTET_STRING, end)
                data = self._engine.keys.decrypt(data[start:stop], message.boots, message.seconds, message.salt)
                at, end = 0, len(data)
            at, end = ber.inside(data, at, SEQUENCE, end)
            at, context = _context(data, at, end)
            if data[at] == REPORT:
                report = _report(message, data, at, end)
                if report.counter == NOT_IN_TIME and self._flags & ~message.flags & AUTH:
                    raise BerError("its report that we have another time is not signed")
                return report
            self._check(message, context)
            response = ber.decode_pdu(data, at, end, ber.RESPONSE)
        except IndexError:
            raise BerError("the message is cut off") from None
        if response.request_id != self._number:
            raise BerError("it answers another request")
        return response

    def _authenticate(self, message: _Message, data: bytes) -> None:
        """Check who has sent a message that claims to be signed."""
        engine = self._engine
        start, stop = message.digest
        if not self._flags & AUTH or message.flags & PRIV & ~self._flags:
            raise BerError("it is more secure than the question")
        if (message.engine, message.user) != (engine.name, engine.user.name):
            raise BerError("it is of another engine or user")
        unsigned = data[:start] + bytes(stop - start) + data[stop : message.end]
        if not hmac.compare_digest(engine.keys.digest(unsigned), data[start:stop]):
            raise BerError("its digest is wrong")

    def _check(self, message: _Message, context: tuple[bytes, bytes]) -> None:
        """Whether a response is as secure as the question, and of the same engine, user and context."""
        engine = self._engine
        if message.flags & (AUTH | PRIV) != self._flags:
            raise BerError("it is less secure than the question")
        if (message.engine, message.user, *context) != (engine.name, engine.user.name, engine.name, self._context):
            raise BerError("it is of another engine, user or context")
        if message.flags & AUTH and not engine.hear(message.boots, message.seconds):
            raise BerError("it is older than the device's clock allows")


class _Message(NamedTuple):
    """A message, but for what it says: that begins at `at`. `digest` is where the digest stands."""

    flags: int
    engine: bytes
    boots: int
    seconds: int
    user: bytes
    digest: tuple[int, int]
    salt: bytes
    at: int
    end: int


def _open(data: bytes) -> _Message:
    """Raises BerError, or IndexError where the message is cut off."""
    at, end = ber.inside(data, 0, SEQUENCE, len(data))
    if data[at : at + 3] != ber.VERSION_3:
        raise BerError("not a message of SNMPv3")
    at, header = ber.inside(data, at + 3, SEQUENCE, end)
    for _ in range(2):  # the message's number, which the session has read, and the largest that it may be
        _, at = ber.inside(data, at, ber.INTEGER, header)
    start, at = ber.inside(data, at, OCTET_STRING, header)
    if at != start + 1 or data[at:header] != _MODEL:
        raise BerError("flags of no byte or more, or another security model than the user-based one")
    flags = data[start]
    at, behind = ber.inside(data, header, OCTET_STRING, end)
    at, last = ber.inside(data, at, SEQUENCE, behind)
    engine, at = _octets(data, at, last)
    boots, at = _count(data, at, last)
    seconds, at = _count(data, at, last)
    user, at = _octets(data, at, last)
    digest = ber.inside(data, at, OCTET_STRING, last)
    salt, _ = _octets(data, digest[1], last)
    if flags & PRIV and not flags & AUTH:
        raise BerError("it is encrypted, but not signed")
    return _Message(flags, engine, boots, seconds, user, digest, salt, behind, end)


def _octets(data: bytes, at: int, end: int) -> tuple[bytes, int]:
    start, stop = ber.inside(data, at, OCTET_STRING, end)
    return data[start:stop], stop


def _count(data: bytes, at: int, end: int) -> tuple[int, int]:
    start, stop = ber.inside(data, at, ber.INTEGER, end)
    number = ber.integer(data[start:stop])
    if not 0 <= number <= _MOST:
        raise BerError(f"{number} boots or seconds")
    return number, stop


def _context(data: bytes, at: int, end: int) -> tuple[int, tuple[bytes, bytes]]:
    """Where the PDU of a scoped PDU begins, and its context: the engine's identifier and a name."""
    engine, at = _octets(data, at, end)
    name, at = _octets(data, at, end)
    return at, (engine, name)


def _report(message: _Message, data: bytes, at: int, end: int) -> Report:
    varbinds = ber.decode_pdu(data, at, end, REPORT).varbinds
    if not varbinds:
        raise BerError("a report of nothing")
    return Report(varbinds[0][0], message.engine, message.boots, message.seconds)


def _scoped(engine: bytes, context: bytes, pdu: bytes) -> bytes:
    return ber.element(SEQUENCE, ber.element(OCTET_STRING, engine) + ber.element(OCTET_STRING, context) + pdu)


def _engine(name: bytes, boots: int, seconds: int, user: bytes) -> bytes:
    clock = ber.encode_integer(boots) + ber.encode_integer(seconds)
    return ber.element(OCTET_STRING, name) + clock + ber.element(OCTET_STRING, user)


def _message(number: int, flags: int, engine: bytes, digest: bytes, salt: bytes, data: bytes) -> bytes:
    header = ber.encode_number(number) + _LARGEST + ber.element(OCTET_STRING, bytes((flags,))) + _MODEL
    security = engine + ber.element(OCTET_STRING, digest) + ber.element(OCTET_STRING, salt)
    parameters = ber.element(OCTET_STRING, ber.element(SEQUENCE, security))
    return ber.element(SEQUENCE, ber.VERSION_3 + ber.element(SEQUENCE, header) + parameters + data)
