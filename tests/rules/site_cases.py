"""Stories for rules/sites.yml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from tests.rules.trials import REASONS, REMEMBERED, Suppressed, Trouble, labelled
from tests.rules.world import WELL, Case, Course, Device, Series, Text, Value, ago, said, scraped

START = 30
#: A link's last reply came with its last good sample.
SILENT: Mapping[str, Value] = {
    "up": 0,
    "last_reply_timestamp_seconds": START - 5,
    "last_change_timestamp_seconds": START,
}
#: Down by its verdict, but it may be back at once: neither the last reply nor the verdict is older than 10 s.
AT_THE_LIMIT: Mapping[str, Value] = {
    "up": 0,
    "last_reply_timestamp_seconds": ago(10),
    "last_change_timestamp_seconds": ago(10),
}
ABOVE: Mapping[str, Value] = {**AT_THE_LIMIT, "last_reply_timestamp_seconds": ago(10.05)}
#: A reply gets through now and then.
HARDLY: Mapping[str, Value] = {
    "up": 0,
    "last_reply_timestamp_seconds": ago(1),
    "last_change_timestamp_seconds": ago(10.05),
}
#: A minute without a reply, no more.
FLAPPED: Mapping[str, Value] = {
    "up": 0,
    "last_reply_timestamp_seconds": ago(60),
    "last_change_timestamp_seconds": ago(58),
}
NOT_SHADOWED = tuple(reason for reason in REASONS if reason != "shadowed")
BATUMI = tuple(Device(f"batumi-{name}", "isp", "batumi-02", "magti") for name in "ab")
POTI = tuple(Device(f"poti-{name}", "isp", "poti-01", "magti") for name in "ab")
THIRD = Device("batumi-c", "isp", "batumi-02", "silknet")
BEHIND = tuple(Device(f"batumi-sw{number}", "switch", "batumi-02") for number in (1, 2, 3))


def cut(
    links: Sequence[Device],
    end: int | None = None,
    suppressed: Suppressed | None = None,
    how: Mapping[str, Value] = SILENT,
) -> list[Series]:
    """Links that are down from the start to the end."""
    courses: dict[str, Course] = {
        name: {START: value} | ({end: WELL} if end else {}) for name, value in how.items()
    }
    return [one for link in links for one in link.series(suppressed, **courses)]


def well(devices: Sequence[Device]) -> list[Series]:
    return [one for device in devices for one in device.series()]


def isolated(end: int | None = None, value: float = 1, site: str = "batumi-02") -> Series:
    return said("ward_site_isolated", {0: 0, START: value} | ({end: 0} if end else {}), site=site)


ISOLATED = Trouble(
    name="SiteIsolated",
    alert=labelled("SiteIsolated", "critical", site="batumi-02", role="isp", priority="0"),
    says=lambda end, suppressed: [*cut(BATUMI, end, suppressed), *well(BEHIND), isolated(end)],
    # At 35 s it is 10 s since the last reply.
    fires=40,
    never={
        "one of the links may be back at once": [
            *cut(BATUMI[:1]),
            *cut(BATUMI[1:], how=AT_THE_LIMIT),
            isolated(),
        ],
        "no reply, but not isolated": [*cut(BATUMI), *well(BEHIND), isolated(value=0)],
        "it is another site": [*cut(BATUMI), *well(BEHIND), isolated(value=0), isolated(site="poti-01")],
        "all that is down is in maintenance": [
            *cut(BATUMI, suppressed={"maintenance": 1}),
            *cut(BEHIND),
            isolated(),
        ],
        "one of the links flaps": [*cut(BATUMI[:1]), *cut(BATUMI[1:], suppressed={"flapping": 1}), isolated()],
        "one link was down before the mass outage": [
            *cut(BATUMI[:1]),
            *cut(BATUMI[1:], suppressed={"mass_outage": 1}),
            isolated(),
        ],
    },
    enough={
        "the last replies are more than 10 s old": [*cut(BATUMI, how=ABOVE), *well(BEHIND), isolated()],
        "a reply gets through now and then": [*cut(BATUMI, how=HARDLY), *well(BEHIND), isolated()],
        "something else of the site flaps": [
            *cut(BATUMI),
            *(one for device in BEHIND for one in device.series({"flapping": 1})),
            isolated(),
        ],
        "one of the links is not in maintenance": [
            *cut(BATUMI[:1], suppressed={"maintenance": 1}),
            *cut(BATUMI[1:]),
            isolated(),
        ],
        "the other exporter knows of devices behind the links, this one of none": [
            *cut(BATUMI),
            isolated(),
            *(replace(one, labels={**one.labels, "instance": "second:9841"}) for one in well(BEHIND)),
        ],
    },
    summary="Site batumi-02 is cut off",
    description=(
        "All ISP links of batumi-02 are down. Alerts of what is behind them are held back; "
        "other devices at the site: 3."
    ),
    held="The exporter is silent; last known: all ISP links of the site are down.",
    dashboard="ward-site?var-site=batumi-02",
    reasons=NOT_SHADOWED,
)

REDUNDANCY = Trouble(
    name="SiteRedundancyLost",
    alert=labelled("SiteRedundancyLost", "high", site="batumi-02", role="isp", priority="0"),
    says=lambda end, suppressed: [*cut(BATUMI[:1], end, suppressed), *well(BATUMI[1:]), isolated(value=0)],
    # A minute after the link's own alert.
    fires=100,
    never={
        "all are up": [*well(BATUMI), isolated(value=0)],
        "the link may be back at once": [*cut(BATUMI[:1], how=AT_THE_LIMIT), *well(BATUMI[1:]), isolated(value=0)],
        # SiteIsolated would fire: its links have not answered. Here they have.
        "the site is isolated": [*cut(BATUMI, how=AT_THE_LIMIT), isolated()],
        "a switch is down": [*well(BATUMI), *cut(BEHIND), isolated(value=0)],
        "a link of no site": cut([Device("lonely", "isp", "", "magti")]),
    },
    enough={
        "two links of three": [*cut(BATUMI), *well([THIRD]), isolated(value=0)],
        "a mass outage that began later": [
            *cut(BATUMI[:1]),
            *cut(BATUMI[1:], suppressed={"mass_outage": 1}),
            isolated(),
        ],
        "the other link flaps": [
            *cut(BATUMI[:1]),
            *cut(BATUMI[1:], suppressed={"flapping": 1}, how=FLAPPED),
            isolated(),
        ],
    },
    summary="Site batumi-02 has lost its redundancy",
    description="ISP links of batumi-02 that are down: 1. It hangs on what is left.",
    held="The exporter is silent; last known: some ISP links of the site are down.",
    dashboard="ward-site?var-site=batumi-02",
    reasons=NOT_SHADOWED,
    waits=60,
)


def links(*where: tuple[str, str]) -> list[Device]:
    """A link for each pair of site and provider."""
    return [Device(f"link-{number}", "isp", *pair) for number, pair in enumerate(where)]


THREE = links(("batumi-02", "magti"), ("poti-01", "magti"), ("gori-01", "magti"))
PROVIDER = Trouble(
    name="ProviderOutage",
    alert=labelled("ProviderOutage", "critical", provider="magti", role="isp", priority="0"),
    says=lambda end, suppressed: [
        *cut(THREE[:1]),
        *cut(THREE[1:], end, suppressed),
        *(isolated(value=0, site=link.site) for link in THREE),
    ],
    fires=40,
    never={
        "two sites": cut(THREE[:2]),
        "three links at two sites": cut(links(("a", "magti"), ("b", "magti"), ("b", "magti"))),
        "three sites, two providers": cut(links(("a", "magti"), ("b", "magti"), ("c", "silknet"))),
        "two sites and a link of none": cut(links(("a", "magti"), ("b", "magti"), ("", "magti"))),
        "three links of no provider": cut(links(("a", ""), ("b", ""), ("c", ""))),
        "the third may be back at once": [*cut(THREE[:2]), *cut(THREE[2:], how=AT_THE_LIMIT)],
        "the third is up": [*cut(THREE[:2]), *cut(THREE[2:], how={"last_reply_timestamp_seconds": 0})],
        "not links but switches": cut([Device(f"sw{site}", "switch", site, "magti") for site in "abc"]),
    },
    enough={
        "the last reply of the third is more than 10 s old": [*cut(THREE[:2]), *cut(THREE[2:], how=ABOVE)],
        "a reply of the third gets through now and then": [*cut(THREE[:2]), *cut(THREE[2:], how=HARDLY)],
        "more sites": cut([*THREE, Device("fourth", "isp", "zugdidi-01", "magti")]),
    },
    summary="Provider magti has an outage",
    description="Links of magti at 3 sites are down at once.",
    held="The exporter is silent; last known: links at three or more sites are down.",
    dashboard="ward-isp?var-provider=magti",
    reasons=NOT_SHADOWED,
    remembers=REMEMBERED,
    # The sites have lost redundancy, too, in the end.
    matching='alertname!="SiteRedundancyLost"',
)

SWITCHES = [Device(f"sw{number}", "switch", "hq") for number in range(10)]
WORDS = (
    "more than half of the devices do not answer. So much at once is a fault on our side: the exporter's uplink, "
    "its machine, or a core device. Alerts of single devices are held back."
)


def mass(down: int, how: Mapping[str, Value] = SILENT, value: float = 1, end: int | None = None) -> list[Series]:
    """So many of ten switches are down, and whether that is a mass outage is `value`."""
    return [
        *cut(SWITCHES[:down], end, how=how),
        *well(SWITCHES[down:]),
        said("ward_inventory_devices", 10),
        said("ward_mass_outage", {0: 0, START: value} | ({end: 0} if end else {})),
    ]


MASS = Trouble(
    name="MassOutage",
    alert=labelled("MassOutage", "critical"),
    says=lambda end, suppressed: mass(6, end=end),
    fires=40,
    never={
        "it is none": mass(6, value=0),
        "half of them may be back at once": [*mass(6, AT_THE_LIMIT)],
        "no more than half are down for more than 10 s": mass(5),
    },
    enough={
        "the last replies are more than 10 s old": mass(6, ABOVE),
        "replies get through now and then": mass(6, HARDLY),
    },
    summary="More than half of the inventory is down, seen from exporter:9841",
    description=WORDS,
    held=f"The exporter is silent; last known: {WORDS}",
    dashboard="ward-overview",
    # It is what suppresses.
    reasons=(),
)


def cases() -> Iterator[Case]:
    for one in (ISOLATED, REDUNDANCY, PROVIDER, MASS):
        yield from one.cases()
        yield one.text("texts")
    yield Case(
        "SiteIsolated: a link that flaps is down to its site when it has not answered for a minute",
        scraped([*cut(BATUMI[:1]), *cut(BATUMI[1:], suppressed={"flapping": 1}), *well(BEHIND), isolated()]),
        # The last reply came at 25 s.
        {85: [], 90: [ISOLATED.alert]},
    )
    yield Case(
        "SiteIsolated: one reply of a link that flaps and has been down for long is no end of it",
        scraped(
            [
                *cut(BATUMI, suppressed={"flapping": 1}, how={**SILENT, "last_reply_timestamp_seconds": 149}),
                isolated(),
            ]
        ),
        dict.fromkeys((150, 165, 200, 230), (ISOLATED.alert,)),
    )
    yield Case(
        "SiteRedundancyLost: a link that flaps counts a minute after it fell, and is waited for like others",
        scraped([*cut(BATUMI[:1], suppressed={"flapping": 1}), *well(BATUMI[1:]), isolated(value=0)]),
        # The minute of its last reply is over at 85 s.
        {145: [], 155: [REDUNDANCY.alert]},
    )
    yield Case(
        "ProviderOutage: a link that flaps counts a minute after it fell",
        scraped(
            [
                *cut(THREE, suppressed={"flapping": 1}),
                *(isolated(value=0, site=link.site) for link in THREE),
            ]
        ),
        {85: [], 90: [PROVIDER.alert]},
    )
    yield Case(
        "SiteIsolated: so it is if all of its links flap, and in a mass outage it is not",
        scraped(
            [
                *cut(BATUMI, suppressed={"flapping": 1}),
                isolated(),
                *cut(POTI, suppressed={"flapping": 1, "mass_outage": 1}),
                isolated(site="poti-01"),
            ]
        ),
        {85: [], 90: [ISOLATED.alert]},
    )
    yield Case(
        "SiteIsolated of a site with nothing behind its links",
        scraped([*cut(BATUMI), isolated()]),
        texts=[
            Text(
                40,
                ISOLATED.alert,
                ISOLATED.summary,
                ISOLATED.description.replace("site: 3", "site: 0"),
                ISOLATED.dashboard,
            )
        ],
        world="nothing behind",
    )
