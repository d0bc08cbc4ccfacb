"""Values and whole columns of agents that do as they should, and of those that can do less."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import PartialWalk, SnmpError
from tests.snmp import agents
from tests.snmp.agents import GET, GET_BULK, GET_NEXT, Agent, Asked, Oid, Row, run, table
from tests.snmp.asking import SHORT, as_rows, client, encoded

ENTRY = (1, 3, 6, 1, 2, 1, 2, 2, 1)


def below(rows: Iterable[Row], columns: Iterable[Oid]) -> list[Row]:
    """What a walk of these columns shall bring."""
    every = sorted(rows)
    return [row for column in columns for row in every if row[0][: len(column)] == column and row[0] != column]


def columns(*numbers: int) -> list[Oid]:
    return [(*ENTRY, number) for number in numbers]


# Walks.


def test_a_table_is_walked_all_columns_at_once() -> None:
    """50 rows of 10 columns come in order, column by column, in replies that fit into a frame of Ethernet."""
    rows = table(ENTRY, range(1, 12), range(1, 51))
    wanted = columns(*range(10, 0, -1))

    async def test() -> None:
        async with Agent(rows) as agent, client(agent) as device:
            assert as_rows(await device.walk(encoded(wanted), 25)) == below(rows, wanted)
        assert {asked.kind for asked in agent.asked} == {GET_BULK}
        assert len(agent.asked) == device.traffic.received <= 10
        for asked in agent.asked:
            assert len(agents.message(asked.number, agent.answer(asked))) <= 1472

    run(test())


def test_a_table_that_was_in_order_is_looked_at_again() -> None:
    """A device whose rows were in order, and again, is believed no more than before once they are not."""
    rows = table(ENTRY, [1, 2], range(1, 9))

    async def test() -> None:
        async with Agent(rows) as agent, client(agent) as device:
            for _ in range(3):
                assert as_rows(await device.walk(encoded(columns(1, 2)), 25)) == rows
            first = agent.answer(agent.asked[-1])
            agent.script = lambda agent, asked: agent.reply(asked, [*first[2:4], *first[:2], *first[4:]])
            with pytest.raises(SnmpError, match="is not behind"):
                await device.walk(encoded(columns(1, 2)), 25)

    run(test())


def test_a_narrow_table_is_walked_by_its_repetitions() -> None:
    """A module's max_repetitions is never exceeded, even where more would fit."""
    rows = table(ENTRY, [1], range(1, 101))

    async def test() -> None:
        async with Agent(rows) as agent, client(agent) as device:
            assert as_rows(await device.walk(encoded(columns(1)), 10)) == rows
        assert [asked.second for asked in agent.asked] == [10] * 11

    run(test())


def test_long_values_are_asked_for_in_smaller_numbers() -> None:
    """After a reply that was too large, the next ones are not."""
    rows = [((*ENTRY, 2, index), 4, b"a description " * 10) for index in range(1, 101)]

    async def test() -> None:
        async with Agent(rows) as agent, client(agent) as device:
            assert as_rows(await device.walk(encoded(columns(2)), 50)) == rows
        sizes = [len(agents.message(asked.number, agent.answer(asked))) for asked in agent.asked]
        assert sizes[0] > 1472 >= max(sizes[1:])

    run(test())


def test_columns_may_end_at_different_rows() -> None:
    """Each goes on as long as it has rows, those without any and the one at the end of the device among them."""
    rows = [
        *table(ENTRY, [1], range(1, 41)),
        *table(ENTRY, [3, 4], range(30, 35)),
        *table(ENTRY, [9], range(1, 80)),
    ]
    wanted = columns(1, 2, 3, 4, 9, 10)

    async def test() -> None:
        async with Agent(rows) as agent, client(agent) as device:
            assert as_rows(await device.walk(encoded(wanted), 10)) == below(rows, wanted)
            assert await device.walk([], 10) == []

    run(test())


numbers = st.one_of(st.integers(0, 5), st.integers(100, 150), st.integers(16_000, 17_000), st.just(2**32 - 1))
indexes = st.one_of(st.tuples(numbers), st.tuples(numbers, numbers, numbers))
tables = st.lists(st.tuples(st.sampled_from([1, 2, 3, 200, 20_000]), indexes), max_size=60, unique=True)


@settings(deadline=None)
@given(tables, st.lists(st.sampled_from([1, 2, 3, 200, 20_000]), max_size=4, unique=True), st.integers(1, 30))
def test_any_table_is_walked(cells: list[tuple[int, Oid]], wanted: list[int], repetitions: int) -> None:
    """Indexes of any length, with numbers of one to five bytes, come whole and in the order of their numbers."""
    rows = [((*ENTRY, column, *index), 4, b"x") for column, index in cells]

    async def test() -> None:
        async with Agent(rows) as agent, client(agent) as device:
            found = await device.walk(encoded(columns(*wanted)), repetitions)
            assert as_rows(found) == below(rows, columns(*wanted))

    run(test())


@settings(deadline=None)
@given(st.integers(90, 600), st.integers(1, 6), st.integers(0, 30))
def test_replies_of_any_size_are_taken_as_far_as_they_go(most_bytes: int, width: int, height: int) -> None:
    """An agent whose buffer ends in the midst of a row loses nothing by it."""
    rows = table(ENTRY, range(1, width + 1), range(1, height + 1))

    async def test() -> None:
        async with Agent(rows, most_bytes=most_bytes) as agent, client(agent) as device:
            assert as_rows(await device.walk(encoded(columns(*range(1, width + 1))), 25)) == rows

    run(test())


def refusing(most_values: int, *, bulk: bool = True, status: int = agents.TOO_BIG) -> agents.Script:
    """An agent that gives an error for more than so many values, or for every GETBULK."""

    def script(agent: Agent, asked: Asked) -> None:
        repetitions = asked.second if asked.kind == GET_BULK else 1
        if repetitions * len(asked.oids) > most_values or (asked.kind == GET_BULK and not bulk):
            agent.reply(asked, [(oid, agents.NULL, b"") for oid in asked.oids], status=status)
        else:
            agent.reply(asked)

    return script


@pytest.mark.parametrize("most_values", [20, 7, 3, 1])
def test_an_agent_that_calls_replies_too_big(most_values: int) -> None:
    """The repetitions are halved, then it is a column at a time; what was too big is not asked for again."""
    rows = table(ENTRY, range(1, 6), range(1, 31))

    async def test() -> None:
        async with Agent(rows, refusing(most_values)) as agent, client(agent) as device:
            assert as_rows(await device.walk(encoded(columns(*range(1, 6))), 25)) == rows
        too_big = [asked for asked in agent.asked if asked.second * len(asked.oids) > most_values]
        assert agent.asked[: len(too_big)] == too_big
        assert len(too_big) < 8

    run(test())


@pytest.mark.parametrize("status", [agents.TOO_BIG, agents.GEN_ERR])
def test_an_agent_without_getbulk(status: int) -> None:
    """It is walked by GETNEXT, whatever it calls the error."""
    rows = table(ENTRY, range(1, 4), range(1, 8))

    async def test() -> None:
        async with Agent(rows, refusing(100, bulk=False, status=status)) as agent, client(agent) as device:
            assert as_rows(await device.walk(encoded(columns(1, 2, 3, 4)), 25)) == rows
        assert agent.asked[-1].kind == GET_NEXT
        assert not device.traffic.errors

    run(test())


def test_a_column_that_an_agent_fails_at() -> None:
    """The other columns come whole, and it as far as it goes; the error says which, and that it was refused."""
    rows = table(ENTRY, range(1, 5), range(1, 31))
    broken = (*ENTRY, 2, 20)

    def script(agent: Agent, asked: Asked) -> None:
        found = agent.answer(asked)
        culprits = [place for place, row in enumerate(found) if row[0] == broken]
        if culprits:
            agent.reply(asked, [], status=agents.GEN_ERR, index=culprits[0] % len(asked.oids) + 1)
        else:
            agent.reply(asked, found)

    async def test() -> None:
        async with Agent(rows, script) as agent, client(agent) as device:
            with pytest.raises(PartialWalk, match=r"genErr for 1.3.6.1.2.1.2.2.1.2.19") as caught:
                await device.walk(encoded(columns(1, 2, 3, 4)), 25)
        lost = {(*ENTRY, 2, index) for index in range(20, 31)}
        assert as_rows(caught.value.varbinds) == [row for row in rows if row[0] not in lost]
        assert caught.value.kind == "refused"
        assert device.traffic.errors == {"refused": 1}

    run(test())


def test_an_agent_of_old_says_no_such_name_at_the_end() -> None:
    """As SNMPv1 has it: that ends a column, and is no failure."""
    rows = table(ENTRY, [1, 2], range(1, 6))

    def script(agent: Agent, asked: Asked) -> None:
        found = agent.answer(asked)
        if any(row[1] == agents.END_OF_MIB_VIEW for row in found):
            agent.reply(asked, [], status=agents.NO_SUCH_NAME, index=1)
        else:
            agent.reply(asked, found)

    async def test() -> None:
        async with Agent(rows, script) as agent, client(agent) as device:
            assert as_rows(await device.walk(encoded(columns(1, 2)), 3)) == rows
        assert not device.traffic.errors

    run(test())


@pytest.mark.parametrize("tag", [agents.NO_SUCH_OBJECT, agents.NO_SUCH_INSTANCE, agents.END_OF_MIB_VIEW])
def test_a_column_ends_with_any_sign_of_absence(tag: int) -> None:
    """endOfMibView is what should come; some agents say that there is no such object or instance."""
    rows = table(ENTRY, [1, 2], range(1, 6))

    def script(agent: Agent, asked: Asked) -> None:
        found = agent.answer(asked)
        agent.reply(
            asked,
            [
                (oid, tag, b"") if kind == agents.END_OF_MIB_VIEW else (oid, kind, value)
                for oid, kind, value in found
            ],
        )

    async def test() -> None:
        async with Agent(rows, script) as agent, client(agent) as device:
            assert as_rows(await device.walk(encoded(columns(1, 2, 3)), 4)) == rows

    run(test())


def test_a_way_that_loses_long_replies() -> None:
    """After a timeout shorter ones are asked for, and from then on no more long ones."""
    rows = table(ENTRY, range(1, 11), range(1, 51))
    lost = []

    def script(agent: Agent, asked: Asked) -> None:
        found = agent.answer(asked)
        if len(agents.message(asked.number, found)) > 1000:
            lost.append(asked)
        else:
            agent.reply(asked, found)

    async def test() -> None:
        wanted = encoded(columns(*range(1, 11)))
        async with Agent(rows, script) as agent, client(agent, SHORT, 1) as device:
            assert len(await device.get(encoded([(*ENTRY, 1, 1)]))) == 1
            for _ in range(2):
                assert as_rows(await device.walk(wanted, 25)) == rows
        assert len(lost) == 2
        assert device.traffic.errors == {"timeout": 1}

    run(test())


def test_an_unsorted_table_is_walked_where_that_is_allowed() -> None:
    """Rows come as the device has them, up to the end of the column; without leave it is an error."""
    order = [3, 1, 2, 9, 4]
    rows = table(ENTRY, [1], order)

    def script(agent: Agent, asked: Asked) -> None:
        (oid,) = asked.oids
        place = order.index(oid[-1]) + 1 if len(oid) > len(ENTRY) + 1 else 0
        agent.reply(asked, [*rows, ((*ENTRY, 2, 1), 4, b"")][place : place + asked.second])

    async def test() -> None:
        async with Agent((), script) as agent, client(agent) as device:
            found = await device.walk(encoded(columns(1)), 2, allow_nonincreasing=True)
            assert as_rows(found) == rows
            with pytest.raises(PartialWalk) as caught:
                await device.walk(encoded(columns(1)), 2)
        assert caught.value.kind == "endless"
        assert as_rows(caught.value.varbinds) == [rows[0]]

    run(test())


# GET.


SCALARS: list[Row] = [((1, 3, 6, 1, 2, 1, 1, number, 0), 4, b"value %d" % number) for number in range(1, 100)]


def test_values_come_in_the_order_asked() -> None:
    """Absent ones are left out, and who asks twice is told once."""
    wanted = [SCALARS[7][0], (1, 3, 6, 1, 9, 9, 0), SCALARS[2][0], SCALARS[7][0]]

    async def test() -> None:
        async with Agent(SCALARS) as agent, client(agent) as device:
            assert as_rows(await device.get(encoded(wanted))) == [SCALARS[7], SCALARS[2]]
            assert await device.get([]) == []
            assert await device.get(encoded([(1, 3, 6, 1, 9, 9, 0)])) == []
        assert {asked.kind for asked in agent.asked} == {GET}

    run(test())


def test_null_is_no_value() -> None:
    """As an agent may put it where it has none."""

    async def test() -> None:
        async with Agent([(SCALARS[0][0], agents.NULL, b""), SCALARS[1]]) as agent, client(agent) as device:
            assert as_rows(await device.get(encoded(row[0] for row in SCALARS[:2]))) == [SCALARS[1]]

    run(test())


@pytest.mark.parametrize("script", [agents.honest, refusing(7), refusing(1)])
def test_many_values_are_asked_for_in_several_requests(script: agents.Script) -> None:
    """As many as an agent can answer."""

    async def test() -> None:
        async with Agent(SCALARS, script) as agent, client(agent) as device:
            assert as_rows(await device.get(encoded(row[0] for row in SCALARS))) == SCALARS

    run(test())


def test_a_cut_off_answer_to_get() -> None:
    """What is missing is asked for again."""

    def script(agent: Agent, asked: Asked) -> None:
        agent.reply(asked, agent.answer(asked)[:3])

    async def test() -> None:
        async with Agent(SCALARS, script) as agent, client(agent) as device:
            assert as_rows(await device.get(encoded(row[0] for row in SCALARS[:10]))) == SCALARS[:10]
        assert [len(asked.oids) for asked in agent.asked] == [10, 7, 4, 1]

    run(test())


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize(("status", "errors"), [(agents.NO_SUCH_NAME, {}), (agents.GEN_ERR, {"refused": 1})])
def test_a_value_that_an_agent_fails_at(index: bool, status: int, errors: dict[str, int]) -> None:
    """The others come, whether the agent says which it is or not; noSuchName is but another word for absent."""
    broken = SCALARS[4][0]

    def script(agent: Agent, asked: Asked) -> None:
        if broken in asked.oids:
            agent.reply(asked, status=status, index=asked.oids.index(broken) + 1 if index else 0)
        else:
            agent.reply(asked)

    async def test() -> None:
        async with Agent(SCALARS, script) as agent, client(agent) as device:
            found = as_rows(await device.get(encoded(row[0] for row in SCALARS[:10])))
            assert found == [row for row in SCALARS[:10] if row[0] != broken]
            assert device.traffic.errors == errors
            if errors:
                with pytest.raises(SnmpError, match="genErr") as caught:
                    await device.get(encoded([broken]))
                assert caught.value.kind == "refused"

    run(test())


def test_a_device_that_falls_silent_between_two_requests() -> None:
    """What came before is handed over with the error."""

    def script(agent: Agent, asked: Asked) -> None:
        if len(agent.asked) == 1:
            agent.reply(asked)

    async def test() -> None:
        async with Agent(SCALARS, script) as agent, client(agent, SHORT) as device:
            with pytest.raises(PartialWalk) as caught:
                await device.get(encoded(row[0] for row in SCALARS))
        assert caught.value.kind == "timeout"
        assert 0 < len(caught.value.varbinds) < len(SCALARS)
        assert as_rows(caught.value.varbinds) == SCALARS[: len(caught.value.varbinds)]

    run(test())
