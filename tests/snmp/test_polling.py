"""SNMP in the running exporter: agents on loopback, poller processes, and the page at /metrics/snmp."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from exporter.exposition import snmp as exposition
from exporter.snmp.jobs import Polled
from exporter.snmp.render import Page as RenderedPage
from tests.servers.snmpd import COMMUNITY, Snmpd
from tests.serving import Page, Serving, until
from tests.snmp.agents import Agent, Asked, Row, table

TREE = (1, 3, 6, 1, 4, 1, 9999)
UPTIME = (*TREE, 1, 0)
ENTRY = (*TREE, 2, 1)
NAMES = (*ENTRY, 9)
MODULE = """
modules:
  own:
    get: [1.3.6.1.4.1.9999.1.0]
    walk: [1.3.6.1.4.1.9999.2.1]
    metrics:
      - {name: ownUptime, oid: 1.3.6.1.4.1.9999.1, type: gauge, help: Uptime.}
      - name: ownOctets
        oid: 1.3.6.1.4.1.9999.2.1.1
        type: counter
        help: Octets.
        indexes: [{labelname: port, type: gauge}]
        lookups: [{labels: [port], labelname: alias, oid: 1.3.6.1.4.1.9999.2.1.9, type: DisplayString}]
"""
#: Polls each second; a device that does not answer is given up after 0.4 s.
SNMP = """
snmp:
  interval: 1s
  slow_interval: 1h
  timeout: 200ms
  retries: 1
  workers: {workers}
  auths: {{branch: {{version: 2, community: public}}}}
  modules: [own.yml]
"""


def rows(ports: int, uptime: int = 4711) -> list[Row]:
    """What an agent holds: a scalar, and a counter and a name for each port."""
    names = [((*NAMES, port), 0x04, f"port {port}".encode()) for port in range(1, ports + 1)]
    return [(UPTIME, 0x43, uptime.to_bytes(4, "big")), *table(ENTRY, [1], range(1, ports + 1)), *names]


class Agents:
    """Agents in an event loop of their own, beside the test."""

    def __init__(self, agents: Sequence[Agent]) -> None:
        self.agents = agents
        self._ready, self._done = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for agent in self.agents:
                await group.create_task(agent.__aenter__())
        self._ready.set()
        await asyncio.to_thread(self._done.wait)
        for agent in self.agents:
            await agent.__aexit__()

    def __enter__(self) -> Agents:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def configure(serving: Serving, ports: dict[str, int], workers: int = 1) -> None:
    """Devices at 127.0.0.1, each with the port of its agent."""
    (serving.folder / "own.yml").write_text(MODULE)
    lines = [
        f"  - {{name: {name}, address: 127.0.0.1, site: hq, role: switch, "
        f"snmp: {{auth: branch, port: {port}, modules: [own]}}}}"
        for name, port in ports.items()
    ]
    (serving.folder / "devices.yml").write_text("devices:\n" + "\n".join(lines) + "\n")
    serving.configure(inventory="inventory: [{file: devices.yml}]\n" + SNMP.format(workers=workers))


@contextmanager
def polling(folder: Path, agents: dict[str, Agent], workers: int = 1) -> Iterator[Serving]:
    with Agents(list(agents.values())), Serving(folder) as serving:
        configure(serving, {name: agent.address[1] for name, agent in agents.items()}, workers)
        serving.start_ready()
        yield serving
        assert serving.end() == 0


def snmp_page(serving: Serving, query: str = "") -> Page:
    answer = serving.ask(f"/metrics/snmp{query}")
    assert answer.status == 200
    return Page(answer.text)


def until_polled(serving: Serving, names: set[str]) -> Page:
    found: list[Page] = []

    def polled() -> bool:
        found.append(snmp_page(serving))
        block = found[-1].blocks["ward_snmp_up"]
        return {dict(sample.labels)["device"] for sample in block.samples} >= names

    until(polled)
    return found[-1]


def pollers(serving: Serving) -> set[int]:
    """The poller processes of an exporter."""
    assert serving.process is not None
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if int(fields[1]) == serving.process.pid and b"exporter.snmp.poller" in command:
                found.add(int(entry.name))
    return found


def test_answers_become_samples(tmp_path: Path) -> None:
    """Scalars and rows of a device stand on the page with its labels, and the row's name, in a well-formed page."""
    with polling(tmp_path, {"sw": Agent(rows(3))}) as serving:
        page = until_polled(serving, {"sw"})
        assert page.samples("ownUptime", device="sw", site="hq", role="switch", priority="3") == [4711]
        (first,) = page.samples("ownOctets", port="1", alias="port 1")
        assert (first, len(page.samples("ownOctets", device="sw"))) == (1_000_000, 3)
        assert page.value("ward_snmp_up") == 1
        assert page.value("ward_snmp_partial") == 0
        assert page.value("ward_snmp_samples") == 4
        assert page.value("ward_snmp_retries_total") == 0
        assert page.value("ward_snmp_packets_sent_total") == page.value("ward_snmp_packets_received_total") > 0


def test_a_device_that_names_no_modules_is_asked_what_it_is(tmp_path: Path) -> None:
    """By its sysObjectID a real agent gets its modules; its CPU and memory are told as ratios, with its uptime."""
    with Snmpd() as snmpd, Serving(tmp_path) as serving:
        (serving.folder / "own.yml").write_text(MODULE)
        auth = f"snmp: {{auth: branch, port: {snmpd.port}}}"
        serving.devices({"linux": "127.0.0.1"}, f", {auth}")
        text = SNMP.format(workers=1).replace("public", COMMUNITY)
        serving.configure(inventory="inventory: [{file: devices.yml}]\n" + text)
        serving.start_ready()
        until_polled(serving, {"linux"})
        # The load of its processors shows between two polls.
        until(lambda: "ward_device_cpu_ratio" in snmp_page(serving).blocks)
        page = snmp_page(serving)
        assert page.samples("ifHCInOctets", ifName="lo")[0] > 0
        assert 0 <= page.value("ward_device_cpu_ratio") <= 1
        assert 0 < page.value("ward_device_memory_used_ratio") < 1
        assert page.value("ward_device_uptime_seconds") > 0
        assert serving.end() == 0


def test_a_user_of_version_3(tmp_path: Path) -> None:
    """A device is polled with authentication and privacy; with a wrong password it is down, and it says why."""
    user = "createUser ward SHA-256 authsecret AES privsecret\nrouser ward priv\n"
    with Snmpd(user) as snmpd, Serving(tmp_path) as serving:
        serving.devices({"linux": "127.0.0.1"}, f", snmp: {{auth: core, port: {snmpd.port}, modules: [system]}}")

        def configure(password: str) -> None:
            serving.configure(
                inventory="inventory: [{file: devices.yml}]\n"
                "snmp: {interval: 1s, timeout: 300ms, retries: 1, auths: {core: {version: 3, username: ward, "
                f"auth_protocol: SHA256, password: {password}, "
                "priv_protocol: AES, priv_password: privsecret}}}\n"
            )

        configure("authsecret")
        serving.start_ready()
        assert until_polled(serving, {"linux"}).value("ward_snmp_up") == 1
        assert snmp_page(serving).value("sysUpTime") > 0
        configure("othersecret")
        assert serving.reload().status == 200
        until(lambda: snmp_page(serving).value("ward_snmp_up") == 0)
        assert snmp_page(serving).samples("ward_snmp_errors_total", kind="credentials")[0] >= 1
        said = serving.log.read_text()
        assert "linux by SNMP: " in said
        assert "secret" not in said
        assert serving.end() == 0


def test_a_device_that_is_never_done_is_left_in_time(tmp_path: Path) -> None:
    """One that takes its time with each row keeps nobody waiting: the poll ends before the next one is due."""
    seconds = 0.15

    def script(agent: Agent, asked: Asked) -> None:
        agent.reply(asked, delay=seconds)

    with polling(tmp_path, {"slow": Agent(rows(400), script, most_bytes=484), "fine": Agent(rows(1))}) as serving:
        page = until_polled(serving, {"slow", "fine"})
        assert page.samples("ward_snmp_poll_duration_seconds", device="slow")[0] < 2
        assert page.samples("ward_snmp_up", device="fine") == [1]


def test_names_are_asked_for_seldom(tmp_path: Path) -> None:
    """Counters come each interval, the names of rows once in snmp.slow_interval."""
    agent = Agent(rows(2))
    with polling(tmp_path, {"sw": agent}) as serving:
        until_polled(serving, {"sw"})
        until(lambda: sum(UPTIME in asked.oids for asked in agent.asked) >= 3)
        assert sum(NAMES in asked.oids for asked in agent.asked) == 1
        assert snmp_page(serving).samples("ownOctets", alias="port 2") != []


def test_silence_is_no_value(tmp_path: Path) -> None:
    """A device that falls silent is down on the page, and its values of before are gone; they come back with it."""
    silent = threading.Event()

    def script(agent: Agent, asked: Asked) -> None:
        if not silent.is_set():
            agent.reply(asked)

    with polling(tmp_path, {"sw": Agent(rows(2), script), "other": Agent(rows(1))}) as serving:
        assert until_polled(serving, {"sw", "other"}).samples("ownUptime", device="sw") == [4711]
        silent.set()
        until(lambda: snmp_page(serving).samples("ward_snmp_up", device="sw") == [0])
        page = snmp_page(serving)
        assert page.samples("ownUptime", device="sw") == []
        assert page.samples("ward_snmp_errors_total", device="sw", kind="timeout")[0] >= 1
        assert page.samples("ownUptime", device="other") == [4711]
        silent.clear()
        until(lambda: snmp_page(serving).samples("ownUptime", device="sw") == [4711])


def test_a_part_is_served_and_said_to_be_one(tmp_path: Path) -> None:
    """A device that answers the scalar and then no more: what came is there, and ward_snmp_partial says so."""

    def script(agent: Agent, asked: Asked) -> None:
        if UPTIME in asked.oids or NAMES in asked.oids:
            agent.reply(asked)

    with polling(tmp_path, {"sw": Agent(rows(2), script)}) as serving:
        page = until_polled(serving, {"sw"})
        assert page.value("ward_snmp_up") == page.value("ward_snmp_partial") == 1
        assert page.value("ownUptime") == 4711
        assert "ownOctets" not in page.blocks


def test_a_poller_that_dies_is_replaced(tmp_path: Path) -> None:
    """Killed, a poller process is started again with its devices, and counted; the exporter probes on."""
    with polling(tmp_path, {"a": Agent(rows(1)), "b": Agent(rows(1))}, workers=2) as serving:
        until_polled(serving, {"a", "b"})
        former = pollers(serving)
        assert len(former) == 2
        for pid in former:
            os.kill(pid, signal.SIGKILL)
        until(lambda: len(pollers(serving) - former) == 2)
        at = snmp_page(serving).samples("ward_snmp_last_poll_timestamp_seconds")
        until(
            lambda: all(
                new > old
                for new, old in zip(
                    snmp_page(serving).samples("ward_snmp_last_poll_timestamp_seconds"), at, strict=True
                )
            )
        )
        assert snmp_page(serving).value("ward_snmp_worker_restarts_total") == 2
        assert serving.page().samples("ward_device_up") == [1, 1]


def test_no_process_outlives_the_exporter(tmp_path: Path) -> None:
    """Ended or killed, the exporter leaves no poller behind; without SNMP devices there is none from the start."""
    with Agents([agent := Agent(rows(1))]), Serving(tmp_path) as serving:
        serving.devices({"plain": "127.0.1.1"})
        serving.configure(inventory="inventory: [{file: devices.yml}]\n")
        serving.start_ready()
        assert pollers(serving) == set()
        configure(serving, {"sw": agent.address[1]})
        assert serving.reload().status == 200
        until_polled(serving, {"sw"})
        (pid,) = pollers(serving)
        serving.send(signal.SIGKILL)
        until(lambda: not Path(f"/proc/{pid}").exists())


def test_a_reload_goes_over_to_other_devices(tmp_path: Path) -> None:
    """A new device is polled, one that has left is gone from the page, and one that stays keeps its counters."""
    agents = {"a": Agent(rows(1)), "b": Agent(rows(1)), "c": Agent(rows(1))}
    with polling(tmp_path, agents) as serving:
        until_polled(serving, {"a", "b", "c"})
        sent = snmp_page(serving).samples("ward_snmp_packets_sent_total", device="a")
        configure(serving, {"a": agents["a"].address[1], "new": agents["c"].address[1]})
        assert serving.reload().status == 200
        page = until_polled(serving, {"a", "new"})
        assert page.devices("ward_snmp_up").keys() == {"a", "new"}
        assert page.samples("ward_snmp_packets_sent_total", device="a") >= sent


def test_shards_are_the_page(tmp_path: Path) -> None:
    """Each device stands in exactly one of the parts, with all that it has."""
    agents = {f"sw{number}": Agent(rows(1)) for number in range(6)}
    with polling(tmp_path, agents) as serving:
        until_polled(serving, set(agents))
        parts = [snmp_page(serving, f"?shard={number}/3") for number in range(3)]
        found = [set(part.devices("ownUptime")) if "ownUptime" in part.blocks else set() for part in parts]
        assert sorted(name for part in found for name in part) == sorted(agents)


def test_samples_left_out_are_on_the_page_by_their_reason() -> None:
    """What had its labels taken, was too much, or was no value of its type, is counted for each device."""
    polled = Polled("sw", 1.0, 1.0, 0.1, RenderedPage(), duplicates=1, over_limit=2, malformed=3)
    page = Page(b"".join(exposition.render({"sw": polled}, {"sw": '{device="sw"}'}, 0, 0.0)).decode())
    for reason, count in (("duplicate", 1), ("limit", 2), ("malformed", 3)):
        assert page.samples("ward_snmp_samples_dropped_total", device="sw", reason=reason) == [count]


def test_modules_that_are_wrong_stop_a_reload(tmp_path: Path) -> None:
    """A module file with a mistake, or a module that is not there, is told with its place; what runs goes on."""
    with polling(tmp_path, {"sw": Agent(rows(1))}) as serving:
        until_polled(serving, {"sw"})
        devices = serving.folder / "devices.yml"
        good = devices.read_text()
        devices.write_text(good.replace("[own]", "[owned]"))
        answer = serving.reload()
        assert answer.status == 500
        assert "the device sw asks for the module 'owned'" in answer.text
        devices.write_text(good)
        (serving.folder / "own.yml").write_text("modules: {own: {walk: [1.3.x]}}\n")
        answer = serving.reload()
        assert answer.status == 500
        assert "own.yml:1: modules.own.walk[0]" in answer.text
        assert snmp_page(serving).value("ward_snmp_up") == 1


def test_the_page_is_well_formed(tmp_path: Path) -> None:
    """A name with quotes, newlines and bytes that are no UTF-8 is escaped: the page is read back as one."""
    nasty = b'up"link\\\n\xff'
    table_rows = [row for row in rows(1) if row[0] != (*NAMES, 1)]
    with polling(tmp_path, {"sw": Agent([*table_rows, ((*NAMES, 1), 0x04, nasty)])}) as serving:
        until_polled(serving, {"sw"})
        (sample,) = snmp_page(serving).blocks["ownOctets"].samples
        assert dict(sample.labels)["alias"] == 'up"link\\\n\ufffd'
