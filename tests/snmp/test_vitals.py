"""Load, memory and uptime of every vendor's devices in the same units, and of devices that say odd things."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.snmp import ber, session
from exporter.snmp.ber import parse_oid
from exporter.snmp.modules import shipped
from exporter.snmp.session import Session
from exporter.snmp.vitals import _COLUMNS, Reading, Vitals, is_told_by
from exporter.snmp.walk import V2Client
from tests.servers import Snmpd
from tests.snmp.recorded import Recorded, integer, octets, varbinds

P = "1.3.6.1.4.1"
CPM, POOL, ENHANCED = f"{P}.9.9.109.1.1.1.1", f"{P}.9.9.48.1.1.1", f"{P}.9.9.221.1.1.1.1"
HR, UCD = "1.3.6.1.2.1.25", f"{P}.2021"
TICKS = 0x43
DAY = 86_400.0


def at(base: str, numbers: dict[str, int]) -> list[Recorded]:
    """Gauges by what stands behind a common beginning."""
    return [integer(f"{base}.{rest}", number, 0x42) for rest, number in numbers.items()]


def storage(row: int, kind: str, size: int, used: int) -> list[Recorded]:
    return [
        (f"{HR}.2.3.1.2.{row}", ber.OBJECT_ID, parse_oid(f"{HR}.2.1.{kind}")),
        integer(f"{HR}.2.3.1.5.{row}", size),
        integer(f"{HR}.2.3.1.6.{row}", used),
    ]


CPU = [
    ("Cisco, several processors", at(CPM, {"7.1": 12, "7.2": 80, "8.1": 5, "8.2": 6, "6.1": 99}), 0.8),
    ("Cisco, 5 minutes only", at(CPM, {"8.1": 5}), 0.05),
    ("NX-OS", at(f"{P}.9.9.305.1.1", {"1.0": 33, "2.0": 61}), 0.33),
    ("Juniper", at(f"{P}.2636.3.1.13.1", {"8.9.1.0.0": 17, "8.2.1.0.0": 0}), 0.17),
    ("FortiGate", at(f"{P}.12356.101.4.1", {"3.0": 3}), 0.03),
    ("Huawei", at(f"{P}.2011.5.25.31.1.1.1.1", {"5.67108867": 21, "5.67108868": 0}), 0.21),
    ("H3C", at(f"{P}.25506.2.6.1.1.1.1", {"6.212": 8, "6.213": 65535}), 0.08),
    ("ProCurve", at(f"{P}.11.2.14.11.5.1.9.6", {"1.0": 44}), 0.44),
    ("Check Point", at(f"{P}.2620.1.6.7", {"5.1.5.1.0": 10, "5.1.5.2.0": 30, "2.4.0": 99}), 0.2),
    ("Check Point, no table", at(f"{P}.2620.1.6.7", {"2.4.0": 9}), 0.09),
    ("HOST-RESOURCES", at(f"{HR}.3.3.1.2", {"196608": 10, "196609": 30}), 0.2),
    ("nothing", [], None),
    ("out of range", at(CPM, {"7.1": 4_294_967_295}), None),
]
MEMORY = [
    ("IOS XE", [*at(CPM, {"12.7": 3000, "13.7": 1000}), *at(POOL, {"5.1": 1, "6.1": 9})], 0.75),
    ("IOS", at(POOL, {"5.1": 200, "6.1": 600, "5.2": 99, "6.2": 1, "5.16": 999, "6.16": 1}), 0.25),
    ("ASA", at(ENHANCED, {"18.1.1": 300, "20.1.1": 100, "18.1.6": 9, "20.1.6": 1, "7.1.1": 1, "8.1.1": 9}), 0.75),
    ("older ASA", at(ENHANCED, {"7.1.1": 1, "8.1.1": 9}), 0.1),
    ("pools of other numbers", at(POOL, {"5.6": 1, "6.6": 1, "5.129": 3, "6.129": 7}), 0.5),
    ("NX-OS", at(f"{P}.9.9.305.1.1", {"2.0": 61}), 0.61),
    ("Juniper", at(f"{P}.2636.3.1.13.1", {"11.9.1.0.0": 43, "11.2.1.0.0": 0}), 0.43),
    ("FortiGate", at(f"{P}.12356.101.4.1", {"4.0": 72}), 0.72),
    ("Huawei", at(f"{P}.2011.5.25.31.1.1.1.1", {"7.67108867": 55}), 0.55),
    ("H3C", at(f"{P}.25506.2.6.1.1.1.1", {"8.212": 39, "8.213": 0}), 0.39),
    ("ProCurve", at(f"{P}.11.2.14.11.5.1.1.2.1.1.1", {"5.1": 1000, "7.1": 400, "6.1": 600}), 0.4),
    (
        "Check Point, numbers as texts",
        [octets(f"{P}.2620.1.6.7.4.3.0", "8000000000"), octets(f"{P}.2620.1.6.7.4.4.0", "2000000000")],
        0.25,
    ),
    (
        "Linux",
        [*at(f"{UCD}.4", {"5.0": 1000, "6.0": 100, "14.0": 50, "15.0": 350}), *storage(1, "2", 1000, 900)],
        0.5,
    ),
    ("Linux without caches", at(f"{UCD}.4", {"5.0": 1000, "6.0": 100}), 0.9),
    ("Windows", [*storage(1, "4", 99, 98), *storage(4, "2", 4000, 1000), *storage(5, "3", 9, 9)], 0.25),
    ("nothing", [], None),
    ("a part without memory", at(f"{P}.2011.5.25.31.1.1.1.1", {"7.1": 0}), None),
    ("no size", [*storage(1, "2", 0, 0), *at(f"{UCD}.4", {"5.0": 0, "6.0": 0})], None),
    ("a size without a use", at(POOL, {"6.1": 9}), None),
]


@pytest.mark.parametrize(("answers", "expected"), [row[1:] for row in CPU], ids=[row[0] for row in CPU])
def test_load_of_every_vendor(answers: list[Recorded], expected: float | None) -> None:
    """The share of time that a device's processors are busy, 0 to 1, whoever made it."""
    assert Vitals().read(varbinds(answers), 0.0).cpu == expected


@pytest.mark.parametrize(("answers", "expected"), [row[1:] for row in MEMORY], ids=[row[0] for row in MEMORY])
def test_memory_of_every_vendor(answers: list[Recorded], expected: float | None) -> None:
    """The share of memory that is used, 0 to 1, whoever made the device; caches are not counted as used."""
    assert Vitals().read(varbinds(answers), 0.0).memory == expected


def test_every_source_is_in_a_shipped_module() -> None:
    """Whatever vitals are made of is asked for by some shipped module; no column hides behind another."""
    asked = {metric.oid for module in shipped().values() for metric in module.metrics}
    asked |= {oid for module in shipped().values() for oid in module.lookup_columns}
    assert [oid for oid in _COLUMNS if oid not in asked] == []
    assert not [one for one in _COLUMNS for other in _COLUMNS if one != other and one.startswith(other)]


def processor_time(user: int, system: int, idle: int, wait: int) -> list[Recorded]:
    # Kernel and interrupts are in system time already.
    return at(f"{UCD}.11", {"50.0": user, "52.0": system, "53.0": idle, "54.0": wait, "55.0": system, "56.0": 7})


def test_load_of_a_host_without_a_table_of_processors() -> None:
    """net-snmp's counters of processor time give the load between two polls; a restart gives none."""
    vitals = Vitals()
    loads = [
        vitals.read(varbinds(processor_time(*times)), now).cpu
        for now, times in enumerate([(100, 50, 800, 50), (140, 60, 845, 55), (140, 60, 845, 55), (1, 1, 1, 1)])
    ]
    assert loads == [None, 0.5, None, None]


def clocks(uptime: float, host: float | None = None, engine: int | None = None) -> list[Recorded]:
    found = [integer("1.3.6.1.2.1.1.3.0", round(uptime * 100) % 2**32, TICKS)]
    if host is not None:
        found.append(integer(f"{HR}.1.1.0", round(host * 100) % 2**32, TICKS))
    if engine is not None:
        found.append(integer("1.3.6.1.6.3.10.2.1.3.0", engine))
    return found


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (clocks(100), 100),
        (clocks(100, host=90 * DAY), 90 * DAY),
        (clocks(500 * DAY, engine=43_200_000), 43_200_000),
        (clocks(10, engine=2**31 - 1), 10),
        ([*clocks(10), integer(f"{P}.12356.101.4.1.20.0", 10**12, 0x46)], 10**10),
        ([], None),
    ],
)
def test_uptime_is_the_greatest_of_all_clocks(answers: list[Recorded], expected: float | None) -> None:
    """An agent that was started again, and a clock that starts again after 497 days, do not hide the uptime."""
    assert Vitals().read(varbinds(answers), 0.0).uptime == expected


def test_uptime_goes_on_when_sysuptime_has_to_start_again() -> None:
    """Where sysUpTime is the only clock, its end after 497 days is told from a reboot by when it comes."""
    vitals = Vitals()
    wrap = 2**32 / 100
    start = wrap - 90
    for passed in (0, 60, 120, 180, 3780):
        # The device's clock is a little slow.
        found = vitals.read(varbinds(clocks(start + passed * 0.999)), 1000.0 + passed).uptime
        assert found == pytest.approx(start + passed * 0.999, abs=0.02)
    # A reboot is a reboot, also when more time has passed since it than since the last end.
    assert vitals.read(varbinds(clocks(300)), 1000.0 + 3840).uptime == 300
    assert vitals.read(varbinds(clocks(5000)), 1000.0 + 9000).uptime == 5000


def test_our_own_uptime_is_no_clock_of_the_device() -> None:
    """A device's first uptime is what it says, also where this machine has been up for 497 days and more."""
    for our_own in (2**32 / 100 + 60, 499 * DAY):
        assert Vitals().read(varbinds(clocks(60)), our_own).uptime == 60


def test_a_clock_that_did_not_come_is_not_made_up_for() -> None:
    """Where a poll is not whole and the greatest clock is missing, there is no uptime: that of the agent would look
    like a restart. A clock that has never told is not waited for, and a device may give one up.
    """
    vitals = Vitals()
    host, agent = 90 * DAY, 100.0
    assert vitals.read(varbinds(clocks(agent)), 0.0, whole=False).uptime == agent
    assert vitals.read(varbinds(clocks(agent + 60, host)), 60.0, whole=False).uptime == host
    assert vitals.read(varbinds(clocks(agent + 120)), 120.0, whole=False).uptime is None
    assert vitals.read(varbinds(clocks(agent + 180, host + 120)), 180.0, whole=False).uptime == host + 120
    assert vitals.read(varbinds(clocks(agent + 240)), 240.0).uptime == agent + 240
    assert vitals.read(varbinds(clocks(agent + 300)), 300.0, whole=False).uptime == agent + 300


def test_a_restart_is_told_and_the_end_of_a_clock_is_not() -> None:
    """Whatever clock falls, the device or its agent was started again; the end of sysUpTime is no fall."""
    for first, second, expected in [
        (clocks(1000), clocks(5), True),
        (clocks(1000), clocks(1060), False),
        (clocks(1000), [], False),
        ([], clocks(5), False),
        (clocks(1000, 90 * DAY), clocks(5, 90 * DAY + 60), True),
        (clocks(2**32 / 100 - 30), clocks(30), False),
        (clocks(1000, engine=5000), clocks(1060, engine=20), True),
    ]:
        vitals = Vitals()
        assert vitals.read(varbinds(first), 1000.0).restarted is False
        assert vitals.read(varbinds(second), 1060.0).restarted is expected


@pytest.mark.parametrize("uptime", [10.0, 400 * DAY, 2**32 / 100 - 1000])
def test_a_reboot_starts_the_uptime_again(uptime: float) -> None:
    """An uptime that falls at any other moment says that the device was started again."""
    vitals = Vitals()
    vitals.read(varbinds(clocks(uptime)), 0.0)
    assert vitals.read(varbinds(clocks(5)), 60.0).uptime == 5


ANY = st.tuples(
    st.sampled_from(_COLUMNS) | st.binary(max_size=4),
    st.sampled_from([b"\0", b"\1", b"\2\1"]) | st.binary(max_size=3),
    st.sampled_from([0x02, 0x04, 0x06, 0x41, 0x42, 0x43, 0x44, 0x46]) | st.integers(0, 255),
    st.binary(max_size=10) | st.just(b"100") | st.just(parse_oid("1.3.6.1.2.1.25.2.1.2")),
)


@given(st.lists(st.lists(ANY, max_size=20), min_size=1, max_size=3))
def test_ratios_are_ratios_whatever_a_device_says(polls: list[list[tuple[bytes, bytes, int, bytes]]]) -> None:
    """Any numbers, texts and rows give ratios from 0 to 1 and an uptime that is not negative, or nothing."""
    vitals = Vitals()
    for now, answers in enumerate(polls):
        found = vitals.read([(oid + row, tag, value) for oid, row, tag, value in answers], now * 60.0)
        assert isinstance(found, Reading)
        assert all(ratio is None or 0 <= ratio <= 1 for ratio in (found.cpu, found.memory))
        assert found.uptime is None or found.uptime >= 0


def test_a_real_host_has_vitals() -> None:
    """Of net-snmp's agent on this machine, the shipped modules bring memory, uptime, and what load is made of."""
    modules = [shipped()[name] for name in ("system", "host_resources", "ucd")]

    async def asking(port: int) -> list[ber.VarBind]:
        with Session(10) as snmp:
            client = V2Client(snmp, session.Agent.at("127.0.0.1", port, 5.0, 3), b"public")
            found = []
            for module in modules:
                found += await client.get(module.instances)
                found += await client.walk([*module.columns, *module.lookup_columns], 10)
            return found

    with Snmpd() as agent:
        answers = asyncio.run(asking(agent.port))
    # The load itself shows a minute after the agent's start, or between two polls.
    assert {parse_oid(f"{UCD}.11.{column}.0") for column in (50, 52, 53, 54)} <= {oid for oid, _, _ in answers}
    found = Vitals().read(answers, 0.0)
    assert found.memory is not None
    assert found.uptime is not None
    assert 0 < found.memory < 1
    # The host's own clock, not the agent's, which has only just been started.
    assert found.uptime > 60


def test_modules_that_tell_nothing_are_passed_over() -> None:
    """What is asked of interfaces says nothing of load, memory and uptime; a subtree or scalar of them does."""
    assert not is_told_by(shipped()["if_mib"].asked)
    assert not is_told_by([])
    for name in ("system", "host_resources", "ucd", "cisco", "juniper", "fortinet"):
        assert is_told_by(shipped()[name].asked), name
    assert is_told_by([parse_oid("1.3.6.1.2.1.1")])
