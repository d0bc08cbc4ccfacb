"""Agents that are broken, or mean it: each is told apart, costs little, and what it has said before is kept."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable, Sequence

import pytest

from exporter.errors import BerError, PartialWalk, SnmpError
from exporter.snmp import ber, walk
from tests.snmp import agents
from tests.snmp.agents import Agent, Asked, Oid, Row, Script, run, signed, table, tlv
from tests.snmp.asking import SHORT, as_rows, client, encoded

ENTRY = (1, 3, 6, 1, 2, 1, 2, 2, 1)
FIRST, SECOND, THIRD = ((*ENTRY, number) for number in (1, 2, 3))
ROWS = table(ENTRY, [1, 2, 3], range(1, 41))


async def failing(script: Script, columns: Sequence[Oid] = (FIRST, SECOND), timeout: float = 20.0) -> SnmpError:
    """What a walk of these columns ends with."""
    async with Agent(ROWS, script) as agent, client(agent, timeout) as device:
        with pytest.raises(SnmpError) as caught:
            await device.walk(encoded(columns), 10)
        assert device.traffic.errors == {caught.value.kind: 1}
    return caught.value


# Walks that would never end.


def test_a_table_without_end() -> None:
    """A walk stops at 100,000 rows, says so, and hands over what it has: not more than that and a reply."""

    def script(agent: Agent, asked: Asked) -> None:
        (oid,) = asked.oids
        last = oid[-1] if len(oid) > len(FIRST) else 0
        # More than was asked for, too: as much as a datagram holds.
        agent.reply(asked, [((*FIRST, index), 2, b"\1") for index in range(last + 1, last + 2501)])

    async def test() -> None:
        error = await failing(script, [FIRST])
        assert (error.kind, str(error)) == ("endless", "no end after 102500 rows")
        assert isinstance(error, PartialWalk)
        assert walk.MOST_ROWS < len(error.varbinds) <= walk.MOST_ROWS + 2500
        assert "0x" not in repr(error)
        assert len(repr(error)) < 100

    run(test())


def forever(rows: Sequence[Row]) -> Script:
    """An agent that answers every GETBULK with the same rows."""

    def script(agent: Agent, asked: Asked) -> None:
        agent.reply(asked, rows)

    return script


@pytest.mark.parametrize(
    "indexes",
    [[1, 2, 2], [1, 2, 1], [1, 300, 200], [300, 16_384, 300], [16_384, 300], [1, 2], [127, 128, 127]],
    ids=str,
)
def test_rows_that_do_not_increase(indexes: list[int]) -> None:
    """Whether they stand still, turn back or go in circles: the walk ends where they do, with the rows before."""
    rows = [((*FIRST, index), 2, b"\1") for index in indexes]
    good = [row for place, row in enumerate(rows) if not place or row[0] > rows[place - 1][0]]

    async def test() -> None:
        error = await failing(forever(rows), [FIRST])
        assert error.kind == "endless"
        assert "is not behind 1.3.6.1.2.1.2.2.1.1." in str(error)
        assert isinstance(error, PartialWalk)
        assert as_rows(error.varbinds) == good

    run(test())


def test_circles_end_where_order_means_nothing() -> None:
    """Even with leave to be unsorted, no row may come twice."""
    rows = [((*FIRST, index), 2, b"\1") for index in (5, 3, 9)]

    async def test() -> None:
        async with Agent((), forever(rows)) as agent, client(agent) as device:
            with pytest.raises(PartialWalk, match=r"1\.5 comes again") as caught:
                await device.walk(encoded([FIRST]), 3, allow_nonincreasing=True)
        assert caught.value.kind == "endless"
        assert as_rows(caught.value.varbinds) == rows
        assert len(agent.asked) == 2

    run(test())


def test_a_device_that_sends_nothing_of_what_was_asked() -> None:
    """A reply without a single row is asked for in ever smaller pieces, and then is an error."""

    async def test() -> None:
        error = await failing(forever([]))
        assert (error.kind, str(error)) == ("malformed", "a walk is answered with nothing")

    run(test())


# Answers to other questions.


def other_columns(agent: Agent, asked: Asked) -> None:
    """The columns that were asked for, in each other's places."""
    agent.reply(asked, agent.answer(asked._replace(oids=asked.oids[::-1])))


def columns_before(agent: Agent, asked: Asked) -> None:
    """The rows of a column that stands before the one that was asked for."""
    agent.reply(asked, [((*ENTRY[:-1], 0, index), 2, b"\1") for index in range(asked.second * len(asked.oids))])


def column_by_column(agent: Agent, asked: Asked) -> None:
    """The right rows, but all of the first column, then all of the second."""
    agent.reply(asked, sorted(agent.answer(asked)))


@pytest.mark.parametrize("script", [other_columns, columns_before, column_by_column])
def test_other_columns_than_asked(script: Script) -> None:
    """They are not taken for the end of the table, nor for the values of the column asked for."""

    async def test() -> None:
        error = await failing(script)
        assert error.kind == "malformed"
        assert "is not behind" in str(error)
        if isinstance(error, PartialWalk):
            found = as_rows(error.varbinds)
            assert found == [row for row in ROWS if row in found]

    run(test())


def test_other_values_than_asked() -> None:
    """A GET that is answered with what nobody asked for has no value."""

    async def test() -> None:
        async with Agent(ROWS, forever(ROWS[5:6])) as agent, client(agent) as device:
            with pytest.raises(SnmpError, match="other values") as caught:
                await device.get(encoded([ROWS[0][0], ROWS[1][0]]))
        assert caught.value.kind == "malformed"

    run(test())


@pytest.mark.parametrize("index", [-(2**31), -1, 0, 3, 2**31 - 1])
@pytest.mark.parametrize("status", [-1, 1, 2, 5, 19, 2**31 - 1])
def test_errors_that_make_no_sense(status: int, index: int) -> None:
    """An error of any number, about a value that was not asked for, ends a GET and a walk after a few requests."""

    def script(agent: Agent, asked: Asked) -> None:
        agent.reply(asked, [], status=status, index=index)

    async def test() -> None:
        async with Agent((), script) as agent, client(agent) as device:
            for asking in (device.get(encoded([FIRST, SECOND])), device.walk(encoded([FIRST, SECOND]), 10)):
                if status == agents.NO_SUCH_NAME:
                    assert await asking == []
                else:
                    with pytest.raises(SnmpError) as caught:
                        await asking
                    assert caught.value.kind == "refused"
        assert len(agent.asked) < 25

    run(test())


# Datagrams that are hardly any.


def damaged(damage: Callable[[bytes], bytes]) -> Script:
    """An agent that answers two requests well, and all others with damage."""

    def script(agent: Agent, asked: Asked) -> None:
        whole = agents.message(asked.number, agent.answer(asked))
        agent.send(asked, whole if len({one.number for one in agent.asked}) <= 2 else damage(whole))

    return script


LONG: Oid = (*FIRST, *[1] * 60_000)


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[:-1],
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:20],
        lambda whole: whole.replace(b"\x30", b"\x31"),
        lambda whole: agents.message(agents.read_request(whole).number, [(LONG, 2, b"\1")]),
        lambda whole: tlv(0x30, whole[2:30], b"\x30\x80" * 30_000),
    ],
    ids=["last byte", "half", "header", "tags", "60,000 numbers", "nested"],
)
def test_datagrams_that_cannot_be_read(damage: Callable[[bytes], bytes]) -> None:
    """They are malformed, soon, and the rows before them are kept."""

    async def test() -> None:
        began = time.process_time()
        error = await failing(damaged(damage), timeout=SHORT)
        assert error.kind == "malformed"
        assert isinstance(error, PartialWalk)
        assert as_rows(error.varbinds) == [
            row for row in ROWS if row[0][:-1] in (FIRST, SECOND) and row[0][-1] <= 20
        ]
        assert time.process_time() - began < 5

    run(test())


@pytest.mark.parametrize(
    "broken",
    [b"\x2b\x06\x01\x02\x01\x02\x02\x01\x01\x90\x80\x80\x80\x00", b"\x2b\x06\x01\x02\x01\x02\x02\x01\x01\x81"],
    ids=["33 bits", "no end"],
)
def test_an_identifier_that_is_none(broken: bytes) -> None:
    """It cannot be put into any order: the walk ends, malformed."""

    def script(agent: Agent, asked: Asked) -> None:
        varbind = tlv(0x30, tlv(6, broken), tlv(2, b"\1"))
        pdu = tlv(0xA2, tlv(2, signed(asked.number)), b"\2\1\0", b"\2\1\0", tlv(0x30, varbind))
        agent.send(asked, tlv(0x30, b"\2\1\1", tlv(4, b"public"), pdu))

    async def test() -> None:
        error = await failing(script, [FIRST])
        assert error.kind == "malformed"
        assert "in an identifier" in str(error) or "identifier ends" in str(error)

    run(test())


def test_numbers_of_no_bytes_and_of_too_many() -> None:
    """They cross the walk as the bytes that they are; who reads them as numbers is told that they are none."""
    rows = [((*FIRST, index), 0x41, value) for index, value in enumerate([b"", b"\1" * 10, b"\0" * 1000, b"\7"], 1)]

    async def test() -> None:
        async with Agent(rows) as agent, client(agent) as device:
            found = await device.walk(encoded([FIRST]), 10)
        assert as_rows(found) == rows
        for _, _, value in found[:3]:
            with pytest.raises(BerError):
                ber.unsigned(value)
        assert ber.unsigned(found[3][2]) == 7

    run(test())


# Devices that come and go.


def silent_from(count: int, to: float) -> Script:
    """An agent that answers some requests and then none, until so many tries have been made."""

    def script(agent: Agent, asked: Asked) -> None:
        if not count < len(agent.asked) <= to:
            agent.reply(asked)

    return script


@pytest.mark.parametrize("count", [1, 3])
def test_a_device_that_reboots_in_a_walk_and_does_not_come_back_in_time(count: int) -> None:
    """The walk is a timeout that carries the rows from before, at whatever row it was."""

    async def test() -> None:
        error = await failing(silent_from(count, 1e9), timeout=SHORT)
        assert error.kind == "timeout"
        assert isinstance(error, PartialWalk)
        assert as_rows(error.varbinds) == [
            row for row in ROWS if row[0][:-1] in (FIRST, SECOND) and row[0][-1] <= 10 * count
        ]

    run(test())


def test_a_device_that_reboots_in_a_walk_and_comes_back() -> None:
    """The walk goes on where it was, with what the device then has: here with one column less, and new rows."""

    def script(agent: Agent, asked: Asked) -> None:
        if len(agent.asked) == 3:
            agent.rows = sorted([row for row in ROWS if row[0][:-1] == FIRST] + table(ENTRY, [1], [77]))
        if not 3 <= len(agent.asked) <= 5:
            agent.reply(asked)

    async def test() -> None:
        async with Agent(ROWS, script) as agent, client(agent, SHORT, 5) as device:
            found = as_rows(await device.walk(encoded([FIRST, SECOND]), 10))
        assert [row[0] for row in found if row[0][:-1] == FIRST] == [
            (*FIRST, index) for index in [*range(1, 41), 77]
        ]
        assert [row[0] for row in found if row[0][:-1] == SECOND] == [(*SECOND, index) for index in range(1, 21)]
        assert device.traffic.retries == 3
        assert not device.traffic.errors

    run(test())


def test_a_device_that_answers_every_second_request() -> None:
    """A whole walk of it succeeds, at the price of a retry for each request."""

    def script(agent: Agent, asked: Asked) -> None:
        if len(agent.asked) % 2 == 0:
            agent.reply(asked)

    async def test() -> None:
        async with Agent(ROWS, script) as agent, client(agent, SHORT / 4, 3) as device:
            found = as_rows(await device.walk(encoded([FIRST, SECOND, THIRD]), 20))
        assert found == ROWS
        assert device.traffic.retries == device.traffic.received == len(agent.asked) / 2

    run(test())


def test_late_answers_do_not_disturb_what_comes_after_them() -> None:
    """A device that answers each try, all of them late, is walked as if it were merely slow."""

    def script(agent: Agent, asked: Asked) -> None:
        agent.reply(asked, delay=1.5 * SHORT)

    async def test() -> None:
        async with Agent(ROWS, script) as agent, client(agent, SHORT, 3) as device:
            assert as_rows(await device.walk(encoded([FIRST, SECOND, THIRD]), 20)) == ROWS
        assert device.traffic.retries > 0

    run(test())


def test_a_hostile_device_does_not_hold_up_another() -> None:
    """While one floods the sockets with nonsense, the other is walked."""

    def flood(agent: Agent, asked: Asked) -> None:
        for _ in range(200):
            agent.send(asked, b"\x30\x82" + bytes(1000))

    async def test() -> None:
        async with Agent(ROWS, flood) as bad, Agent(ROWS) as good, client(bad, SHORT) as one:
            other = walk.V2Client(one._session, one._agent._replace(address=good.address), b"public")
            walks = await asyncio.gather(
                one.walk(encoded([FIRST]), 10),
                other.walk(encoded([FIRST, SECOND, THIRD]), 5),
                return_exceptions=True,
            )
        assert isinstance(walks[0], SnmpError)
        assert walks[0].kind == "malformed"
        assert not isinstance(walks[1], BaseException)
        assert as_rows(walks[1]) == ROWS

    run(test())


def test_errors_of_a_walk_do_not_tell_the_community() -> None:
    """Neither their text does, nor a traceback that shows every variable on the way."""

    async def test() -> None:
        async with Agent(ROWS, forever([])) as agent, client(agent) as device:
            secret = walk.V2Client(device._session, device._agent, b"a-secret")
            with pytest.raises(SnmpError) as caught:
                await secret.walk(encoded([FIRST]), 10)
        shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
        assert "a-secret" not in "".join(shown)

    run(test())
