"""Monitor grid: every device as a cell."""

from __future__ import annotations

from dashboards import queries as q
from dashboards.board import Section, chosen, dashboard, switch
from dashboards.look import STATES, Json, to
from dashboards.panels import Query, cells, matrix, stat

_STATE = q.state(q.CHOSEN)
_SHOWN = f"{_STATE} $show"


def _totals() -> list[Json]:
    return [
        stat(
            text.capitalize(),
            f"Chosen devices whose state is {text}.",
            Query(q.devices_in(number, q.CHOSEN)),
            unit="none",
            size=(4, 3),
            thresholds={"mode": "absolute", "steps": [{"value": None, "color": colour}]},
        )
        for number, (text, colour) in STATES.items()
    ] + [
        stat(
            "All",
            "Chosen devices.",
            Query(f"count({_STATE})"),
            unit="none",
            size=(4, 3),
            thresholds={"mode": "absolute", "steps": [{"value": None, "color": "text"}]},
        )
    ]


def build() -> Json:
    return dashboard(
        "ward-grid",
        "Every device as a cell, coloured by state. Filter by site, role, device and state; a click leads to "
        "the device.",
        [
            Section("", _totals()),
            Section(
                "Sites and roles",
                [
                    matrix(
                        "Worst state of each site and role",
                        "A row a site, a column a role: the worst state of the devices there. A click leads "
                        "to the site.",
                        Query(f"min by (site, role) ({_SHOWN})"),
                        STATES,
                        size=(24, 14),
                        links=[to("ward-site", site="__data.fields[0]")],
                    )
                ],
            ),
            Section(
                "Devices",
                [
                    cells(
                        "$role",
                        "Every chosen device of this role. A click leads to it.",
                        Query(_SHOWN, "{{device}}"),
                        STATES,
                        size=(24, 14),
                        links=[to("ward-device", device="__field.labels.device")],
                        repeat="role",
                        repeatDirection="h",
                        maxPerRow=1,
                    )
                ],
            ),
        ],
        variables=[
            chosen("site", "Site", "ward_device_info, site"),
            chosen("role", "Role", 'ward_device_info{site=~"$site"}, role'),
            chosen("device", "Device", 'ward_device_info{site=~"$site", role=~"$role"}, device'),
            switch(
                "show",
                "Show",
                {
                    "All states": ">= 0",
                    "All but up": "< 4",
                    "Down": "== 0",
                    "Flapping": "== 1",
                    "Unknown": "== 2",
                    "Suppressed": "== 3",
                    "Up": "== 4",
                },
            ),
        ],
        where=q.HERE,
    )
