"""Requests and answers over real sockets: whom an answer belongs to, how often is asked, and how much at once."""

from __future__ import annotations

import asyncio
import socket
import time
import traceback
from collections.abc import Coroutine
from typing import Any

import pytest

from exporter.errors import SnmpError
from exporter.snmp import ber, session
from exporter.snmp.session import Session, Traffic
from exporter.snmp.walk import V2Client
from tests.snmp.agents import NULL, Agent, Asked, honest, message, run, table, tlv
from tests.snmp.asking import NEVER, SHORT, as_rows, encoded

OID = (1, 3, 6, 1, 2, 1, 2, 2, 1, 10, 1)
ROWS = table((1, 3, 6, 1, 2, 1, 2, 2, 1), [10], range(1, 4))


def asking(oid: tuple[int, ...] = OID) -> ber.Request:
    return ber.Request(ber.GET, b"public", [ber.encode_oid(oid)])


def at(agent: Agent, timeout: float = NEVER, retries: int = 0) -> session.Agent:
    return session.Agent(agent.address, timeout, retries)


def value(response: ber.Response) -> int:
    ((_, _, content),) = response.varbinds
    return ber.unsigned(content)


async def refused(asked: Coroutine[Any, Any, ber.Response]) -> SnmpError:
    with pytest.raises(SnmpError) as caught:
        await asked
    return caught.value


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_agent_answers(host: str) -> None:
    """One request, one answer, over IPv4 and IPv6."""

    async def test() -> None:
        traffic = Traffic()
        async with Agent(ROWS, host=host) as agent:
            with Session(10) as snmp:
                response = await snmp.ask(session.Agent.at(host, agent.address[1]), asking(), traffic)
        assert value(response) == 10_000_000
        assert traffic == Traffic(sent=1, received=1)
        assert snmp.foreign == 0

    run(test())


def test_a_device_that_answers_every_second_request() -> None:
    """Each question is asked again, and answered."""

    def script(agent: Agent, asked: Asked) -> None:
        if len(agent.asked) % 2 == 0:
            agent.reply(asked)

    async def test() -> None:
        traffic = Traffic()
        async with Agent(ROWS, script) as agent:
            with Session(10) as snmp:
                for _ in range(3):
                    assert value(await snmp.ask(at(agent, SHORT, 2), asking(), traffic)) == 10_000_000
        assert traffic == Traffic(sent=6, received=3, retries=3)

    run(test())


def test_an_answer_after_the_timeout_counts() -> None:
    """The number is the same over retries: the late answer to the first try is taken, once."""

    def script(agent: Agent, asked: Asked) -> None:
        agent.reply(asked, delay=1.5 * SHORT)

    async def test() -> None:
        traffic = Traffic()
        async with Agent(ROWS, script) as agent:
            with Session(10) as snmp:
                began = time.monotonic()
                assert value(await snmp.ask(at(agent, SHORT, 3), asking(), traffic)) == 10_000_000
                assert time.monotonic() - began >= 1.5 * SHORT
                while not snmp.foreign:  # the answers to the other tries
                    await asyncio.sleep(SHORT / 10)
        assert len({asked.number for asked in agent.asked}) == 1
        assert traffic.received == 1
        assert traffic.retries == len(agent.asked) - 1 >= 1
        assert not traffic.errors

    run(test())


def test_a_silent_device() -> None:
    """It is asked as often as said, then given up, with the numbers to show for it."""

    async def test() -> None:
        traffic = Traffic()
        async with Agent(ROWS, lambda *_: None) as agent:
            with Session(10) as snmp:
                began = time.monotonic()
                error = await refused(snmp.ask(at(agent, SHORT, 2), asking(), traffic))
                assert time.monotonic() - began >= 3 * SHORT
        assert (error.kind, str(error)) == ("timeout", "no answer within 0.2 s, asked 3 times")
        assert len(agent.asked) == 3
        assert traffic == Traffic(sent=3, retries=2, errors=traffic.errors)
        assert traffic.errors == {"timeout": 1}

    run(test())


def test_an_answer_with_another_number_is_not_ours() -> None:
    """Not even from the right address: it may be to somebody else's request, or forged."""

    def script(agent: Agent, asked: Asked) -> None:
        agent.reply(asked, number=asked.number % (2**31 - 1) + 1)

    async def test() -> None:
        async with Agent(ROWS, script) as agent:
            with Session(10) as snmp:
                assert (await refused(snmp.ask(at(agent, SHORT), asking(), Traffic()))).kind == "timeout"
                assert snmp.foreign == 1

    run(test())


def test_an_answer_from_another_address_is_not_ours() -> None:
    """It is not taken, and the error says where it came from, for it may be the device's other address."""

    def script(agent: Agent, asked: Asked) -> None:
        agent.reply(asked, elsewhere=True)

    async def test() -> None:
        async with Agent(ROWS, script) as agent:
            with Session(10) as snmp:
                error = await refused(snmp.ask(at(agent, SHORT), asking(), Traffic()))
                assert error.kind == "timeout"
                assert "came from 127.0.0.2 port" in str(error)
                assert snmp.foreign == 1

    run(test())


V1 = tlv(0x30, tlv(2, b"\0"), tlv(4, b"public"), tlv(0xA2, tlv(2, b"\1"), tlv(2, b"\0"), tlv(2, b"\0"), tlv(0x30)))


@pytest.mark.parametrize("nonsense", [b"", b"hello", V1, b"\x30\x82" + b"\xff" * 60_000])
def test_nonsense_does_not_end_a_wait(nonsense: bytes) -> None:
    """The answer behind it counts; if there is none, the error says what came instead."""

    def script(agent: Agent, asked: Asked) -> None:
        agent.send(asked, nonsense)
        if len(agent.asked) == 1:
            agent.reply(asked, delay=SHORT / 10)

    async def test() -> None:
        async with Agent(ROWS, script) as agent:
            with Session(10) as snmp:
                assert value(await snmp.ask(at(agent), asking(), Traffic())) == 10_000_000
                error = await refused(snmp.ask(at(agent, SHORT), asking(), Traffic()))
        assert error.kind == "malformed"
        assert "is no answer" in str(error)

    run(test())


def test_an_answer_that_is_cut_off() -> None:
    """Its number can be read, the rest cannot: it counts as malformed, however often it comes."""

    def script(agent: Agent, asked: Asked) -> None:
        whole = message(asked.number, ROWS)
        agent.send(asked, b"\x30\x82\1\0" + whole[2:-5])

    async def test() -> None:
        traffic = Traffic()
        async with Agent(ROWS, script) as agent:
            with Session(10) as snmp:
                error = await refused(snmp.ask(at(agent, SHORT, 1), asking(), traffic))
        assert error.kind == "malformed"
        assert traffic == Traffic(sent=2, retries=1, errors=traffic.errors)
        assert traffic.errors == {"malformed": 1}

    run(test())


def closed_port(family: socket.AddressFamily, host: str) -> int:
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_icmp_ends_a_wait_at_once(family: socket.AddressFamily, host: str) -> None:
    """Where no agent listens, the host says so, and nobody waits for the timeout."""

    async def test() -> None:
        traffic = Traffic()
        with Session(10) as snmp:
            silent = session.Agent.at(host, closed_port(family, host), NEVER, 5)
            error = await refused(snmp.ask(silent, asking(), traffic))
        assert (error.kind, str(error)) == ("unreachable", "ICMP: Connection refused")
        assert (traffic.sent, traffic.errors) == (1, {"unreachable": 1})

    run(test())


def test_icmp_about_one_device_does_not_touch_another() -> None:
    """The kernel tells errors to whoever uses the socket next; the others' requests go out all the same."""

    async def test() -> None:
        good, bad = Traffic(), Traffic()
        async with Agent(ROWS) as agent:
            silent = session.Agent.at("127.0.0.1", closed_port(socket.AF_INET, "127.0.0.1"), NEVER)
            with Session(200, each=100) as snmp:
                pairs = [
                    asyncio.ensure_future(one)
                    for _ in range(50)
                    for one in (refused(snmp.ask(silent, asking(), bad)), snmp.ask(at(agent), asking(), good))
                ]
                found = await asyncio.gather(*pairs)
        assert {error.kind for error in found[::2]} == {"unreachable"}
        assert [value(response) for response in found[1::2]] == [10_000_000] * 50
        assert good == Traffic(sent=50, received=50)

    run(test())


def test_what_cannot_be_sent_is_unreachable() -> None:
    """The kernel refuses a broadcast address: that is told at once, in its words."""

    async def test() -> None:
        with Session(10) as snmp:
            error = await refused(snmp.ask(session.Agent.at("127.255.255.255", 161), asking(), Traffic()))
        assert (error.kind, str(error)) == ("unreachable", "cannot be sent to: Permission denied")

    run(test())


@pytest.mark.parametrize(("limit", "each", "expected"), [(3, 10, 3), (10, 2, 4), (10, 1, 2)])
def test_the_requests_under_way_are_bounded(limit: int, each: int, expected: int) -> None:
    """No more than `limit` are under way in all, and no more than `each` at one device, and all are answered."""
    under_way = most = 0

    def script(agent: Agent, asked: Asked) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        asyncio.get_running_loop().call_later(SHORT / 10, answer, agent, asked)

    def answer(agent: Agent, asked: Asked) -> None:
        nonlocal under_way
        under_way -= 1
        agent.reply(asked)

    async def test() -> None:
        async with Agent(ROWS, script) as one, Agent(ROWS, script) as other:
            with Session(limit, each) as snmp:
                asks = [snmp.ask(at(agent), asking(), Traffic()) for _ in range(10) for agent in (one, other)]
                assert [value(response) for response in await asyncio.gather(*asks)] == [10_000_000] * 20
        assert most == expected

    run(test())


def test_who_gives_up_leaves_nothing_behind() -> None:
    """A request that is cancelled makes room for others, and its answer is nobody's any more."""

    async def test() -> None:
        heard = asyncio.Event()

        def script(agent: Agent, asked: Asked) -> None:
            heard.set()
            honest(agent, asked) if len(agent.asked) > 1 else agent.reply(asked, delay=SHORT)

        async with Agent(ROWS, script) as agent:
            with Session(1, 1) as snmp:
                first = asyncio.ensure_future(snmp.ask(at(agent), asking(), Traffic()))
                await heard.wait()
                first.cancel()
                assert value(await snmp.ask(at(agent), asking(), Traffic())) == 10_000_000
                assert first.cancelled()
                while not snmp.foreign:
                    await asyncio.sleep(SHORT / 10)

    run(test())


def test_closing_ends_what_is_under_way() -> None:
    """Nobody waits for an answer that cannot come any more, and who asks later is told the same."""

    async def test() -> None:
        async with Agent(ROWS, lambda *_: None) as agent:
            with Session(10) as snmp:
                asks = [asyncio.ensure_future(refused(snmp.ask(at(agent), asking(), Traffic()))) for _ in range(3)]
                await asyncio.sleep(0)
            assert {(await one).kind for one in asks} == {"unreachable"}
            assert (await refused(snmp.ask(at(agent), asking(), Traffic()))).kind == "unreachable"

    run(test())


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1.2", "", "::1::"])
def test_devices_are_asked_by_address(host: str) -> None:
    """No name is looked up here: that would stop the loop."""
    with pytest.raises(ValueError, match="no IP address"):
        session.Agent.at(host)


def test_addresses_are_compared_as_the_kernel_writes_them() -> None:
    """However an address is spelled in the inventory, answers from it are known."""
    assert session.Agent.at("0:0::0001", 161).address == ("::1", 161, 0, 0)
    assert session.Agent.at("::ffff:7f00:1").address[0] == "::ffff:127.0.0.1"


def test_errors_do_not_tell_the_community() -> None:
    """Neither their text does, nor a traceback that shows every variable on the way."""

    async def test() -> None:
        request = ber.Request(ber.GET, b"a-secret", [ber.encode_oid(OID)])
        async with Agent(ROWS, lambda *_: None) as agent:
            with Session(10) as snmp:
                error = await refused(snmp.ask(at(agent, SHORT), request, Traffic()))
        shown = traceback.TracebackException.from_exception(error, capture_locals=True).format()
        assert "a-secret" not in "".join(shown)
        assert "a-secret" not in repr(request)
        assert "s3cret" not in repr(ber.decode(message(1, [(OID, NULL, b"")]).replace(b"public", b"s3cret")))

    run(test())


def test_each_request_of_a_conversation_has_a_number_of_its_own() -> None:
    """So an answer that comes twice, or late, is not taken for that of the next request."""

    def script(agent: Agent, asked: Asked) -> None:
        agent.reply(asked)
        agent.reply(asked)

    def steps() -> session.Conversation[list[int]]:
        found = []
        for row in ROWS:
            response = yield asking(row[0])
            found.append(value(response))
        return found

    async def test() -> None:
        async with Agent(ROWS, script) as agent:
            with Session(10) as snmp:
                found = await snmp.converse(at(agent), steps(), Traffic())
                while snmp.foreign < len(ROWS):
                    await asyncio.sleep(SHORT / 10)
        assert found == [10_000_000, 10_000_001, 10_000_002]
        assert len({asked.number for asked in agent.asked}) == len(ROWS)

    run(test())


def test_what_goes_wrong_in_a_conversation_is_told_to_who_began_it() -> None:
    """An error in it is raised there, whatever it is, and others go on."""

    def steps() -> session.Conversation[None]:
        yield asking()
        raise LookupError("in the midst")

    async def test() -> None:
        async with Agent(ROWS) as agent:
            with Session(1) as snmp:
                with pytest.raises(LookupError, match="in the midst"):
                    await snmp.converse(at(agent), steps(), Traffic())
                assert value(await snmp.ask(at(agent), asking(), Traffic())) == 10_000_000

    run(test())


def test_two_clients_of_a_session_do_not_mix() -> None:
    """Many walks at once, of two devices with different values, each bring their own."""
    entry = OID[:-2]
    first, second = table(entry, [1, 2], range(1, 60)), table(entry, [1, 2], range(500, 640))
    below = encoded([(*entry, 1), (*entry, 2)])

    async def test() -> None:
        async with Agent(first) as one, Agent(second) as other:
            with Session(20, each=5) as snmp:
                devices = [V2Client(snmp, at(agent, 20), b"public") for agent in (one, other)]
                walks = [device.walk(below, 9) for _ in range(10) for device in devices]
                found = [as_rows(varbinds) for varbinds in await asyncio.gather(*walks)]
        assert found == [first, second] * 10

    run(test())
