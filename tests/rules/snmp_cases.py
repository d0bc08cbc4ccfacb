"""Stories for the alerts about interfaces in rules/snmp.yml, but for the forecast, which has weeks of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from tests.rules.polled import MINUTE, START, Finding, Polled, Port, answered, flow, without
from tests.rules.vital_cases import LAST, PLACE, SWITCH, Courses, course
from tests.rules.world import GAP, Alert, Case, Series, Value

PORT = Port(SWITCH)
NAME = "Interface Gi0/5 (to the vault) of sw1"


def of(port: Port, name: str, **more: str) -> Alert:
    return Alert(name, {**port.labels, "severity": "medium", **more})


def port_finding(
    name: str,
    needs: Sequence[str],
    shows: Callable[[int | None], Courses],
    *,
    fires: int,
    never: Mapping[str, Sequence[Series]],
    enough: Mapping[str, Sequence[Series]],
    words: Mapping[str, str],
    waits: int,
    lasts: int = 0,
    knows: int = 0,
    polls: int = 1,
    fades: int = 6,
    direction: str = "",
) -> Finding:
    more = {"direction": direction} if direction else {}
    return Finding(
        alert=of(PORT, name, **more),
        device=SWITCH,
        shows=lambda end: PORT.series(needs, **shows(end)),
        says=lambda _: {},
        fires=fires,
        lasts=lasts,
        never={miss: [*Polled(SWITCH).series(), *series] for miss, series in never.items()},
        enough={title: [*Polled(SWITCH).series(), *series] for title, series in enough.items()},
        dashboard="ward-interfaces?var-device=sw1",
        waits=waits,
        polls=polls,
        knows=knows,
        fades=fades,
        # One that flaps is down now and then.
        matching=f'alertname="{name}"',
        **words,
    )


def restless(end: int | None, each: int = 1, step: float = 6_000) -> Value:
    """A time of last change that is another one every so many minutes."""

    def last_change(second: float) -> float:
        passed = min(second, second if end is None else end - MINUTE) - START + MINUTE
        return 7_000 + step * max(0, passed // (each * MINUTE))

    return last_change


FLAPPING = port_finding(
    "InterfaceFlapping",
    ["ifOperStatus"],
    lambda end: {"ifLastChange": restless(end)},
    fires=START + 4 * MINUTE,
    lasts=12 * MINUTE,
    never={
        "3 minutes of 15": PORT.series(["ifOperStatus"], ifLastChange=restless(START + 3 * MINUTE)),
        "a device that wavers by a second": PORT.series(["ifOperStatus"], ifLastChange=restless(None, step=100)),
        "a change each 5 minutes": PORT.series(["ifOperStatus"], ifLastChange=restless(None, 5)),
        "the index is another interface's": [
            *without(PORT.series(["ifOperStatus"], ifLastChange=7), START, 10_000, of=answered),
            *Port(SWITCH, name="Gi0/6").series(
                [], ifOperStatus={0: GAP, START: 2}, ifLastChange={0: GAP, START: 0}
            ),
        ],
    },
    enough={
        "more than a second of difference": PORT.series(["ifOperStatus"], ifLastChange=restless(None, step=101)),
        "where no time of a change is kept": PORT.series(
            [], ifLastChange=0, ifOperStatus=lambda second: 1 + second // MINUTE % 2
        ),
    },
    words={
        "summary": f"{NAME} is flapping",
        "description": (
            f"It has changed its state in 10 of the last 15 minutes {PLACE}. Until it is steady this is its only "
            "alert."
        ),
        "held": f"{LAST} flapping.",
    },
    waits=MINUTE,
    knows=2 * MINUTE,
    fades=14,
)

STATE = ["ifOperStatus", "ifAdminStatus"]
DOWN = port_finding(
    "InterfaceDown",
    STATE,
    lambda end: {"ifOperStatus": course(2, end)},
    fires=START + 120,
    never={
        "it is set to be down": PORT.series(STATE, ifOperStatus=course(2, None), ifAdminStatus=course(2, None)),
        "it has never been up": PORT.series(STATE, ifOperStatus=2),
        **{
            f"its state is {state}": PORT.series(STATE, ifOperStatus=course(number, None))
            for state, number in (("testing", 3), ("unknown", 4), ("dormant", 5))
        },
        "its index was that of one that was up": [
            *without(PORT.series(STATE), START, 10_000, of=answered),
            *Port(SWITCH, name="Gi0/6", described="GigabitEthernet0/6").series(
                [], ifOperStatus={0: GAP, START: 2}, ifAdminStatus={0: GAP, START: 1}
            ),
        ],
        "it is no more in what the device answers": without(PORT.series(STATE), START, 10_000, of=answered),
        "neither it nor one that is up has a name": [
            *Port(SWITCH, 6, name="", described="").series(STATE),
            *Port(SWITCH, name="", alias="", described="").series(STATE, ifOperStatus=2),
        ],
        "it was up, but has no name": Port(SWITCH, name="", alias="", described="").series(
            STATE, ifOperStatus=course(2, None)
        ),
        "one of the same name is up": [
            *Port(SWITCH, 6, name="").series(STATE),
            *Port(SWITCH, name="").series(STATE, ifOperStatus=2),
        ],
    },
    enough={
        "not present": PORT.series(STATE, ifOperStatus=course(6, None)),
        "down for what is below it": PORT.series(STATE, ifOperStatus=course(7, None)),
        "another one has the same name": [
            *Port(SWITCH, 6).series(STATE),
            *PORT.series(STATE, ifOperStatus=course(2, None)),
        ],
        "it was up with another alias": [
            *without(Port(SWITCH, alias="").series(STATE), START, 10_000, of=answered),
            *PORT.series([], ifOperStatus={0: GAP, START: 2}, ifAdminStatus={0: GAP, START: 1}),
        ],
    },
    words={
        "summary": f"{NAME} is down",
        "description": f"It is set to be up {PLACE}, was up before, and is down.",
        "held": f"{LAST} down.",
    },
    waits=120,
)


def octets(share: float, end: int | None = None, start: int = START) -> Value:
    """Traffic of so much of 100 Mbit/s."""
    return flow(share * 12.5e6, start, end)


TRAFFIC = ["ifHCInOctets", "ifHCOutOctets", "ifHighSpeed"]
FULL = port_finding(
    "InterfaceHighUtilisation",
    TRAFFIC,
    lambda end: {"ifHCInOctets": octets(0.95, end)},
    # After 4 minutes the mean of 5 is 76 %.
    fires=START + 300 + 900,
    lasts=360,
    never={
        "below 80 %": PORT.series(TRAFFIC, ifHCInOctets=octets(0.799), ifHCOutOctets=octets(0.799)),
        "its speed is not known": PORT.series(TRAFFIC, ifHCInOctets=octets(0.95), ifHighSpeed=0),
        "ten times the speed": PORT.series(TRAFFIC, ifHCInOctets=octets(0.95), ifHighSpeed=1000),
        "it is loopback": [
            *PORT.series(TRAFFIC, ifHCInOctets=octets(0.95)),
            Series("ifType_info", {**PORT.labels, "ifType": "softwareLoopback"}, 1),
        ],
        "its counters start again": PORT.series(
            TRAFFIC, ifHCInOctets={0: lambda second: 5e11 + 5e6 * second, 600: flow(5e6, 600)}
        ),
    },
    enough={
        "above 80 %": PORT.series(TRAFFIC, ifHCInOctets=octets(0.801)),
        "5 Gbit/s, more than ifSpeed can say": PORT.series(TRAFFIC, ifHCInOctets=octets(40.5), ifHighSpeed=5_000),
        "another kind of interface": [
            *PORT.series(TRAFFIC, ifHCInOctets=octets(0.95)),
            Series("ifType_info", {**PORT.labels, "ifType": "ethernetCsmacd"}, 1),
        ],
    },
    words={
        "summary": f"{NAME} is nearly full, in",
        "description": f"95% of its speed is in use in this direction {PLACE}, as a mean over 5 minutes.",
        "held": f"{LAST} over 80 % of its speed.",
    },
    waits=900,
    polls=2,
    knows=240,
    direction="in",
)


def spoilt(name: str, what: str, limit: float, words: Mapping[str, str]) -> Finding:
    """Errors or discards: 25 of 125 packets, where `limit` is enough."""
    counter, needs = f"ifIn{what}", [f"ifIn{what}", "ifHCInUcastPkts"]

    def shows(bad: float, good: float, way: str = "In") -> list[Series]:
        flows = {f"if{way}{what}": flow(bad, 0), f"ifHC{way}UcastPkts": flow(good, 0)}
        return PORT.series([], **flows)

    return port_finding(
        name,
        needs,
        lambda end: {counter: flow(25, START, end)},
        fires=START + 60 + 600,
        lasts=300,
        never={
            "too small a part": [*shows(9_990 * limit, 10_000), *shows(9_990 * limit, 10_000, "Out")],
            "too few": [*shows(0.0995, 1), *shows(0.0995, 1, "Out")],
            "the counter has come to its end": PORT.series(needs, **{counter: {0: 2**32 - 9, START: 3}}),
        },
        enough={"just so large a part": shows(10_110 * limit, 10_000), "just so many": shows(0.1005, 1)},
        words=words,
        waits=600,
        polls=2,
        knows=240,
        direction="in",
    )


ERRORS = spoilt(
    "InterfaceErrors",
    "Errors",
    0.001,
    {
        "summary": f"{NAME} has errors, in",
        "description": f"20% of the packets in this direction have errors {PLACE}.",
        "held": f"{LAST} more than 0.1 %.",
    },
)
DISCARDS = spoilt(
    "InterfaceDiscards",
    "Discards",
    0.01,
    {
        "summary": f"{NAME} throws packets away, in",
        "description": f"20% of the packets in this direction are thrown away {PLACE}.",
        "held": f"{LAST} more than 1 %.",
    },
)

SPEED = ["ifHighSpeed", "ifOperStatus"]
SLOWER = port_finding(
    "InterfaceSpeedDegraded",
    SPEED,
    lambda end: {"ifHighSpeed": course(10, end)},
    fires=START + 600,
    never={
        "it is down": PORT.series(SPEED, ifHighSpeed=course(10, None), ifOperStatus=course(2, None)),
        "its speed is not known": PORT.series(SPEED, ifHighSpeed=course(0, None)),
        "it is faster": PORT.series(SPEED, ifHighSpeed=course(1000, None)),
        "the speed before is that of one that is down": PORT.series(
            SPEED, ifHighSpeed={0: 1000, 120: 100}, ifOperStatus={0: 2, 120: 1}
        ),
    },
    enough={"a member of a group has gone": PORT.series(SPEED, ifHighSpeed={0: 20_000, START: 10_000})},
    words={
        "summary": f"{NAME} is slower than it was",
        "description": f"It is up with 10 Mbit/s {PLACE}, and had more within the last day.",
        "held": f"{LAST} slower than before.",
    },
    waits=600,
)

FINDINGS = (FLAPPING, DOWN, FULL, ERRORS, DISCARDS, SLOWER)


def cases() -> Iterator[Case]:
    for one in FINDINGS:
        yield from one.cases()
        yield one.texts("texts")
