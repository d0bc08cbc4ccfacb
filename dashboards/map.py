"""Map: sites where they are, coloured by state."""

from __future__ import annotations

from dashboards import queries as q
from dashboards.board import Section, chosen, dashboard
from dashboards.look import BLUE, ORANGE, RED, SITE_STATES, UP, YELLOW, Json, limits, mapping, to
from dashboards.panels import Column, Query, named, panel, quiet, stat, table, target

#: Outlines of countries that Grafana itself serves: a layer of this kind loads no tiles from the internet.
_OUTLINES = "public/maps/countries.geojson"
_SITES = "Sites"
_WHERE = 'site=~"$site"'
_STATE = q.site_state(_WHERE)
_PLACED = (
    f"{_STATE} * on (site) group_left (region, latitude, longitude) topk by (site)"
    f' (1, max by (site, region, latitude, longitude) (ward_site_info{{latitude!="", {_WHERE}}}))'
)


def _totals() -> list[Json]:
    colours = {0: RED, 1: ORANGE, 2: YELLOW, 3: BLUE}
    about = {
        0: "Sites whose ISP links are all down, unless maintenance or a mass outage explains it.",
        1: "Sites that have lost some of their ISP links, unless maintenance or a mass outage explains it.",
        2: "Sites that have lost no ISP link, with a device that is down and not suppressed.",
        3: "Sites where nothing is down but what is in maintenance, or held back for another reason.",
        4: "Sites where everything answers.",
    }
    return [
        stat(
            text.capitalize(),
            about[number],
            Query(f"sum({_STATE} == bool {number})"),
            unit="none",
            size=(4 if number == UP else 5, 3),
            thresholds=quiet(colours[number]) if number in colours else None,
        )
        for number, (text, _) in SITE_STATES.items()
    ]


def _fixed(colour: str, opacity: float) -> Json:
    return {
        "color": {"fixed": colour},
        "opacity": opacity,
        "size": {"fixed": 5, "min": 2, "max": 15},
        "lineWidth": 1,
    }


def _map() -> Json:
    outlines = {
        "type": "geojson",
        "name": "Countries",
        "config": {"src": _OUTLINES, "rules": [], "style": _fixed("#808080", 0.15)},
    }
    sites = {
        "type": "markers",
        "name": _SITES,
        "config": {
            "showLegend": True,
            "style": {
                "color": {"field": "State", "fixed": "dark-green"},
                "opacity": 0.9,
                "rotation": {"fixed": 0, "max": 360, "min": -360, "mode": "mod"},
                "size": {"fixed": 9, "min": 4, "max": 15},
                "symbol": {"fixed": "img/icons/marker/circle.svg", "mode": "fixed"},
                "symbolAlign": {"horizontal": "center", "vertical": "center"},
                "text": {"field": "Site", "fixed": "", "mode": "field"},
                "textConfig": {
                    "fontSize": 11,
                    "offsetX": 0,
                    "offsetY": 16,
                    "textAlign": "center",
                    "textBaseline": "middle",
                },
            },
        },
        "location": {"mode": "coords", "latitude": "Latitude", "longitude": "Longitude"},
        "tooltip": True,
    }
    return panel(
        "geomap",
        "Sites",
        "Sites with coordinates in the inventory; colour and tooltip say the worst that is wrong there. The "
        "outlines of "
        "countries come from Grafana itself, nothing from the internet. A click leads to the site.",
        (16, 20),
        [target(Query(_PLACED), 0, at_end=True, form="table")],
        transformations=[
            {
                "id": "organize",
                "options": {
                    "excludeByName": {"Time": True},
                    "indexByName": {"site": 0, "Value": 1, "region": 2, "latitude": 3, "longitude": 4},
                    "renameByName": {
                        "site": "Site",
                        "Value": "State",
                        "region": "Region",
                        "latitude": "Latitude",
                        "longitude": "Longitude",
                    },
                },
            },
            # Labels are text.
            {
                "id": "convertFieldType",
                "options": {
                    "fields": {},
                    "conversions": [
                        {"targetField": name, "destinationType": "number"} for name in ("Latitude", "Longitude")
                    ],
                },
            },
        ],
        fieldConfig={
            "defaults": {
                "unit": "none",
                "color": {"mode": "thresholds"},
                "links": [to("ward-site", site="__data.fields.Site")],
                "noValue": "no site has coordinates",
            },
            "overrides": [
                named(
                    "State",
                    mappings=mapping(SITE_STATES),
                    thresholds=limits((1, ORANGE), (2, YELLOW), (3, BLUE), (4, "green"), below=RED),
                )
            ],
        },
        options={
            "view": {
                "id": "fit",
                "lat": 0,
                "lon": 0,
                "zoom": 12,
                "allLayers": False,
                "layer": _SITES,
                "padding": 10,
            },
            "controls": {
                "showZoom": True,
                "mouseWheelZoom": True,
                "showAttribution": False,
                "showScale": True,
                "showDebug": False,
                "showMeasure": False,
            },
            "basemap": outlines,
            "layers": [sites],
            "tooltip": {"mode": "details"},
        },
    )


def _lists() -> list[Json]:
    site = Column("Site", label="site", links=[to("ward-site", site="__value.raw")])
    return [
        table(
            "Sites with trouble",
            "Cut off, without one of their links, or with a device that is down; the worst first.",
            [
                site,
                Column("State", expr=f"{_STATE} < 3", states=SITE_STATES, width=140),
                Column(
                    "Devices down",
                    expr=f"{q.devices_down(_WHERE)} and on (site) {_STATE} < 3",
                ),
            ],
            sort="State",
            size=(8, 12),
            nothing="every site is up",
        ),
        table(
            "Sites without coordinates",
            "These are not on the map: give them latitude and longitude in the inventory.",
            [
                site,
                Column("Region", label="region"),
                Column(
                    "State",
                    expr=f"{_STATE} * on (site) group_left (region)"
                    f' topk by (site) (1, max by (site, region) (ward_site_info{{latitude="", {_WHERE}}}))',
                    states=SITE_STATES,
                    width=140,
                ),
            ],
            sort="State",
            size=(8, 8),
            nothing="every site is on the map",
        ),
    ]


def build() -> Json:
    return dashboard(
        "ward-map",
        "Where the sites are, and what is wrong there. It needs no tiles from the internet.",
        [Section("", _totals()), Section("", [_map(), *_lists()])],
        variables=[chosen("site", "Site", "ward_site_info, site")],
        where=_WHERE,
    )
