"""What all dashboards have in common: states and their colours, limits, links from one to another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

#: The data source is chosen at the top of each dashboard.
SOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}

GREEN, RED, ORANGE, YELLOW, BLUE, GREY = "green", "red", "orange", "yellow", "blue", "#8e8e8e"

#: States of a device, worst first, so that the least of several is the worst: number, text, colour.
DOWN, FLAPPING, UNKNOWN, SUPPRESSED, UP = range(5)
STATES = {
    DOWN: ("DOWN", RED),
    FLAPPING: ("FLAPPING", ORANGE),
    UNKNOWN: ("UNKNOWN", GREY),
    SUPPRESSED: ("SUPPRESSED", BLUE),
    UP: ("UP", GREEN),
}
#: States of a site, in the same way.
SITE_STATES = {
    0: ("CUT OFF", RED),
    1: ("LINK DOWN", ORANGE),
    2: ("DEVICE DOWN", YELLOW),
    3: ("SUPPRESSED", BLUE),
    4: ("UP", GREEN),
}
#: The most severe first.
SEVERITIES = {
    "critical": ("CRITICAL", RED),
    "high": ("HIGH", ORANGE),
    "medium": ("MEDIUM", YELLOW),
    "low": ("LOW", BLUE),
}
ANSWERS = {0: ("SILENT", RED), 1: ("ANSWERS", GREEN)}
FIRING = {1: ("FIRING", RED)}
ACCEPTED = {0: ("REFUSED", RED), 1: ("IN FORCE", GREEN)}
#: ifAdminStatus and ifOperStatus.
WANTED = {1: ("UP", GREEN), 2: ("SWITCHED OFF", GREY), 3: ("TESTING", YELLOW)}
PORTS = {
    1: ("UP", GREEN),
    2: ("DOWN", RED),
    3: ("TESTING", YELLOW),
    4: ("UNKNOWN", GREY),
    5: ("DORMANT", BLUE),
    6: ("NOT PRESENT", GREY),
    7: ("LOWER LAYER DOWN", ORANGE),
}

#: Uid and title of each dashboard, in the order of the links at the top.
DASHBOARDS = {
    "ward-overview": "NOC overview",
    "ward-isp": "ISP links",
    "ward-grid": "Monitor grid",
    "ward-site": "Site",
    "ward-device": "Device",
    "ward-map": "Map",
    "ward-interfaces": "Interfaces",
    "ward-alerts": "Alerts",
    "ward-exporter": "Exporter and stack",
}


#: Values of a state, with their text and colour.
States = Mapping[int, tuple[str, str]] | Mapping[str, tuple[str, str]]


def mapping(states: States) -> list[Json]:
    """Values shown as text and colour: never colour alone."""
    options = {
        str(value): {"text": text, "color": colour, "index": place}
        for place, (value, (text, colour)) in enumerate(states.items())
    }
    return [{"type": "value", "options": options}]


def limits(*steps: tuple[float, str], below: str = GREEN) -> Json:
    """A colour from each value on; `below` up to the first."""
    found: list[Json] = [{"value": None, "color": below}]
    found += [{"value": value, "color": colour} for value, colour in steps]
    return {"mode": "absolute", "steps": found}


def to(uid: str, **variables: str) -> Json:
    """A link from a value to a dashboard; the time range and the data source go with it.

    `variables` are those of the target; each value is an expression of Grafana's, such as `__field.labels.device`.
    """
    chosen = "".join(f"&var-{name}=${{{value}:percentencode}}" for name, value in variables.items())
    return {
        "title": DASHBOARDS[uid],
        "url": f"/d/{uid}?${{__url_time_range}}&${{datasource:queryparam}}{chosen}",
    }


def device_links(value: str) -> list[Json]:
    return [to("ward-device", device=value)]


def site_links(value: str) -> list[Json]:
    return [to("ward-site", site=value)]
