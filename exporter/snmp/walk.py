"""What is asked of one device: values by their identifiers, and whole columns of tables, all at once.

A walk asks for the next rows of every column in one GETBULK, as many as should fit into an Ethernet frame. It takes
what comes as far as it goes, asks for less where that is too much, for a column at a time, and last for a row at a
time; and it trusts no device to ever come to an end.
"""

from __future__ import annotations

import operator
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence

from exporter.errors import BerError, PartialWalk, SnmpError
from exporter.snmp import ber
from exporter.snmp.ber import Response, VarBind
from exporter.snmp.session import Agent, Conversation, Session, Traffic

#: Rows of all columns together, far above what a device can need: 1,000 ports have 20,000 in if_mib.
MOST_ROWS = 100_000
#: Bytes of the replies to one question, for a row may have 64 KiB: far above what so many rows of numbers take.
MOST_BYTES = 16 << 20
#: What an Ethernet frame carries of UDP over IPv4, and what every agent is able to send (RFC 3417, section 3.2).
_FRAME, _LEAST = 1472, 484
#: A response without its varbinds, with a community of some length.
_FRAMING = 60
#: A varbind without its identifier: three lengths and tags, and a number.
_VALUE = 11
#: Requests to one device that are kept, as a table of 1,000 ports takes them: with their answers some 8 KB each.
_REMEMBERED = 500
#: Identifiers in one GET.
_TOGETHER = 40
_TOO_BIG, _NO_SUCH_NAME = 1, 2
_STATUS = {
    1: "tooBig",
    2: "noSuchName",
    3: "badValue",
    4: "readOnly",
    5: "genErr",
    6: "noAccess",
    13: "resourceUnavailable",
    16: "authorizationError",
}
#: Of each byte, whether its number goes on in the next one.
_GOES_ON = bytes(byte >> 7 for byte in range(256))
_OID, _TAG = operator.itemgetter(0), operator.itemgetter(1)
_ENDS = frozenset({ber.NO_SUCH_OBJECT, ber.NO_SUCH_INSTANCE, ber.END_OF_MIB_VIEW})


class Client(ABC):
    """One device, by either version of SNMP. It may be kept over polls: it learns how large replies may be."""

    def __init__(self, session: Session, agent: Agent, around: int = 0) -> None:
        """`around` is what a message has around its PDU, beside the frame of SNMPv2c."""
        self.traffic = Traffic()
        self._session = session
        self._agent = agent
        self._frame, self._least = _FRAME - around, _LEAST - around
        self._payload = self._frame
        #: By what was asked, the identifiers of the last answer that was in order.
        self._ordered: dict[tuple[bytes, ...], tuple[bytes, ...]] = {}

    def pace(self, timeout: float, retries: int, until: float) -> None:
        """How patiently to ask from now on: as an `Agent` of the session has it."""
        self._agent = self._agent._replace(timeout=timeout, retries=retries, until=until)

    @abstractmethod
    def _ask(self, kind: int, oids: Sequence[bytes], max_repetitions: int) -> Conversation[Response]:
        """One request and its response; raises SnmpError."""

    async def get(self, oids: Sequence[bytes]) -> list[VarBind]:
        """The values of `oids`, in that order; absent ones are left out.

        Raises SnmpError, or PartialWalk with the values that came before.
        """
        return await self._session.converse(self._agent, self._get(oids), self.traffic)

    async def walk(
        self, columns: Sequence[bytes], max_repetitions: int, *, allow_nonincreasing: bool = False
    ) -> list[VarBind]:
        """All that is below `columns`: the first column's rows in their order, then the second's, and so on.

        Raises SnmpError, or PartialWalk with the rows that came before it. `allow_nonincreasing` is for devices
        that do not sort their rows; such a walk ends as an error where a row comes again.
        """
        if len(self._ordered) >= _REMEMBERED:
            self._ordered.clear()
        walk = _Walk(columns, max_repetitions, allow_nonincreasing, self._ordered)
        return await self._session.converse(self._agent, self._walk(walk), self.traffic)

    def _get(self, oids: Sequence[bytes]) -> Conversation[list[VarBind]]:
        found: dict[bytes, VarBind] = {}
        left = list(dict.fromkeys(oids))
        together = _TOGETHER
        refusal: SnmpError | None = None
        answered = False
        size = 0
        while left:
            asked = left[:together]
            try:
                response = yield from self._ask(ber.GET, asked, 0)
                size += response.size
                if size > MOST_BYTES:
                    raise self.traffic.failure("endless", f"{len(found)} values have {size} bytes")
                status = response.error_status
                if status == 0:
                    came = self._values(asked, response)
                    found |= came
                    answered = True
                    left = [oid for oid in left if oid not in came]
                elif status == _TOO_BIG and len(asked) > 1:
                    together = len(asked) // 2
                elif len(asked) > 1 and not 0 < response.error_index <= len(asked):
                    together = 1
                else:
                    culprit = response.error_index - 1 if len(asked) > 1 else 0
                    left.remove(asked[culprit])
                    if status == _NO_SUCH_NAME:
                        answered = True
                    else:
                        refusal = self._refusal(response, asked[culprit])
            except SnmpError as error:
                if not found:
                    raise
                raise PartialWalk(error.kind, str(error), _present(found, oids)) from error
        if refusal is not None and not answered:
            raise refusal
        return _present(found, oids)

    def _values(self, asked: Sequence[bytes], response: Response) -> dict[bytes, VarBind]:
        """The varbinds of a response to GET, of which a device may leave out the last."""
        came = {varbind[0]: varbind for varbind in response.varbinds}
        if not came or not came.keys() <= set(asked):
            raise self.traffic.failure("malformed", "a GET is answered with other values than were asked for")
        return came

    def _walk(self, walk: _Walk) -> Conversation[list[VarBind]]:
        try:
            while walk.plan(self._payload):
                try:
                    response = yield from self._ask(walk.kind, walk.oids, walk.repetitions)
                except SnmpError as error:
                    if error.kind in {"timeout", "malformed"} and self._shorten(walk):
                        continue
                    raise
                self._take(walk, response)
            found = walk.varbinds()
            if walk.failure is not None:
                raise walk.failure
        except SnmpError as error:
            found = walk.varbinds()
            if not found:
                raise
            raise PartialWalk(error.kind, str(error), found) from error
        return found

    def _take(self, walk: _Walk, response: Response) -> None:
        if response.error_status:
            if walk.shrink(response.error_status):
                return
            # The other columns may still be had.
            walk.asked[0].open = False
            if response.error_status != _NO_SUCH_NAME and walk.failure is None:
                walk.failure = self._refusal(response, walk.asked[0].oid())
            return
        if not response.varbinds:
            if not walk.shrink(_TOO_BIG):
                raise self.traffic.failure("malformed", "a walk is answered with nothing")
            return
        try:
            walk.take(response)
        except SnmpError as error:
            raise self.traffic.failure(error.kind, str(error)) from None
        except BerError as error:
            raise self.traffic.failure("malformed", f"a walk is answered with {error}") from None

    def _shorten(self, walk: _Walk) -> bool:
        """Whether smaller replies are worth a try: short ones have come, and many ways lose fragments.

        They are kept to only if they help: a device that has gone away is none that needs them.
        """
        if time.monotonic() >= self._agent.until:
            return False
        if walk.shortened_at == self.traffic.received:
            self._payload = self._frame
            return False
        if self._payload == self._least or not self.traffic.received or not walk.expects_more_than(self._least):
            return False
        self._payload = self._least
        walk.shortened_at = self.traffic.received
        return True

    def _refusal(self, response: Response, oid: bytes) -> SnmpError:
        status = _STATUS.get(response.error_status, f"error status {response.error_status}")
        return self.traffic.failure("refused", f"{status} for {ber.shown(oid)}")


class V2Client(Client):
    """One device by SNMPv2c."""

    def __init__(self, session: Session, agent: Agent, community: bytes) -> None:
        super().__init__(session, agent)
        self._community = community
        #: A device is asked the same each time, and answers mostly in the same shape.
        self._requests: dict[tuple[int, int, tuple[bytes, ...]], ber.Request] = {}

    def _ask(self, kind: int, oids: Sequence[bytes], max_repetitions: int) -> Conversation[Response]:
        key = (kind, max_repetitions, tuple(oids))
        request = self._requests.get(key)
        if request is None:
            if len(self._requests) >= _REMEMBERED:
                self._requests.clear()
            request = self._requests[key] = ber.Request(kind, self._community, oids, max_repetitions)
        response: Response = yield request
        return response


class _Column:
    """A column of a walk: its rows, and where it goes on."""

    __slots__ = ("bulk", "last", "open", "prefix", "rows", "seen")

    def __init__(self, prefix: bytes, seen: set[bytes] | None) -> None:
        self.prefix = prefix
        #: The last row's identifier behind the prefix.
        self.last = b""
        self.rows: list[VarBind] = []
        self.open = True
        self.bulk = True
        #: Where order means nothing, the identifiers of all rows; else None.
        self.seen = seen

    def oid(self) -> bytes:
        return self.prefix + self.last

    def take(self, varbinds: Sequence[VarBind]) -> None:
        """The next rows, up to one that stands behind the column."""
        for varbind in varbinds:
            if not self._takes(varbind):
                self.open = False
                return

    def _takes(self, varbind: VarBind) -> bool:
        """Append a row, unless it stands behind the column; raises SnmpError if it cannot be the next one."""
        oid, tag, _ = varbind
        if tag in _ENDS:
            return False
        if not oid.startswith(self.prefix):
            # Whatever is behind the column ends it, but something before it is no answer.
            if self.seen is None and not ber.is_after(oid, self.oid()):
                raise SnmpError("malformed", f"{ber.shown(oid)} is not behind {ber.shown(self.oid())}")
            return False
        rest = oid[len(self.prefix) :]
        if self.seen is not None:
            if rest in self.seen:
                raise SnmpError("endless", f"{ber.shown(oid)} comes again")
            self.seen.add(rest)
        elif not ber.is_after(rest, self.last):
            raise SnmpError("endless", f"{ber.shown(oid)} is not behind {ber.shown(self.oid())}")
        self.rows.append(varbind)
        self.last = rest
        return True


class _Walk:
    """How far a walk has come, and what it asks for next."""

    def __init__(
        self,
        columns: Sequence[bytes],
        max_repetitions: int,
        unordered: bool,
        ordered: dict[tuple[bytes, ...], tuple[bytes, ...]],
    ) -> None:
        self._columns = [_Column(prefix, set() if unordered else None) for prefix in columns]
        self._unordered = unordered
        self._ordered = ordered
        self._most = max(max_repetitions, 1)
        #: Values that a reply may hold, if the device has said that there were too many.
        self._room = MOST_ROWS
        self._together = True
        #: What all replies had.
        self._size = 0
        #: What a varbind takes, by the last reply.
        self._bytes: float = max(map(len, columns), default=0) + _VALUE
        self.asked: list[_Column] = []
        self.oids: list[bytes] = []
        self.kind = ber.GET_BULK
        self.repetitions = 1
        #: Why a column has ended before its end.
        self.failure: SnmpError | None = None
        #: How many answers there had been when smaller ones were first asked for.
        self.shortened_at = -1

    def plan(self, payload: int) -> bool:
        """Choose what to ask for next, so that the reply is about as large as `payload`; False at the end."""
        open_ = [column for column in self._columns if column.open]
        self.asked = open_ if self._together else open_[:1]
        if not self.asked:
            return False
        self.oids = [column.oid() for column in self.asked]
        self.kind = ber.GET_BULK if self.asked[0].bulk else ber.GET_NEXT
        room = min(self._room, int((payload - _FRAMING) / self._bytes)) if self.asked[0].bulk else 1
        self.repetitions = max(1, min(self._most, room // len(self.asked)))
        return True

    def expects_more_than(self, payload: int) -> bool:
        return self.repetitions * len(self.asked) * self._bytes + _FRAMING > payload

    def shrink(self, status: int) -> bool:
        """Ask for less the next time; False where there is nothing less than what was asked for.

        What is too big is halved. Any other error is about some column: alone, the others are rid of it.
        """
        asked = self.repetitions * len(self.asked)
        if status == _TOO_BIG and asked > 1:
            self._room = asked // 2
            self._together = self._together and self._room >= len(self.asked)
        elif len(self.asked) > 1:
            self._together = False
        elif self.asked[0].bulk:
            self.asked[0].bulk = False
        else:
            return False
        return True

    def take(self, response: Response) -> None:
        """The rows of a reply: of each column in turn, and perhaps cut off after any of them."""
        varbinds, width = response.varbinds, len(self.asked)
        self._bytes = max(1, (response.size - _FRAMING) / len(varbinds))
        within = self._are_all_within(varbinds)
        for place, column in enumerate(self.asked):
            if within:
                column.rows += varbinds[place::width]
                column.last = column.rows[-1][0][len(column.prefix) :]
            else:
                column.take(varbinds[place::width])
        rows = sum([len(column.rows) for column in self._columns])
        if rows > MOST_ROWS:
            raise SnmpError("endless", f"no end after {rows} rows")
        self._size += response.size
        if self._size > MOST_BYTES:
            raise SnmpError("endless", f"no end after {rows} rows of {self._size} bytes")

    def _are_all_within(self, varbinds: Sequence[VarBind]) -> bool:
        """Whether these are rows of the columns, in order; False also where that needs a closer look.

        So most replies are checked as a whole: looking at each row would be half of a poll's CPU.
        """
        width = len(self.asked)
        if self._unordered or len(varbinds) < width or max(map(_TAG, varbinds)) >= 0x80:
            return False
        asked, oids = tuple(self.oids), tuple(map(_OID, varbinds))
        if self._ordered.get(asked) == oids:
            return True
        before = asked + oids
        if not _sorts_by_bytes(before):
            return False
        first = len(oids) % width
        last = zip(oids[-width:], self.asked[first:] + self.asked[:first], strict=True)
        # Each identifier is behind the one that stands `width` places before it: so all are within if the last are.
        within = all(map(operator.lt, before, oids)) and all(oid.startswith(column.prefix) for oid, column in last)
        if within:
            self._ordered[asked] = oids
        return within

    def varbinds(self) -> list[VarBind]:
        return [varbind for column in self._columns for varbind in column.rows]


def _sorts_by_bytes(oids: Sequence[bytes]) -> bool:
    """Whether the order of these encoded identifiers is surely that of their numbers.

    It is where every number has one byte, and where in all of them each number has as many as in the others.
    """
    joined = b"".join(oids)
    if joined.isascii():
        return True
    size = len(oids[0])
    return len(set(map(len, oids))) == 1 and joined.translate(_GOES_ON) == joined[:size].translate(_GOES_ON) * len(
        oids
    )


def _present(found: dict[bytes, VarBind], oids: Sequence[bytes]) -> list[VarBind]:
    return [found[oid] for oid in dict.fromkeys(oids) if oid in found and found[oid][1] not in ber.ABSENT]
