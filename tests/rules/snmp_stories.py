"""More stories for rules/snmp.yml: of both directions, of several alerts, of a day, and of what is not known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from tests.rules.polled import MINUTE, START, Polled, Port, answered, flow, without
from tests.rules.snmp_cases import (
    DISCARDS,
    DOWN,
    ERRORS,
    FLAPPING,
    FULL,
    PORT,
    SLOWER,
    SPEED,
    STATE,
    TRAFFIC,
    octets,
    of,
    restless,
)
from tests.rules.vital_cases import (
    CPU,
    MEMORY,
    MEMORY_FULL,
    REBOOTED,
    SWITCH,
    UNREACHABLE,
    UPTIME,
    about,
    course,
    restart,
    running,
)
from tests.rules.world import GAP, Alert, Case, Device, Series, Text, scraped


def cases() -> Iterator[Case]:
    yield from _directions()
    yield from _together()
    yield from _over_hours()
    yield from _texts()


def _story(name: str, series: Sequence[Series], fires: Mapping[int, Sequence[Alert]], step: int = MINUTE) -> Case:
    return Case(name, scraped(series), fires, step=step)


def _directions() -> Iterator[Case]:
    """What is wrong on the way out is an alert of its own."""
    for one, metric, bad in (
        (FULL, "ifHCOutOctets", octets(0.95, FULL.after(5))),
        (ERRORS, "ifOutErrors", flow(25, START, ERRORS.after(5))),
        (DISCARDS, "ifOutDiscards", flow(25, START, DISCARDS.after(5))),
    ):
        needs = [*TRAFFIC, "ifHCInUcastPkts", "ifHCOutUcastPkts", "ifInErrors", "ifInDiscards"]
        out, both = of(PORT, one.name, direction="out"), metric.replace("Out", "In")
        quiet = [*Polled(SWITCH).series(), *PORT.series(needs, **{metric: bad})]
        over = one.ended(one.after(5) + one.lasts)
        yield _story(f"{one.name}: out", quiet, {one.after(-1): [], one.fires: [out], over: []})
        busy = [*Polled(SWITCH).series(), *PORT.series(needs, **{metric: bad, both: bad})]
        yield _story(f"{one.name}: both ways", busy, {one.fires: [one.alert, out]})


def _together() -> Iterator[Case]:
    link = Device("isp1", "isp", "batumi-02", "magti")
    outside = Port(link, alias="magti")
    down = of(outside, "InterfaceDown")
    yield _story(
        "an interface of an ISP link has its priority",
        [*Polled(link).series(), *outside.series(STATE, ifOperStatus=course(2, None))],
        {DOWN.fires: [Alert("InterfaceDown", {**down.labels, "role": "isp", "priority": "0"})]},
    )
    yield _story(
        "InterfaceDown of a device that is too new to be known by a full hour",
        [
            *Polled(SWITCH).series(),
            *PORT.series([], ifOperStatus={0: GAP, START: 1, 600: 2}, ifAdminStatus={0: GAP, START: 1}),
        ],
        {660: [], 720: [DOWN.alert]},
    )
    well = [
        *Polled(SWITCH).series(**{UPTIME: running(-1e6), CPU: 0.4, MEMORY: 0.6}),
        *PORT.series([*TRAFFIC, *STATE, "ifLastChange", "ifInErrors", "ifInDiscards", "ifHCInUcastPkts"]),
    ]
    yield _story("a device that is well has no alert", well, {1200: [], 1800: []})
    silent = Polled(SWITCH).series(ward_snmp_up={DOWN.after(1): 0})
    port = without(PORT.series(STATE, ifOperStatus=course(2, None)), DOWN.after(1), 10_000, of=answered)
    yield _story(
        "SnmpUnreachable comes beside what fires, and ends none of it",
        [*silent, *port],
        {DOWN.after(5): [DOWN.alert], DOWN.after(6): [UNREACHABLE.alert, DOWN.alert]},
    )
    yield _story(
        "InterfaceFlapping is the only alert of an interface until it is steady",
        [
            *Polled(SWITCH).series(),
            *PORT.series(
                ["ifAdminStatus"],
                ifLastChange=restless(START + 5 * MINUTE),
                ifOperStatus={START: 2, START + 60: 1, START + 120: 2, START + 180: 1, START + 240: 2},
            ),
        ],
        {
            START + 240: [FLAPPING.alert],
            START + 600: [FLAPPING.alert],
            START + 1380: [DOWN.alert],
        },
    )
    yield _story(
        "InterfaceDown does not begin to wait again over a poll that is lost",
        [
            *Polled(SWITCH).series(),
            *without(PORT.series(STATE, ifOperStatus=course(2, None)), START + 60, START + 120, of=answered),
        ],
        {DOWN.after(-1): [], DOWN.fires: [DOWN.alert]},
    )
    renamed = Port(SWITCH, alias="to the lobby")
    yield _story(
        "InterfaceDown of an interface that gets another alias has a new alert, and soon no old one",
        [
            *Polled(SWITCH).series(),
            *without(PORT.series(STATE, ifOperStatus=course(2, None)), 600, 10_000, of=answered),
            *renamed.series([], ifOperStatus={0: GAP, 600: 2}, ifAdminStatus={0: GAP, 600: 1}),
        ],
        {600: [DOWN.alert], 960: [of(renamed, "InterfaceDown")]},
    )
    yield _story(
        "InterfaceDown of an interface that was up with another index, when the old one is forgotten",
        [
            *Polled(SWITCH).series(),
            *without(Port(SWITCH, 9).series(STATE), START, 10_000, of=answered),
            *PORT.series([], ifOperStatus={0: GAP, START: 2}, ifAdminStatus={0: GAP, START: 1}),
        ],
        {START + 120: [], START + 480: [DOWN.alert], START + 900: [DOWN.alert]},
    )
    yield _story(
        "InterfaceSpeedDegraded of an interface that gets another alias has a new alert, and soon no old one",
        [
            *Polled(SWITCH).series(),
            *without(PORT.series(SPEED, ifHighSpeed=course(10, None)), 1200, 10_000, of=answered),
            *renamed.series([], ifHighSpeed={0: GAP, 1200: 10}, ifOperStatus={0: GAP, 1200: 1}),
        ],
        {1200: [SLOWER.alert], 1860: [of(renamed, "InterfaceSpeedDegraded")]},
    )
    moved = Device("sw2", "switch", "batumi-02"), Device("sw2", "switch", "hq")
    there, here = ([*Polled(device).series(ward_snmp_up=0)] for device in moved)
    yield _story(
        "SnmpUnreachable of one device does not mind that another one gets another site",
        [
            *Polled(SWITCH).series(ward_snmp_up=course(0, None)),
            *without(there, 600, 10_000, of=lambda _: True),
            *(replace(one, course={0: GAP, 600: one.course[0]}) for one in here),  # type: ignore[index]
        ],
        {
            600: [about(moved[0], "SnmpUnreachable"), UNREACHABLE.alert],
            720: [about(moved[0], "SnmpUnreachable"), UNREACHABLE.alert],
            1020: [about(moved[1], "SnmpUnreachable"), UNREACHABLE.alert],
        },
    )
    yield _story(
        "DeviceRebooted goes on when a part of the answers comes",
        Polled(SWITCH).series(**restart(1e6), ward_snmp_partial={START + 120: 1}),
        {START + 60: [REBOOTED.alert], START + 180: [REBOOTED.alert]},
    )
    yield _story(
        "DeviceRebooted ends a quarter of an hour after the device's start",
        # At 899 s for the last time, and it is kept for one step more.
        Polled(SWITCH).series(**restart(1e6, after=59)),
        {START + 900: [REBOOTED.alert], START + 960: []},
    )


#: Within what Prometheus looks back for an alert of the evaluation before.
HOUR, DAY, FOUR = 3600, 86_400, 240


def _over_hours() -> Iterator[Case]:
    """What looks back for a day."""
    state = PORT.series(STATE, ifOperStatus={0: 1, 600: 2})
    yield _story(
        "InterfaceDown goes on for longer than a day",
        [*Polled(SWITCH).series(), *state],
        {960: [DOWN.alert], DAY + 2 * HOUR: [DOWN.alert]},
        step=FOUR,
    )
    for hours, fires in ((3, [DOWN.alert]), (25, [])):
        back = hours * HOUR
        yield _story(
            f"InterfaceDown of an interface that does not come back with its device, down for {hours} h",
            [
                *Polled(SWITCH).series(ward_device_up={900: 0, back: 1}),
                *without(state, 900, back, of=answered),
            ],
            {back: [], back + 2 * FOUR: fires},
            step=FOUR,
        )
    yield _story(
        "InterfaceSpeedDegraded ends after a day",
        [*Polled(SWITCH).series(), *PORT.series(SPEED, ifHighSpeed={0: 1000, 600: 100})],
        {480: [], 1440: [SLOWER.alert], DAY - HOUR: [SLOWER.alert], DAY + 2 * HOUR: []},
        step=FOUR,
    )


def _texts() -> Iterator[Case]:
    """What is not known is left out, and each state is named."""
    lone = Device("lone", "", "")
    bare = Port(lone, name="", alias="", described="Port 5")
    for state, words in ((6, "not present"), (7, "down for what is below it")):
        yield Case(
            f"the text of InterfaceDown: {words}",
            scraped([*Polled(lone).series(), *bare.series(STATE, ifOperStatus=course(state, None))]),
            texts=[
                Text(
                    DOWN.fires,
                    of(bare, "InterfaceDown"),
                    "Interface Port 5 of lone is down",
                    f"It is set to be up, was up before, and is {words}.",
                    "ward-interfaces?var-device=lone",
                )
            ],
            world=words,
            step=MINUTE,
        )
    yield Case(
        "the text of HighMemory of a device without a role",
        scraped(Polled(lone).series(**{MEMORY: 0.95})),
        texts=[
            Text(
                MEMORY_FULL.fires,
                about(lone, "HighMemory"),
                "The memory of lone is nearly full",
                "95% is in use.",
                "ward-device?var-device=lone",
            )
        ],
        world="bare",
        step=MINUTE,
    )
