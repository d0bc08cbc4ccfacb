"""One device from poll to poll: what odd answers cost, what its rows are called, and which modules it has."""

from __future__ import annotations

import asyncio

import pytest

from exporter.snmp.ber import parse_oid
from exporter.snmp.modules import shipped
from tests.snmp.agents import GEN_ERR, GET, GET_BULK, Agent, Asked, Row, Script, run
from tests.snmp.watching import (
    ENTRY,
    NAMES,
    OCTETS,
    aliases,
    in_column,
    own,
    replaced,
    rows,
    uptime,
    watched,
)

#: The greatest float, as net-snmp wraps it into an Opaque: in few digits it is too large for one.
GREATEST = (0x44, b"\x9f\x78\x04\x7f\x7f\xff\xff")


def times(agent: Agent, oid: tuple[int, ...]) -> int:
    """How often it was asked for something in a column, or for a scalar."""
    return sum(in_column(asked, oid) for asked in agent.asked)


# Odd values.


def test_the_greatest_float_is_a_name() -> None:
    """A name that is an Opaque float is written out in digits, the greatest one too."""

    async def test() -> None:
        agent = Agent(replaced(rows("a", "b"), ((*NAMES, 2), *GREATEST)))
        async with agent, watched(agent, own()) as device:
            _, page = await device.poll()
            assert aliases(page) == {"1": "a", "2": "340282350000000000000000000000000000000"}

    run(test())


def test_a_mistake_of_ours_does_not_end_the_polls(caplog: pytest.LogCaptureFixture) -> None:
    """What nobody has thought of costs a poll, is counted as `internal` and logged once; the next polls go on."""
    module = own("    filters: [{oid: 1.3.6.1.4.1.9999.2.1.9, targets: [1.3.6.1.4.1.9999.2.1.1], values: [a]}]")

    async def test() -> None:
        async with Agent(rows("a")) as agent, watched(agent, module) as device:
            assert (await device.poll())[0].failure == ""
            # A pattern that is none is what a check at the load has let through.
            (one,) = module["own"].filters
            (condition,) = one.conditions
            patterns = condition.values
            object.__setattr__(condition, "values", ("a",))
            for count in (1, 2):
                polled, _ = await device.poll()
                assert (polled.failure, polled.page.samples) == ("internal", 0)
                assert polled.errors == {"internal": count}
                assert "AttributeError" in polled.problem
            object.__setattr__(condition, "values", patterns)
            polled, page = await device.poll()
            assert polled.failure == ""
            assert aliases(page) == {"1": "a"}

    run(test())
    (record,) = [record for record in caplog.records if record.name == "exporter.snmp.watch"]
    assert record.exc_info is not None


@pytest.mark.parametrize("value", [(0x02, b""), (0x05, b""), (0x44, b"\x9f\x78\x04\x7f\x80\x00\x00"), GREATEST])
def test_a_row_without_a_proper_value_does_not_pass_a_filter(value: tuple[int, bytes]) -> None:
    """A number of no bytes, a NULL or an odd float in a filter's column keeps its own row out, and no other."""
    module = own("    filters: [{oid: 1.3.6.1.4.1.9999.2.1.9, targets: [1.3.6.1.4.1.9999.2.1.1], values: ['a|c']}]")

    async def test() -> None:
        agent = Agent(replaced(rows("a", "b", "c"), ((*NAMES, 2), *value)))
        async with agent, watched(agent, module) as device:
            polled, page = await device.poll()
            assert polled.failure == ""
            assert [one.labels for one in page.blocks["ownOctets"].samples] != []
            assert set(aliases(page)) == {"1", "3"}

    run(test())


def test_what_is_left_out_for_its_value_is_counted() -> None:
    """A counter of no bytes is no sample; the device's polls count it, all of them together."""

    async def test() -> None:
        agent = Agent(replaced(rows("a", "b"), ((*OCTETS, 2), 0x41, b"")))
        async with agent, watched(agent, own()) as device:
            for count in (1, 2):
                polled, page = await device.poll()
                assert set(aliases(page)) == {"1"}
                assert (polled.failure, polled.malformed) == ("", count)

    run(test())


# Names.


def test_names_are_learnt_again_after_a_restart() -> None:
    """When the device's clock has fallen its ports may have other numbers: the same poll shows today's names."""

    async def test() -> None:
        async with Agent(rows("a", "b", "c")) as agent, watched(agent, own()) as device:
            assert aliases((await device.poll())[1]) == {"1": "a", "2": "b", "3": "c"}
            agent.rows = rows("b", "a", "c", up=1)
            assert aliases((await device.poll())[1]) == {"1": "b", "2": "a", "3": "c"}
            agent.asked.clear()
            agent.rows = replaced(agent.rows, uptime(61))
            assert aliases((await device.poll())[1]) == {"1": "b", "2": "a", "3": "c"}
            assert times(agent, NAMES) == 0

    run(test())


def test_a_new_port_has_its_name_at_once() -> None:
    """A row that the names do not know has them asked for again in the same poll, without any restart."""

    async def test() -> None:
        async with Agent(rows("a")) as agent, watched(agent, own()) as device:
            await device.poll()
            agent.rows = rows("a", "new")
            _, page = await device.poll()
            assert aliases(page) == {"1": "a", "2": "new"}

    run(test())


def test_a_port_that_has_no_name_is_asked_after_once() -> None:
    """A row without any name does not have the names asked for with each poll."""

    async def test() -> None:
        nameless = [row for row in rows("a", "b") if row[0] != (*NAMES, 2)]
        async with Agent(rows("a")) as agent, watched(agent, own()) as device:
            await device.poll()
            agent.rows = nameless
            agent.asked.clear()
            for _ in range(4):
                assert aliases((await device.poll())[1]) == {"1": "a", "2": ""}
            assert times(agent, NAMES) == 1

    run(test())


def refuses_names(agent: Agent, asked: Asked) -> None:
    """Answers but for the names, at which it fails."""
    if in_column(asked, NAMES):
        agent.reply(asked, [], status=GEN_ERR, index=1)
    else:
        agent.reply(asked)


def refuses_the_second_name(agent: Agent, asked: Asked) -> None:
    if in_column(asked, (*NAMES, 2)) or (asked.kind == GET_BULK and in_column(asked, NAMES)):
        agent.reply(asked, [], status=GEN_ERR, index=1)
    else:
        agent.reply(asked)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (refuses_names, {"1": "", "2": "", "3": ""}),
        (refuses_the_second_name, {"1": "a", "2": "b", "3": ""}),
    ],
)
def test_names_that_fail_do_not_take_the_counters_with_them(script: Script, expected: dict[str, str]) -> None:
    """Of a device that fails at a column of names the rows come, by the names it gave; each poll says `refused`."""

    async def test() -> None:
        async with Agent(rows("a", "b", "c"), script) as agent, watched(agent, own()) as device:
            for _ in range(2):
                polled, page = await device.poll()
                assert (polled.failure, aliases(page)) == ("refused", expected)
            # To ask again with each poll would cost more than there is to win.
            assert polled.errors == {"refused": 1}

    run(test())


def unsorted(agent: Agent, asked: Asked) -> None:
    """Ports in an order of its own."""
    order = [3, 1, 2]
    if asked.kind == GET:
        agent.reply(asked)
        return
    oids, found = list(asked.oids), []
    for _ in range(asked.second):
        for place, oid in enumerate(oids):
            port = oid[len(ENTRY) + 1 :]
            at = order.index(port[0]) + 1 if port else 0
            column = oid[len(ENTRY)]
            # Behind a column's last row stands something else.
            oids[place] = (*ENTRY, column, order[at]) if at < len(order) else (*ENTRY, 99, column)
            found += [row for row in agent.rows if row[0] == oids[place]] or [(oids[place], 0x05, b"")]
        if any(oid[len(ENTRY)] == 99 for oid in oids):
            break
    agent.reply(asked, found)


@pytest.mark.parametrize(
    "filters",
    ["", "\n    filters: [{oid: 1.3.6.1.4.1.9999.2.1.9, targets: [1.3.6.1.4.1.9999.2.1.1], values: [.]}]"],
)
def test_names_and_filters_of_an_unsorted_table(filters: str) -> None:
    """`allow_nonincreasing_oids` of a module is for its names and its filters, too."""
    module = own("    allow_nonincreasing_oids: true" + filters)

    async def test() -> None:
        async with Agent(rows("a", "b", "c"), unsorted) as agent, watched(agent, module) as device:
            polled, page = await device.poll()
            assert (polled.failure, aliases(page)) == ("", {"1": "a", "2": "b", "3": "c"})

    run(test())


# Modules.

_SYSTEM = (1, 3, 6, 1, 2, 1, 1)


def cisco(up: float) -> list[Row]:
    load = ((1, 3, 6, 1, 4, 1, 9, 9, 109, 1, 1, 1, 1, 7, 1), 0x42, b"\x07")
    return sorted([((*_SYSTEM, 2, 0), 6, parse_oid("1.3.6.1.4.1.9.1.516")), uptime(up), load])


def fortigate(up: float) -> list[Row]:
    load = ((1, 3, 6, 1, 4, 1, 12356, 101, 4, 1, 3, 0), 0x42, b"\x09")
    return sorted([((*_SYSTEM, 2, 0), 6, parse_oid("1.3.6.1.4.1.12356.101.1.1001")), uptime(up), load])


@pytest.mark.parametrize(("after", "slow_interval"), [(5.0, 3600.0), (5000.0, 0.2)])
def test_another_device_in_the_same_place_has_its_own_modules(after: float, slow_interval: float) -> None:
    """What a device is, is asked again when its clock has fallen, in the same poll, and once in slow_interval."""

    async def test() -> None:
        agent = Agent(cisco(1000))
        async with agent, watched(agent, shipped(), named=False, slow_interval=slow_interval) as device:
            polled, _ = await device.poll()
            assert (polled.modules, polled.cpu) == (("system", "if_mib", "cisco"), 0.07)
            agent.rows = fortigate(after)
            if slow_interval < 1:
                await asyncio.sleep(slow_interval)
            polled, _ = await device.poll()
            assert (polled.modules, polled.cpu) == (("system", "if_mib", "fortinet"), 0.09)

    run(test())


def test_there_is_no_uptime_without_the_clock_that_has_told_it() -> None:
    """Where the module of the host's clock does not come whole, the agent's clock is not taken for the host's."""
    host_clock = (1, 3, 6, 1, 2, 1, 25, 1, 1, 0)
    refused: list[tuple[int, ...]] = []

    def script(agent: Agent, asked: Asked) -> None:
        if any(in_column(asked, oid) for oid in refused):
            agent.reply(asked, [], status=GEN_ERR, index=1 + asked.oids.index(host_clock))
        else:
            agent.reply(asked)

    async def test() -> None:
        modules = {name: shipped()[name] for name in ("system", "host_resources")}
        agent = Agent([uptime(100), (host_clock, 0x43, bytes([1, 0, 0, 0]))], script)
        async with agent, watched(agent, modules) as device:
            assert (await device.poll())[0].uptime == 2**24 / 100
            refused.append(host_clock)
            assert (await device.poll())[0].uptime is None
            refused.clear()
            assert (await device.poll())[0].uptime == 2**24 / 100

    run(test())


def test_what_a_device_has_said_of_itself_in_part_is_asked_again() -> None:
    """A device that has not told all of what it is is asked for that again with the next poll."""

    def unreadable(agent: Agent, asked: Asked) -> None:
        # The description comes, and what else was asked comes as something else.
        if asked.kind == GET and (*_SYSTEM, 1, 0) in asked.oids:
            agent.reply(asked, [((*_SYSTEM, 1, 0), 4, b"a firewall")])
        elif asked.kind == GET and (*_SYSTEM, 2, 0) in asked.oids:
            agent.reply(asked, [((*_SYSTEM, 99, 0), 4, b"nonsense")])
        else:
            agent.reply(asked)

    async def test() -> None:
        agent = Agent(fortigate(1000), unreadable)
        async with agent, watched(agent, shipped(), named=False, timeout=0.1) as device:
            assert "fortinet" not in (await device.poll())[0].modules
            agent.script = lambda agent, asked: agent.reply(asked)
            assert "fortinet" in (await device.poll())[0].modules

    run(test())
