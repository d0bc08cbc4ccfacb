"""Stories of several exporters: vantage points that vote, a pair, and shards of one inventory.

Each has a job of its own, by which its alerts are found: those of several exporters have no `instance`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from tests.rules.device_cases import ISP, OUTAGE, REST, SLOW, START, says
from tests.rules.site_cases import BATUMI, THREE, cut, isolated, well
from tests.rules.world import STALE, Alert, Answer, Case, Course, Device, Labels, Series, Text, said, scraped

FIRING = 'max without (alertgroup) (ALERTS{{alertstate="firing", alertname!="Watchdog", job="{job}"}})'
OTHERS = [Device(f"other-{number}", "switch", f"site-{number}") for number in range(9)]
EVERYTHING = [*OTHERS, ISP.device]
#: What an exporter shows, and from when to when it is silent.
Seen = Sequence[Series] | tuple[Sequence[Series], tuple[int, int]]
#: An alert that is about no exporter, and one that is.
Fires = Mapping[int, Sequence[Alert]]


def exporter(shown: Seen, job: str, **labels: str) -> list[Series]:
    """What an exporter shows, and its `up`, with these labels of its target."""
    series, silent = (shown[0], [shown[1]]) if isinstance(shown, tuple) else (shown, [])
    own = [] if any(one.name == "ward_mass_outage" for one in series) else itself()
    return [replace(one, labels={**one.labels, "job": job, **labels}) for one in scraped([*series, *own], *silent)]


def itself(mass: Course = 0) -> list[Series]:
    return [said("ward_inventory_devices", len(EVERYTHING)), said("ward_mass_outage", mass)]


def blind() -> list[Series]:
    """All devices down, each held back, for more than half are."""
    held: Mapping[str, Course] = {"mass_outage": {START: 1}}
    return [
        *(one for device in EVERYTHING for one in says(device, OUTAGE, suppressed=held)),
        *itself({0: 0, START: 1}),
    ]


def votes(name: str, shown: Mapping[str, Seen], fires: Fires, texts: Sequence[Text] = (), world: str = "") -> Case:
    """A story of vantage points, by their names."""
    job = f"ward-{name}"
    series = [
        one
        for vantage, what in shown.items()
        for one in exporter(what, job, instance=f"{vantage}:9841", vantage=vantage)
    ]
    return _case(name, series, job, fires, texts, world)


def _case(
    name: str, series: Sequence[Series], job: str, fires: Fires, texts: Sequence[Text] = (), world: str = ""
) -> Case:
    """`fires` without the label `job`, which is the story's."""
    gives = [
        Answer(second, FIRING.format(job=job), [(_firing(alert, job), 1) for alert in alerts])
        for second, alerts in fires.items()
    ]
    return Case(name, series, gives=gives, texts=texts, world=world or "several")


def _firing(alert: Alert, job: str) -> Labels:
    return {"alertname": alert.name, "alertstate": "firing", "job": job, **alert.labels}


def of(device: Device, name: str, severity: str, provider: str = "") -> Alert:
    """An alert about a device, of no exporter."""
    labels = {key: value for key, value in device.labels.items() if key not in ("job", "instance")}
    return Alert(name, {**labels, "severity": severity, **({"provider": provider} if provider else {})})


LINK_DOWN = of(ISP.device, "IspLinkDown", "critical", ISP.device.provider)
SWITCH_DOWN = of(REST.device, "DeviceDown", "high")
FLAPPING = of(ISP.device, "IspLinkFlapping", "critical", ISP.device.provider)
LATENCY = of(ISP.device, "IspLinkHighLatency", "high", ISP.device.provider)
ISP_SITE = {"role": "isp", "priority": "0"}
DOWN, UP = says(ISP.device, OUTAGE), ISP.device.series()
SWITCH = says(REST.device, OUTAGE)
MASS = Alert("MassOutage", {"severity": "critical"})


def peer(severity: str, name: str, **labels: str) -> Alert:
    return Alert(name, {"severity": severity, "component": "exporter", **labels})


BLIND = peer("high", "VantageBlind", instance="a:9841", vantage="a")
OFF, ON = list[Alert](), [LINK_DOWN]


def cases() -> Iterator[Case]:
    yield from _majority()
    yield from _blind()
    yield from _silent()
    yield from _sites()
    yield from _shards()
    yield from _recorded()


def _majority() -> Iterator[Case]:
    yield votes("one says down", {"a": DOWN, "b": UP, "c": UP}, {40: OFF, 100: OFF})
    yield votes(
        "two say down",
        {"a": says(ISP.device, OUTAGE, end=80), "b": says(ISP.device, OUTAGE, end=80), "c": UP},
        {35: OFF, 40: ON, 85: ON, 90: OFF},
    )
    yield votes("one of two says down", {"a": DOWN, "b": UP}, {40: OFF, 100: OFF})
    yield votes("both say down", {"a": DOWN, "b": DOWN}, {35: OFF, 40: ON})
    yield votes("the only one says down", {"a": DOWN}, {35: OFF, 40: ON})
    yield votes("two say that a switch is down", {"a": SWITCH, "b": SWITCH, "c": []}, {35: OFF, 40: [SWITCH_DOWN]})
    maintained = says(ISP.device, OUTAGE, suppressed={"maintenance": 1})
    yield votes("in maintenance", {"a": maintained, "b": maintained, "c": DOWN}, {40: OFF, 100: OFF})
    flapping = ISP.device.series({"flapping": {30: 1}}, flapping={30: 1})
    yield votes("it flaps for one", {"a": flapping, "b": UP, "c": UP}, {60: OFF})
    yield votes("it flaps for two", {"a": flapping, "b": flapping, "c": UP}, {40: [FLAPPING], 60: [FLAPPING]})
    slow = SLOW[0].says(None, {})
    yield votes("it is slow for one", {"a": slow, "b": UP, "c": UP}, {90: OFF, 100: OFF})
    yield votes("it is slow for two", {"a": slow, "b": slow, "c": UP}, {85: OFF, 90: [LATENCY], 100: [LATENCY]})


def _blind() -> Iterator[Case]:
    rest = [one for device in OTHERS for one in device.series()]
    fine = [*rest, *UP]
    late = {"up": 0, "last_reply_timestamp_seconds": 55, "last_change_timestamp_seconds": 60}
    cut_off = [*rest, *says(ISP.device, late, 60)]
    yield votes("one is blind", {"a": blind(), "b": fine, "c": fine}, {40: OFF, 85: OFF, 90: [BLIND], 100: [BLIND]})
    yield votes(
        "one is blind, and the others see an outage",
        {"a": blind(), "b": cut_off, "c": cut_off},
        {65: OFF, 70: ON, 90: [BLIND, LINK_DOWN]},
    )
    yield votes(
        "one is blind, and the others do not agree",
        {"a": blind(), "b": cut_off, "c": fine},
        {70: OFF, 90: [BLIND], 100: [BLIND]},
    )
    yield votes("all are blind", {"a": blind(), "b": blind(), "c": blind()}, {35: OFF, 40: [MASS], 100: [MASS]})


def _silent() -> Iterator[Case]:
    yield votes(
        "one is silent, and one of two says down", {"a": (DOWN, (20, 100)), "b": DOWN, "c": UP}, {40: OFF, 80: OFF}
    )
    yield votes("one is silent, and both say down", {"a": (UP, (20, 100)), "b": DOWN, "c": DOWN}, {35: OFF, 40: ON})
    yield votes(
        "one falls silent during an outage",
        {"a": (DOWN, (60, 200)), "b": DOWN, "c": DOWN},
        {40: ON, 60: ON, 65: ON, 100: ON},
    )
    short = says(ISP.device, OUTAGE, end=100)
    yield votes(
        "all are silent: it goes on until they say otherwise",
        {"a": (short, (60, 100)), "b": (short, (60, 100)), "c": (short, (60, 100))},
        {40: ON, 60: ON, 80: ON, 95: ON, 105: ON, 110: OFF},
    )


def _sites() -> Iterator[Case]:
    links = [of(link, "IspLinkDown", "critical", "magti") for link in BATUMI]
    off = [*cut(BATUMI), isolated()]
    on = [*well(BATUMI), isolated(value=0)]
    site = Alert("SiteIsolated", {"severity": "critical", "site": "batumi-02", **ISP_SITE})
    yield votes("a site is cut off for one", {"a": off, "b": on, "c": on}, {40: OFF, 85: OFF, 90: [BLIND]})
    yield votes(
        "a site is cut off for two",
        {"a": off, "b": off, "c": on},
        {35: OFF, 40: [*links, site], 80: [*links, site]},
    )
    half = [*cut(BATUMI[:1]), *well(BATUMI[1:]), isolated(value=0)]
    lost = Alert("SiteRedundancyLost", {"severity": "high", "site": "batumi-02", **ISP_SITE})
    yield votes(
        "one link of a site",
        {"a": half, "b": half, "c": on},
        {40: links[:1], 95: links[:1], 100: [*links[:1], lost]},
    )
    provider = Alert("ProviderOutage", {"severity": "critical", "provider": "magti", **ISP_SITE})
    three = [of(link, "IspLinkDown", "critical", "magti") for link in THREE]
    sites = [isolated(value=0, site=link.site) for link in THREE]
    out, fine = [*cut(THREE), *sites], [*well(THREE), *sites]
    yield votes("three links of a provider", {"a": out, "b": out, "c": fine}, {35: OFF, 40: [*three, provider]})


def _shards() -> Iterator[Case]:
    """Links of one provider at three sites, of which no exporter has more than two."""

    def shards(name: str, last: Sequence[Series], fires: Fires) -> Case:
        job = f"ward-{name}"
        series = [
            *exporter(cut(THREE[:2]), job, instance="0:9841"),
            *exporter(last, job, instance="1:9841"),
        ]
        return _case(name, series, job, fires)

    def down(link: Device, instance: str) -> Alert:
        alert = of(link, "IspLinkDown", "critical", "magti")
        return replace(alert, labels={**alert.labels, "instance": instance})

    links = [down(THREE[0], "0:9841"), down(THREE[1], "0:9841"), down(THREE[2], "1:9841")]
    provider = Alert("ProviderOutage", {"severity": "critical", "provider": "magti", **ISP_SITE})
    yield shards(
        "a provider over two shards", cut(THREE[2:]), {35: OFF, 40: [*links, provider], 90: [*links, provider]}
    )
    yield shards("a provider in one shard", well(THREE[2:]), {40: links[:2], 90: links[:2]})
    yield _divided("all shards are there", {"0": 3, "1": 3, "2": 3}, {400: OFF})
    missing = peer("critical", "ShardMissing")
    yield _divided("a shard is missing", {"0": 3, "2": 3}, {295: OFF, 305: [missing], 400: [missing]})
    yield _divided("two do not agree", {"0": 2, "1": 3, "2": 3}, {295: OFF, 305: [missing], 400: [missing]})
    yield _divided("one falls silent", {"0": 2, "1": {0: 2, 60: STALE}}, {400: OFF})
    yield from _shrunk()


def _shrunk() -> Iterator[Case]:
    """A fifth less: as four parts have become five, or without that."""
    shrunk = peer("high", "InventoryShrunk", instance="0:9841")
    for name, parts, alerts in (("divided anew", {0: 4, 60: 5}, OFF), ("devices are gone", 4, [shrunk])):
        told = _divided(name, {"0": parts}, {100: alerts})
        labels = {"job": f"ward-{name}", "instance": "0:9841"}
        yield replace(told, series=[*told.series, Series("ward_inventory_devices", labels, {0: 1000, 60: 800})])


def _divided(name: str, parts: Mapping[str, Course], fires: Fires) -> Case:
    job = f"ward-{name}"
    series = [
        Series("ward_inventory_shards", {"job": job, "instance": f"{shard}:9841", "shard": shard}, course)
        for shard, course in parts.items()
    ]
    return _case(name, series, job, fires, world="shards")


def _recorded() -> Iterator[Case]:
    name = "recorded"
    tie = replace(ISP.device, name="tie")
    shown = {"a": [*DOWN, *tie.series()], "b": [*DOWN, *says(tie, OUTAGE)]}
    told = votes(name, shown, {})
    want = [
        ({key: value for key, value in device.labels.items() if key != "instance"} | {"job": f"ward-{name}"}, value)
        for device, value in ((ISP.device, 0.0), (tie, 1.0))
    ]
    asked = f'1 * device:ward_device_up:quorum{{job="ward-{name}"}}'
    yield replace(told, gives=[Answer(60, asked, want)])


def alone() -> Iterator[Case]:
    """Those that need a job of the shipped name, and so a world each."""
    yield from _pair()
    down = peer("critical", "ExporterDown", instance="a:9841", vantage="a")
    others = [replace(down, labels={**down.labels, "instance": f"{one}:9841", "vantage": one}) for one in "bc"]
    gone = peer("high", "ExporterPeerDown", instance="a:9841", vantage="a")
    a, b, c = ((UP, silent) for silent in ((30, 200), (70, 200), (70, 200)))
    yield _shipped(
        "vantage points die",
        [
            one
            for vantage, shown in (("a", a), ("b", b), ("c", c))
            for one in exporter(shown, "ward-exporter", instance=f"{vantage}:9841", vantage=vantage)
        ],
        {35: OFF, 40: [gone], 65: [gone], 100: [down, *others]},
    )
    yield _texts()


def _pair() -> Iterator[Case]:
    """Both have one `instance`, and their gauges are the same series; `up` is each one's own."""

    def pair(name: str, series: Sequence[Series], ups: Mapping[str, Course], fires: Fires) -> Case:
        found = [
            *(one for one in scraped([*series, *itself()]) if one.name != "up"),
            *(
                Series("up", {"job": "ward-exporter", "instance": "exporter:9841", "replica": one}, up)
                for one, up in ups.items()
            ),
        ]
        return _shipped(name, found, fires)

    link = Alert("IspLinkDown", {**LINK_DOWN.labels, "instance": "exporter:9841"})
    gone = peer("high", "ExporterPeerDown", instance="exporter:9841", replica="a")
    both = peer("critical", "ExporterDown", instance="exporter:9841")
    yield pair(
        "one of a pair is dead, and an outage comes and goes",
        says(
            ISP.device, {**OUTAGE, "last_reply_timestamp_seconds": 55, "last_change_timestamp_seconds": 60}, 60, 100
        ),
        {"a": {0: 1, 30: 0}, "b": 1},
        {35: OFF, 40: [gone], 65: [gone], 70: [gone, link], 105: [gone, link], 110: [gone]},
    )
    unsure = Device("b1", "isp", "poti-01", "magti")
    yield pair(
        "a pair that does not agree on a link's provider tells of the others",
        [*DOWN, *unsure.series(), Series("ward_device_info", {**unsure.labels, "provider": "silknet"}, 1)],
        {"a": 1, "b": 1},
        {35: OFF, 40: [link], 60: [link]},
    )
    hushed = [one for one in scraped([*DOWN, *itself()], (60, 200)) if one.name != "up"]
    yield pair(
        "both of a pair are dead: what fires goes on",
        hushed,
        {"a": {0: 1, 60: 0}, "b": {0: 1, 60: 0}},
        {40: [link], 60: [link], 75: [link, both], 100: [link, both]},
    )


def _shipped(name: str, series: Sequence[Series], fires: Fires) -> Case:
    return _case(name, series, "ward-exporter", fires, world=name)


def _texts() -> Case:
    words = "a1.example at batumi-02 has not answered for more than 10 s."
    silent = (60, 200)
    alert = replace(LINK_DOWN, labels={**LINK_DOWN.labels, "job": "ward-texts"})
    return votes(
        "texts",
        {"a": (DOWN, silent), "b": (DOWN, silent), "c": (UP, silent)},
        {},
        [
            Text(second, alert, "ISP link a1 (magti) is down", said_of, "ward-isp?var-device=a1")
            for second, said_of in (
                (40, f"{words} Vantage points that say so: 2."),
                (90, f"The vantage points are silent; last known: {words}"),
            )
        ],
        "texts",
    )
