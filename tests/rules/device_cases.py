"""Stories for rules/devices.yml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tests.rules.trials import REASONS, REMEMBERED, Suppressed, Trouble
from tests.rules.world import STALE, STEP, WELL, Alert, Case, Course, Device, Series, Text, Value, ago, scraped

START = 30
OUTAGE: Mapping[str, Value] = {
    "up": 0,
    "last_reply_timestamp_seconds": START - 5,
    "last_change_timestamp_seconds": START,
}
DAY = 86_400
Says = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Kind:
    """ISP links, or the rest: how they are called, and where the alert leads."""

    device: Device
    prefix: str
    name: str
    noun: str
    dashboard: str


ISP = Kind(
    device=Device("a1", "isp", "batumi-02", "magti", rtt_limit=0.1, loss_limit=0.05),
    prefix="IspLink",
    name="ISP link a1 (magti)",
    noun="link",
    dashboard="ward-isp?var-device=a1",
)
REST = Kind(
    device=Device("sw1", "switch", "batumi-02", rtt_limit=0.2, loss_limit=0.1),
    prefix="Device",
    name="sw1 (switch)",
    noun="device",
    dashboard="ward-device?var-device=sw1",
)


def alert(name: str, severity: str, device: Device, tier: str = "") -> Alert:
    labels = {**device.labels, "severity": severity, "provider": device.provider, "tier": tier}
    return Alert(name, {label: value for label, value in labels.items() if value})


def says(
    device: Device, bad: Says, start: int = START, end: int | None = None, suppressed: Suppressed | None = None
) -> list[Series]:
    """A device that says `bad` from the start to the end, and is well before and after."""
    courses: dict[str, Course] = {
        name: {start: value} | ({end: WELL} if end else {}) for name, value in bad.items()
    }
    return device.series(suppressed, **courses)


def where(device: Device) -> str:
    return f"{device.labels['address']} at {device.site}"


def trouble(
    name: str,
    severity: str,
    kind: Kind,
    bad: Says,
    never: Mapping[str, Says],
    enough: Mapping[str, Says],
    after: int,
    words: Mapping[str, str],
    reasons: Sequence[str] = REASONS,
    waits: int = 0,
    remembers: int = 0,
    start: int = START,
    step: int = STEP,
) -> Trouble:
    return Trouble(
        name=name,
        alert=alert(name, severity, kind.device),
        says=lambda end, suppressed: says(kind.device, bad, start, end, suppressed=suppressed),
        fires=start + after,
        never={miss: says(kind.device, other, start) for miss, other in never.items()},
        enough={title: says(kind.device, other, start) for title, other in enough.items()},
        dashboard=kind.dashboard,
        reasons=reasons,
        waits=waits,
        remembers=remembers,
        at_once=after == 0,
        step=step,
        # Who is down has an alert of its own for that.
        matching='tier=""' if name.endswith("Down") else 'alertname!~".+Down|.+Prolonged"',
        **words,
    )


def down(kind: Kind, severity: str) -> Trouble:
    # At 35 s it is 10 s since the last reply, which is not more than 10; and at 40 s since the verdict.
    text = f"{where(kind.device)} has not answered for more than 10 s."
    return trouble(
        f"{kind.prefix}Down",
        severity,
        kind,
        bad=OUTAGE,
        never={
            "10 s since the last reply, and the verdict": {
                "up": 0,
                "last_reply_timestamp_seconds": ago(10),
                "last_change_timestamp_seconds": ago(10),
            },
            "no reply, but still up": {"last_reply_timestamp_seconds": 0},
        },
        enough={
            "more than 10 s since the last reply": {
                "up": 0,
                "last_reply_timestamp_seconds": ago(10.05),
                "last_change_timestamp_seconds": ago(7),
            },
            "still down, though a reply gets through now and then": {
                "up": 0,
                "last_reply_timestamp_seconds": ago(1),
                "last_change_timestamp_seconds": ago(10.05),
            },
        },
        after=10,
        words={
            "summary": f"{kind.name} is down",
            "description": text,
            "held": f"The exporter is silent; last known: {text}",
        },
        remembers=REMEMBERED,
    )


def flapping(kind: Kind, severity: str) -> Trouble:
    text = f"{where(kind.device)} goes up and down. Until it is steady this is its only alert."
    return trouble(
        f"{kind.prefix}Flapping",
        severity,
        kind,
        bad={"flapping": 1},
        never={"changes, but too few": {"flapping": 0}},
        enough={"and is down": {"flapping": 1, "up": 0}},
        after=10,
        waits=10,
        words={
            "summary": f"{kind.name} is flapping",
            "description": text,
            "held": f"The exporter is silent; last known: {text}",
        },
        reasons=("maintenance", "shadowed", "mass_outage"),
    )


def slow(kind: Kind, severity: str, rtt: float, shown: str) -> Trouble:
    limit = kind.device.rtt_limit
    return trouble(
        f"{kind.prefix}HighLatency",
        severity,
        kind,
        bad={"rtt_seconds": rtt},
        never={
            "at the limit": {"rtt_seconds": limit},
            "a limit of its own": {"rtt_seconds": rtt, "rtt_threshold_seconds": rtt},
            "down": {"rtt_seconds": rtt, "up": 0},
        },
        enough={"a limit of its own": {"rtt_seconds": 0.0201, "rtt_threshold_seconds": 0.02}},
        after=60,
        words={
            "summary": f"{kind.name} is slow",
            "description": (
                f"The mean round-trip time to {where(kind.device)} is {shown}, over the {kind.noun}'s limit."
            ),
            "held": "The exporter is silent; last known: over its limit.",
        },
        waits=60,
    )


def lossy(kind: Kind, severity: str, loss: float, shown: str) -> Trouble:
    limit = kind.device.loss_limit
    return trouble(
        f"{kind.prefix}PacketLoss",
        severity,
        kind,
        bad={"packet_loss_ratio": loss},
        never={
            "at the limit": {"packet_loss_ratio": limit},
            "a limit of its own": {"packet_loss_ratio": loss, "packet_loss_threshold_ratio": loss},
            "down": {"packet_loss_ratio": loss, "up": 0},
            "up for no more than a minute": {"packet_loss_ratio": loss, "last_change_timestamp_seconds": ago(60)},
        },
        enough={
            "a limit of its own": {"packet_loss_ratio": 0.0201, "packet_loss_threshold_ratio": 0.02},
            "up for more than a minute": {"packet_loss_ratio": loss, "last_change_timestamp_seconds": ago(60.05)},
        },
        after=60,
        words={
            "summary": f"{kind.name} loses packets",
            "description": f"{shown} of the pings to {where(kind.device)} are lost, over the {kind.noun}'s limit.",
            "held": "The exporter is silent; last known: over its limit.",
        },
        waits=60,
    )


def prolonged(tier: str, seconds: int, words: str) -> Trouble:
    # Down since long ago, so that the case need not last for an hour: the limit is 30 s after the start.
    bad: Says = {"up": 0, "last_change_timestamp_seconds": START + 30 - seconds}
    never: Mapping[str, Says] = {
        "just below": {"up": 0, "last_change_timestamp_seconds": ago(seconds - 0.001)},
        "up": {"up": 1, "last_change_timestamp_seconds": START + 30 - seconds},
    }
    device = ISP.device
    return Trouble(
        name=f"DeviceDownProlonged {tier}",
        alert=alert("DeviceDownProlonged", "critical", device, tier),
        says=lambda end, suppressed: says(device, bad, end=end, suppressed=suppressed),
        fires=START + 30,
        never={miss: says(device, other) for miss, other in never.items()},
        enough={"at the limit": says(device, {"up": 0, "last_change_timestamp_seconds": ago(seconds)})},
        summary=f"a1 (magti, isp) has been down for {words}",
        description=f"{where(device)} is still down.",
        held=f"The exporter is silent; last known: {where(device)} is still down.",
        dashboard="ward-device?var-device=a1",
        # An outage that something else explained until now escalates after as long again.
        remembers=(900 if tier == "1" else 3600) - STEP,
        # Who is down for an hour is also down for 15 minutes.
        matching=f'tier="{tier}"',
    )


DOWN = (down(ISP, "critical"), down(REST, "high"))
FLAPPING = (flapping(ISP, "critical"), flapping(REST, "medium"))
SLOW = (slow(ISP, "high", 0.12, "120ms"), slow(REST, "medium", 0.25, "250ms"))
LOSSY = (lossy(ISP, "high", 0.0625, "6.25%"), lossy(REST, "medium", 0.125, "12.5%"))
PROLONGED = (prolonged("1", 900, "15 minutes"), prolonged("2", 3600, "an hour"))
PATH = trouble(
    "PathChanged",
    "low",
    ISP,
    bad={"path_changes_total": 2},
    never={"no step": {"path_changes_total": 0}, "down": {"path_changes_total": 2, "up": 0}},
    enough={"one step": {"path_changes_total": 1}},
    after=0,
    words={
        "summary": "The path of ISP link a1 (magti) has changed",
        "description": (
            f"The time to live of replies from {where(ISP.device)} has stepped 2 times in a day: they come "
            "another way."
        ),
        "held": "The exporter is silent; last known: a change.",
    },
    # It compares with a day before.
    start=DAY,
    step=150,
)
BARE = replace(REST.device, name="bare", role="", site="")
BARE_LINK = replace(ISP.device, name="a2", site="", provider="")


def cases() -> Iterator[Case]:
    for one in (*DOWN, *FLAPPING, *SLOW, *LOSSY, *PROLONGED, PATH):
        yield from one.cases()
    for one in (*DOWN, *FLAPPING, *SLOW, *LOSSY, PATH):
        yield one.text("texts")
    yield PROLONGED[1].text("prolonged", PROLONGED[0])
    for isp, rest in (DOWN, FLAPPING, SLOW, LOSSY):
        yield Case(
            f"{isp.name} is of ISP links, {rest.name} of the rest",
            scraped([*isp.says(None, {}), *rest.says(None, {})]),
            {isp.fires: [isp.alert, rest.alert]},
        )
    yield from _more()


def _down(device: Device, suppressed: Suppressed, since: int = START) -> list[Series]:
    told: dict[str, Course] = {
        "up": {since: 0},
        "last_change_timestamp_seconds": {since: since},
        "last_reply_timestamp_seconds": {since: since - 5},
    }
    return device.series(suppressed, **told)


def _more() -> Iterator[Case]:
    bare_link, bare = alert("IspLinkDown", "critical", BARE_LINK), alert("DeviceDown", "high", BARE)
    yield Case(
        "a link of no provider and no site, a device of no role",
        scraped([*_down(BARE_LINK, {}), *_down(BARE, {})]),
        {40: [bare_link, bare]},
        [
            Text(
                40,
                bare_link,
                "ISP link a2 is down",
                "a2.example has not answered for more than 10 s.",
                "ward-isp?var-device=a2",
            ),
            Text(
                40,
                bare,
                "bare is down",
                "bare.example has not answered for more than 10 s.",
                "ward-device?var-device=bare",
            ),
        ],
        world="bare",
    )
    yield Case(
        "a device that has never answered is down at once",
        scraped(REST.device.series(up=0, last_change_timestamp_seconds=0, last_reply_timestamp_seconds=0)),
        {10: [], 15: [DOWN[1].alert]},
    )
    yield Case(
        "a suppression that ends before its outage leaves an alert of its own",
        scraped(_down(REST.device, {"shadowed": {30: 1, 120: STALE}})),
        {40: [], 125: [], 135: [DOWN[1].alert]},
    )
    yield Case(
        "an alert goes on for as long as the exporter is silent",
        scraped(_down(ISP.device, {}), (60, 415)),
        {410: [DOWN[0].alert], 415: [DOWN[0].alert]},
    )
    yield Case(
        "what was up again when the exporter fell silent is not held",
        scraped(says(ISP.device, OUTAGE, end=100), (105, 300)),
        {95: [DOWN[0].alert], 105: [DOWN[0].alert], 110: [], 200: [], 310: []},
    )
    yield Case(
        "PathChanged ends after a day, and a restart of the exporter is no change",
        scraped(ISP.device.series(path_changes_total={0: 3, DAY: 4, 2 * DAY + 3600: 0})),
        {
            DAY - 300: [],
            DAY: [PATH.alert],
            2 * DAY: [PATH.alert],
            2 * DAY + 300: [],
            2 * DAY + 3600: [],
            2 * DAY + 7200: [],
        },
        step=300,
    )
