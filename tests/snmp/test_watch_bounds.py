"""What one device may take of everybody: time, memory, patience, and a look at where its name leads."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from exporter.errors import PartialWalk
from exporter.snmp import walk
from tests.serving import Serving, until
from tests.snmp.agents import Agent, Asked, run
from tests.snmp.asking import client, encoded
from tests.snmp.test_polling import Agents, configure, snmp_page, until_polled
from tests.snmp.test_polling import rows as polled_rows
from tests.snmp.watching import OCTETS, aliases, own, rows, watched

#: A value as long as a datagram allows.
LONG = bytes(60_000)


# Memory.


def test_a_table_of_long_values_has_an_end() -> None:
    """A walk stops at 16 MB of replies, however few the rows are, and hands over what it has."""

    def script(agent: Agent, asked: Asked) -> None:
        (oid,) = asked.oids
        last = oid[-1] if len(oid) > len(OCTETS) else 0
        agent.asked.clear()
        agent.reply(asked, [((*OCTETS, last + 1), 4, LONG)])

    async def test() -> None:
        async with Agent([], script) as agent, client(agent) as device:
            with pytest.raises(PartialWalk) as caught:
                await device.walk(encoded([OCTETS]), 25)
        assert caught.value.kind == "endless"
        size = sum(len(value) for _, _, value in caught.value.varbinds)
        assert walk.MOST_BYTES - 2 * len(LONG) < size < walk.MOST_BYTES + len(LONG)

    run(test())


def test_many_long_values_asked_for_by_name_have_an_end() -> None:
    """So does a GET, whose many rows a filter may have chosen."""

    def script(agent: Agent, asked: Asked) -> None:
        agent.asked.clear()
        agent.reply(asked, [(asked.oids[0], 4, LONG)])

    async def test() -> None:
        async with Agent([], script) as agent, client(agent) as device:
            with pytest.raises(PartialWalk) as caught:
                await device.get(encoded((*OCTETS, index) for index in range(400)))
        assert caught.value.kind == "endless"
        assert len(caught.value.varbinds) <= walk.MOST_BYTES // len(LONG) + 1

    run(test())


# Time.


def row_by_row(agent: Agent, asked: Asked) -> None:
    """Answers with one row at a time, and takes a while for each."""
    agent.reply(asked, agent.answer(asked)[:1], delay=0.05)


def test_what_came_of_a_slow_device_is_kept() -> None:
    """A device that is not done when its next poll draws near: its scalars and rows until then are there, and it is
    a timeout that is counted; where it is the names that take so long, counters come with the next poll.
    """

    async def test() -> None:
        names = [f"port {number}" for number in range(60)]
        async with Agent(rows(*names), row_by_row) as agent, watched(agent, own(), interval=1.0) as device:
            polled, page = await device.poll()
            assert (polled.failure, polled.errors) == ("timeout", {"timeout": 1})
            assert "when its next poll drew near" in polled.problem
            assert page.samples("sysUpTime") == [100_000]
            assert "ownOctets" not in page.blocks
            assert polled.duration < 1
            agent.asked.clear()
            polled, page = await device.poll()
            assert polled.errors == {"timeout": 2}
            found = aliases(page)
            assert 3 < len(found) < 60
            # Those that did come of the names are not lost either.
            assert found["1"] == "port 0"

    run(test())


def test_a_wait_ends_with_the_poll() -> None:
    """A silent device is given up when its next poll draws near, however patient its module is."""

    def silent(agent: Agent, asked: Asked) -> None:
        pass

    async def test() -> None:
        async with Agent([], silent) as agent, watched(agent, own(), interval=0.5) as device:
            polled, _ = await device.poll()
            assert polled.failure == "timeout"
            assert polled.duration < 1

    run(test())


def test_a_module_has_a_patience_of_its_own() -> None:
    """`timeout` and `retries` of a module count before those of the configuration."""

    def silent(agent: Agent, asked: Asked) -> None:
        pass

    async def test() -> None:
        module = own("    timeout: 50ms\n    retries: 2")
        async with Agent([], silent) as agent, watched(agent, module, timeout=30.0, retries=0) as device:
            polled, _ = await device.poll()
            assert polled.failure == "timeout"
            assert "no answer within 0.05 s, asked 3 times" in polled.problem

    run(test())


# Where its name leads.


def test_a_name_without_an_address_is_counted() -> None:
    """A device whose host name has no address is down, and its polls are counted as `unreachable`."""

    async def test() -> None:
        async with Agent([]) as agent, watched(agent, own(), host="no-such-host.invalid") as device:
            for count in (1, 2):
                polled, _ = await device.poll()
                assert (polled.failure, polled.errors) == ("unreachable", {"unreachable": count})
                assert "no-such-host.invalid has no address" in polled.problem

    run(test())


def test_a_device_that_moves_is_followed(tmp_path: Path) -> None:
    """A host name is looked up again when its device is silent, and at a reload; counters go on counting."""
    hosts = tmp_path / "hosts"

    def lead_to(address: str) -> None:
        hosts.write_text(f"127.0.0.1 localhost\n{address} moved.example\n")

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.2", 0))
        port = free.getsockname()[1]
    silent: list[Agent] = []

    def script(agent: Agent, asked: Asked) -> None:
        if agent not in silent:
            agent.reply(asked)

    first = Agent(polled_rows(1, 222), script, host="127.0.0.2", port=port)
    second = Agent(polled_rows(1, 333), script, host="127.0.0.3", port=port)
    lead_to("127.0.0.2")
    with Agents([first, second]), Serving(tmp_path) as serving:
        configure(serving, {"sw": port})
        devices = serving.folder / "devices.yml"
        devices.write_text(devices.read_text().replace("127.0.0.1", "moved.example"))
        # A file of hosts of its own, for this exporter alone.
        mount = f'mount --bind {hosts} /etc/hosts; exec "$0" "$@"'
        serving.start_ready(prefix=["unshare", "-m", "sh", "-c", mount])
        assert until_polled(serving, {"sw"}).samples("ownUptime") == [222]
        lead_to("127.0.0.3")
        silent.append(first)
        until(lambda: told(serving) == [333])
        sent = snmp_page(serving).value("ward_snmp_packets_sent_total")
        assert sent > len(second.asked) > 0
        silent.clear()
        lead_to("127.0.0.2")
        assert serving.reload().status == 200
        until(lambda: told(serving) == [222])
        assert serving.end() == 0


def told(serving: Serving) -> list[float]:
    page = snmp_page(serving)
    return page.samples("ownUptime") if "ownUptime" in page.blocks else []
