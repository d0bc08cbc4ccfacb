"""Stories for the alerts about devices as a whole in rules/snmp.yml: answers, restarts, load, memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.rules.polled import MINUTE, START, Finding, Polled
from tests.rules.world import GAP, WELL, Alert, Case, Course, Device, Value

SWITCH = Device("sw1", "switch", "batumi-02")
#: Seconds after which 32 bits of hundredths of a second are used up.
WRAP = 2**32 / 100
PLACE, LAST = "at batumi-02", "Not heard of now; last known:"
Courses = Mapping[str, Course]


def course(bad: Value, end: int | None) -> Course:
    return {START: bad} | ({} if end is None else {end: WELL})


def about(device: Device, name: str, **more: str) -> Alert:
    return Alert(name, {**Polled(device).labels, "severity": "medium", **more})


def device_finding(
    name: str,
    metric: str,
    well: Value,
    bad: Value,
    *,
    fires: int,
    never: Mapping[str, Courses],
    enough: Mapping[str, Courses],
    words: Mapping[str, str],
    waits: int,
    lasts: int = 0,
    of_answers: bool = True,
) -> Finding:
    def says(end: int | None) -> Courses:
        return {metric: {0: well, START: bad} | ({} if end is None else {end: well})}

    return Finding(
        alert=about(SWITCH, name),
        device=SWITCH,
        shows=lambda _: [],
        says=says,
        fires=fires,
        lasts=lasts,
        never={miss: Polled(SWITCH).series(**courses) for miss, courses in never.items()},
        enough={title: Polled(SWITCH).series(**courses) for title, courses in enough.items()},
        dashboard="ward-device?var-device=sw1",
        waits=waits,
        of_answers=of_answers,
        matching=f'alertname="{name}"',
        **words,
    )


UNREACHABLE = device_finding(
    "SnmpUnreachable",
    "ward_snmp_up",
    1,
    0,
    fires=START + 300,
    never={
        "down for long, and not asked since": {
            "ward_snmp_up": 0,
            "ward_snmp_last_poll_timestamp_seconds": {0: 10, START: 250},
            "ward_device_last_change_timestamp_seconds": {0: -10, START: 250},
        },
        "it answers a part": {"ward_snmp_partial": 1},
    },
    enough={
        "asked just after it came up": {
            "ward_snmp_up": 0,
            "ward_snmp_last_poll_timestamp_seconds": 251,
            "ward_device_last_change_timestamp_seconds": 250,
        }
    },
    words={
        "summary": "sw1 (switch) does not answer to SNMP",
        "description": (
            f"It answers ping {PLACE}, and no question by SNMP: what its interfaces do is not seen, and alerts "
            "about them stay as they are."
        ),
        "held": f"{LAST} no answer to SNMP.",
    },
    waits=300,
    of_answers=False,
)


UPTIME = "ward_device_uptime_seconds"


def running(since: float) -> Value:
    """An uptime, by the second from which it counts."""
    return lambda second: second - since


def restart(before: float, after: float = 30) -> Courses:
    """So many seconds of uptime a minute before START, and so many at START."""
    return {UPTIME: {0: running(START - MINUTE - before), START: running(START - after)}}


REBOOTED = device_finding(
    "DeviceRebooted",
    UPTIME,
    running(-1e6),
    running(START - 60),
    fires=START + MINUTE,
    never={
        "it has been up for a quarter of an hour": restart(1e6, after=900),
        "it is new here": {UPTIME: {0: GAP, START: running(START - 30)}},
        "its clock has come to its end": restart(WRAP - 100),
        "its clock has come to its end, and an hour of it was not seen": restart(WRAP - 3500, after=40),
        "the exporter is new since the clock has come to its end": restart(WRAP + 200, after=260),
    },
    enough={
        "up for not quite a quarter of an hour": restart(1e6, after=539),
        "long before its clock would come to its end": restart(WRAP - 4500, after=40),
        "where a clock of thousandths would come to its end, after 49.7 days": restart(WRAP / 10 - 100),
        "it never answers more than a part": {**restart(1e6), "ward_snmp_partial": 1},
        "for the second time in ten minutes": restart(600),
    },
    words={
        "summary": "sw1 (switch) has restarted",
        "description": f"It has been up for 7m 0s {PLACE}, and for longer before.",
        "held": f"{LAST} a restart.",
    },
    waits=MINUTE,
)

CPU, MEMORY = "ward_device_cpu_ratio", "ward_device_memory_used_ratio"
BUSY = device_finding(
    "HighCpu",
    CPU,
    # One poll is enough to go over the limit, be it one of five in the range or of six.
    0.89,
    1,
    fires=START + 600,
    lasts=300,
    never={"90 %": {CPU: 0.9}, "a peak each third minute": {CPU: lambda second: second // MINUTE % 3 // 2}},
    enough={"more than 90 %": {CPU: 0.901}},
    words={
        "summary": "The CPU of sw1 (switch) is busy",
        "description": f"It has been in use for 100% of the last 5 minutes {PLACE}.",
        "held": f"{LAST} over 90 %.",
    },
    waits=600,
)
MEMORY_FULL = device_finding(
    "HighMemory",
    MEMORY,
    0.5,
    0.95,
    fires=START + 600,
    never={"90 %": {MEMORY: 0.9}},
    enough={"more than 90 %": {MEMORY: 0.901}},
    words={
        "summary": "The memory of sw1 (switch) is nearly full",
        "description": f"95% is in use {PLACE}.",
        "held": f"{LAST} over 90 %.",
    },
    waits=600,
)

FINDINGS = (UNREACHABLE, REBOOTED, BUSY, MEMORY_FULL)


def cases() -> Iterator[Case]:
    for one in FINDINGS:
        yield from one.cases()
        yield one.texts("texts")
