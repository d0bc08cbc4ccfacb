"""Stories for UtilisationForecast in rules/snmp.yml: weeks of traffic, looked at four times a day."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tests.rules.polled import Polled, Port
from tests.rules.world import Alert, Case, Device, Series, Text, Value, scraped

HOUR, DAY = 3600, 86_400
QUARTER = DAY // 4
#: The busy hour of a day, and what there is in all others, as a part of the speed.
BUSY, IDLE = 10, 0.05
SPEED = 12.5e4  # octets a second, of 1 Mbit/s
ROUTER = Device("rt1", "router", "batumi-02")
PORT = Port(ROUTER)
ON = 15 * DAY
Peak = Callable[[int], float]


def traffic(peak: Peak) -> Value:
    """A counter; `peak` is the part of the speed that is in use in the busy hour of a day."""

    def octets(second: float) -> float:
        day, rest = divmod(second, DAY)
        busy = [peak(past) - IDLE for past in range(int(day))]
        today = min(max(rest - BUSY * HOUR, 0), HOUR) * (peak(int(day)) - IDLE)
        return round(SPEED * (IDLE * second + HOUR * sum(busy) + today))

    return octets


def grows(day: int) -> float:
    """2 % more each day: 52 % on day 6, 68 % on day 14, and 80 % on day 20."""
    return 0.4 + 0.02 * day


def alert(direction: str = "in") -> Alert:
    return Alert("UtilisationForecast", {**PORT.labels, "severity": "low", "direction": direction})


def port(way: str = "In", port: Port = PORT, speed: float = 1, of: Peak = grows) -> list[Series]:
    return port.series([], ifHighSpeed=speed, **{f"ifHC{way}Octets": traffic(of)})


def story(name: str, series: Sequence[Series], fires: dict[int, Sequence[Alert]]) -> Case:
    return Case(f"UtilisationForecast {name}", scraped(series), fires, matching="severity='low'", step=QUARTER)


def cases() -> Iterator[Case]:
    well = Polled(ROUTER).series()
    yield story("fires when all three hold", [*well, *port()], {7 * DAY: [], ON: [alert()]})
    yield story("fires: out", [*well, *port("Out")], {7 * DAY: [], ON: [alert("out")]})
    switch = Device("sw1", "switch", "batumi-02")
    for miss, series in {
        "half of the speed is free": [*well, *port(of=lambda day: 0.2 + 0.02 * day)],
        "it grows too slowly": [*well, *port(of=lambda day: 0.55 + 0.001 * day)],
        "it was more a week ago": [*well, *port(of=lambda day: 0.2 if day < 7 else (0.9, 0.7)[day > 7])],
        "ten times the speed": [*well, *port(speed=10)],
        "its speed is not known": [*well, *port(speed=0)],
        "it is a switch's": [*Polled(switch).series(), *port(port=Port(switch))],
        "it is loopback": [*well, *port(), Series("ifType_info", {**PORT.labels, "ifType": "softwareLoopback"}, 1)],
        "the device is down": [*Polled(ROUTER).series(ward_device_up=0), *port()],
        "maintenance": [*Polled(ROUTER).series({"maintenance": 1}), *port()],
    }.items():
        out = [_turned(one) for one in series if "Octets" in one.name]
        yield story(f"is silent: {miss}", [*series, *out], {ON: [], ON + DAY: []})
    for role in ("isp", "firewall"):
        device = Device("edge", role, "batumi-02")
        edge = Port(device)
        labels = {**edge.labels, "severity": "low", "direction": "in"}
        yield story(
            f"fires: of a {role}",
            [*Polled(device).series(), *port(port=edge)],
            {ON: [Alert("UtilisationForecast", labels)]},
        )
    yield story(
        "ends when the traffic is less",
        [*well, *port(of=lambda day: grows(day) if day < 15 else 0.3)],
        {ON: [alert()], ON + QUARTER: [alert()], ON + 3 * QUARTER: []},
    )
    yield Case(
        "the text of UtilisationForecast",
        scraped([*well, *port()]),
        texts=[
            Text(
                ON,
                alert(),
                "Interface Gi0/5 (to the vault) of rt1 will be nearly full, in",
                "68% of its speed was in use in the busiest hour of the last day at batumi-02. It grows, and 80 % "
                "are less than four weeks away.",
                "ward-interfaces?var-device=rt1",
            )
        ],
        world="text",
        step=QUARTER,
    )


def _turned(series: Series) -> Series:
    """What comes, as what is sent."""
    return Series(series.name.replace("In", "Out"), series.labels, series.course)
