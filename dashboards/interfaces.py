"""Interfaces: traffic, use, errors and state, by SNMP."""

from __future__ import annotations

from dashboards import queries as q
from dashboards.board import Section, chosen, dashboard
from dashboards.look import ORANGE, PORTS, RED, WANTED, YELLOW, Json, limits, to
from dashboards.panels import SNMP, Column, Query, matching, quiet, series, stat, table, timeline

_WHERE = f'{q.CHOSEN}, ifName=~"$interface"'
_NAME = "{{device}} {{ifName}}"
_MIRRORED = matching(" out$", custom__transform="negative-Y")
_TO_DEVICE = [to("ward-device", device="__field.labels.device")]
_NO_SNMP = "no chosen device is polled by SNMP"
#: Down (2), not present (6) or down with the layer below (7), as the alert InterfaceDown has it: neither up, nor
#: testing, unknown or dormant.
_DOWN = "> 1 != 3 != 4 != 5"
#: An interface that its owner has switched off is no trouble.
_WRONG = (
    f"max by ({q.INTERFACE}) (ifOperStatus{{{_WHERE}}}) {_DOWN}"
    f" and on (device, ifIndex) max by (device, ifIndex) (ifAdminStatus{{{_WHERE}}}) == 1"
)
_COUNT = f"count(max by ({q.INTERFACE}) (ifOperStatus{{{_WHERE}}}))"


def _use(direction: str, span: str = "$__rate_interval") -> str:
    """Share of an interface's speed; none for those that do not tell their speed."""
    speed = f"(max by (device, ifIndex) (ifHighSpeed{{{_WHERE}}}) > 0)"
    return f"{q.bits(direction, _WHERE, span)} / on (device, ifIndex) group_left () {speed} / 1e6"


def _lost(kind: str, span: str, moment: str = "", by: str = q.INTERFACE) -> str:
    """Errors or discards, in and out together, a second."""
    return " + ".join(f"max by ({by}) (rate(if{way}{kind}{{{_WHERE}}}[{span}]{moment}))" for way in ("In", "Out"))


def _totals() -> list[Json]:
    size = (6, 4)
    neutral: Json = {"mode": "absolute", "steps": [{"value": None, "color": "blue"}]}
    return [
        stat(
            "Interfaces",
            "Chosen interfaces that have told their state.",
            Query(_COUNT, every=SNMP),
            unit="none",
            size=size,
            thresholds=neutral,
            nothing=_NO_SNMP,
        ),
        stat(
            "Down",
            "Interfaces that are meant to be up and are down, not present, or down with the layer below. The alert "
            "InterfaceDown tells only of those that were up within a day.",
            Query(f"count({_WRONG}) or 0 * {_COUNT}", every=SNMP),
            unit="none",
            size=size,
            thresholds=quiet(RED),
            nothing=_NO_SNMP,
        ),
        stat(
            "In",
            "Bits a second of all chosen interfaces together.",
            Query(f"sum({q.bits('In', _WHERE)})", every=SNMP),
            unit="bps",
            size=size,
            thresholds=neutral,
            nothing=_NO_SNMP,
        ),
        stat(
            "Out",
            "Bits a second of all chosen interfaces together.",
            Query(f"sum({q.bits('Out', _WHERE)})", every=SNMP),
            unit="bps",
            size=size,
            thresholds=neutral,
            nothing=_NO_SNMP,
        ),
    ]


def _traffic() -> list[Json]:
    def mirrored(title: str, about: str, unit: str, inwards: str, outwards: str) -> Json:
        return series(
            title,
            about,
            [
                Query(q.busiest(inwards, _WHERE), f"{_NAME} in", SNMP),
                Query(q.busiest(outwards, _WHERE), f"{_NAME} out", SNMP),
            ],
            unit=unit,
            size=(24, 11),
            least=None,
            overrides=[_MIRRORED],
            links=_TO_DEVICE,
            nothing=_NO_SNMP,
        )

    return [
        mirrored(
            "Traffic",
            "Bits a second of the ten busiest interfaces: in is drawn up, out is drawn down.",
            "bps",
            q.bits("In", _WHERE),
            q.bits("Out", _WHERE),
        ),
        mirrored(
            "Use of the line",
            "Traffic as a share of the interface's speed, of the same interfaces: in is drawn up, out is "
            "drawn down.",
            "percentunit",
            _use("In"),
            _use("Out"),
        ),
    ]


def _trouble() -> list[Json]:
    def top(kind: str) -> str:
        whole = _lost(kind, "$__range", " @ end()", "device, ifIndex")
        return f"({_lost(kind, '$__rate_interval')}) and on (device, ifIndex) topk(10, {whole})"

    return [
        series(
            "Errors",
            "Packets a second that were damaged, in and out together; the ten worst interfaces of the time range.",
            [Query(top("Errors"), _NAME, SNMP)],
            unit="pps",
            links=_TO_DEVICE,
            nothing=_NO_SNMP,
        ),
        series(
            "Discards",
            "Sound packets a second that were dropped, in and out together; the ten worst interfaces of the "
            "time range.",
            [Query(top("Discards"), _NAME, SNMP)],
            unit="pps",
            links=_TO_DEVICE,
            nothing=_NO_SNMP,
        ),
    ]


def _state() -> list[Json]:
    def each(metric: str) -> str:
        return f"max by ({q.INTERFACE}) ({metric}{{{_WHERE}}})"

    return [
        table(
            "All chosen interfaces",
            "State now, speed, and means over the time range.",
            [
                Column("Device", label="device", links=[to("ward-device", device="__value.raw")]),
                Column("Interface", label="ifName"),
                Column("Description", label="ifAlias"),
                Column("State", expr=each("ifOperStatus"), every=SNMP, states=PORTS),
                Column("Wanted", expr=each("ifAdminStatus"), every=SNMP, states=WANTED),
                Column("Speed", expr=f"({each('ifHighSpeed')} > 0) * 1e6", every=SNMP, unit="bps"),
                Column("In", expr=q.bits("In", _WHERE, "$__range"), every=SNMP, unit="bps"),
                Column("Out", expr=q.bits("Out", _WHERE, "$__range"), every=SNMP, unit="bps"),
                Column(
                    "Use",
                    expr=f"{_use('In', '$__range')} > {_use('Out', '$__range')} or {_use('Out', '$__range')}",
                    every=SNMP,
                    unit="percentunit",
                    decimals=1,
                    thresholds=limits((0.7, YELLOW), (0.9, ORANGE)),
                ),
                Column("Errors", expr=_lost("Errors", "$__range"), every=SNMP, unit="pps"),
                Column("Discards", expr=_lost("Discards", "$__range"), every=SNMP, unit="pps"),
            ],
            sort="Use",
            descending=True,
            size=(24, 12),
            nothing=_NO_SNMP,
        ),
        timeline(
            "Interfaces that were down",
            "Of those that are meant to be up, the ones that were down, not present, or down with the layer below "
            "within the time range, 20 a page.",
            Query(
                f"{each('ifOperStatus')} and on (device, ifIndex)"
                f" (max_over_time((ifOperStatus{{{_WHERE}}} {_DOWN})[$__range:$__interval] @ end())"
                f" and on (device, ifIndex) ifAdminStatus{{{_WHERE}}} @ end() == 1)",
                _NAME,
                SNMP,
            ),
            PORTS,
            size=(24, 8),
            links=_TO_DEVICE,
            nothing="every interface was up",
        ),
    ]


def build() -> Json:
    return dashboard(
        "ward-interfaces",
        "What goes through the interfaces of the chosen devices, how full the lines are, and what is lost.",
        [
            Section("", _totals()),
            Section("Traffic", _traffic()),
            Section("Errors and discards", _trouble()),
            Section("State", _state()),
        ],
        variables=[
            chosen("site", "Site", "ifOperStatus, site"),
            chosen("role", "Role", 'ifOperStatus{site=~"$site"}, role'),
            chosen("device", "Device", 'ifOperStatus{site=~"$site", role=~"$role"}, device'),
            chosen("interface", "Interface", 'ifOperStatus{device=~"$device"}, ifName'),
        ],
        where='site=~"$site", role=~"($role)?", device=~"($device)?"',
        refresh="1m",
    )
