"""What a person reads of each channel: all turned on in a real Alertmanager, before stand-ins for their servers."""

from __future__ import annotations

import html
import json
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from tests.alertmanager.shipped import (
    CHANNELS,
    EXTERNAL,
    NEWEST,
    alert,
    config,
    in_a_hurry,
    post,
    receivers,
    text,
    turn_on,
)
from tests.alertmanager.sinks import Mail, MailServer, Service
from tests.servers import Alertmanager, Generation

LABELS = {
    **{"alertname": "IspLinkDown", "severity": "critical", "device": "tbilisi-01-isp-a", "address": "10.1.1.5"},
    **{"site": "tbilisi-01", "role": "isp", "priority": "0", "provider": "magti"},
    **{"job": "ward-exporter", "instance": "exporter:9841"},
    # The inventory's own label, with all that is special in a URL, in a matcher, in HTML or in Slack.
    "note": 'room "3" & <b>1+1</b>, 100% ქ\\',
}
RUNBOOK = "https://runbooks.example/IspLinkDown"
DASHBOARD = "https://grafana.example/d/ward-isp?var-device=tbilisi-01-isp-a&from=now-1h"
ANNOTATIONS = [
    ("summary", "ISP link tbilisi-01-isp-a (magti) is down"),
    ("description", "10.1.1.5 at <tbilisi-01> has not answered for more than 10 s."),
    ("runbook_url", RUNBOOK),
    ("dashboard_url", DASHBOARD),
]
STARTED, ENDED = "2025-03-26T23:12:45Z", "2025-03-26T23:14:10Z"
DOWN = alert(LABELS, ANNOTATIONS, startsAt=STARTED)
MATCHERS = ",".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in sorted(LABELS.items()))
#: alertname is the first, as in Alertmanager's own links.
MATCHERS = 'alertname="IspLinkDown",' + MATCHERS.replace('alertname="IspLinkDown",', "")
SILENCE = f"{EXTERNAL}/#/silences/new?filter=" + urllib.parse.quote("{" + MATCHERS + "}", safe="")

TITLE = "CRITICAL tbilisi-01: ISP link tbilisi-01-isp-a (magti) is down, since 27 Mar 03:12:45 +04"
TITLE_RESOLVED = "RESOLVED tbilisi-01: ISP link tbilisi-01-isp-a (magti) is down, after 1m 25s"
WHERE = "tbilisi-01, tbilisi-01-isp-a, 10.1.1.5, provider magti"
SINCE = "27 Mar 03:12:45 +04 (AGE)"
PERIOD = "27 Mar 03:12:45 +04 to 27 Mar 03:14:10 +04 (1m 25s)"
PLAIN = f"""\
CRITICAL: ISP link tbilisi-01-isp-a (magti) is down
Where: {WHERE}
Since: {SINCE}
10.1.1.5 at <tbilisi-01> has not answered for more than 10 s.
Runbook: {RUNBOOK}
Dashboard: {DASHBOARD}
Silence: {SILENCE}"""
PLAIN_RESOLVED = f"""\
RESOLVED: ISP link tbilisi-01-isp-a (magti) is down
Where: {WHERE}
From: {PERIOD}"""


@dataclass(frozen=True, slots=True)
class Told:
    """All that came in, of one alert that fired and was resolved."""

    service: Service
    mails: list[Mail]
    alertmanager: Alertmanager
    #: Whole seconds that the alert had been firing when its first message was written, at least and at most.
    age: tuple[float, float]

    def bodies(self, path: str) -> list[Any]:
        return [request.body for request in self.service.got(path, 2)]

    def texts(self, *found: str) -> list[str]:
        return [self.aged(one) for one in found]

    def aged(self, found: str) -> str:
        """`found` with its age, which must be right, as AGE."""
        for age in re.findall(r"\(((?:\d+[dhms] ?){4})\)", found):
            days, hours, minutes, seconds = (int(part[:-1]) for part in age.split())
            assert self.age[0] <= ((days * 24 + hours) * 60 + minutes) * 60 + seconds <= self.age[1]
            found = found.replace(f"({age})", "(AGE)")
        return found


@pytest.fixture(scope="module", params=NEWEST, ids=lambda one: one.name)
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    generation: Generation = request.param
    secrets = tmp_path_factory.mktemp("secrets")
    with Service() as service, MailServer(secrets) as mail:
        running = in_a_hurry(config())
        turn_on(running, "isp", *CHANNELS)
        isp = receivers(running)["isp"]
        isp["email_configs"][0] |= {"smarthost": mail.address, "tls_config": {"ca_file": str(mail.certificate)}}
        isp["pagerduty_configs"][0]["url"] = f"{service.url}/pagerduty"
        isp["opsgenie_configs"][0]["api_url"] = f"{service.url}/opsgenie/"
        # An editor ends the last line; Alertmanager must not take that for a part of the secret.
        for name in ("slack", "teams", "webhook", "sms"):
            (secrets / f"{name}_url").write_text(f"{service.url}/{name}\n")
        for name in ("smtp_password", "pagerduty_key", "opsgenie_key"):
            (secrets / name).write_text(f"{name} of the test\n")
        file = text(running, secrets, f"{service.url}/log")
        with Alertmanager(
            file, generation=generation, arguments=[f"--web.external-url={EXTERNAL}"]
        ) as alertmanager:
            paths = ("/slack", "/teams", "/pagerduty", "/webhook", "/sms", "/log")
            before = time.time()
            post(alertmanager, DOWN)
            for path in paths:
                service.got(path)
            service.got("/opsgenie/v2/alerts", 3)
            mail.got()
            started = datetime.fromisoformat(STARTED).timestamp()
            age = (int(before - started), time.time() - started)
            post(alertmanager, DOWN | {"endsAt": ENDED})
            for path in paths:
                service.got(path, 2)
            service.got("/opsgenie/v2/alerts", 4)
            yield Told(service, mail.got(2), alertmanager, age)


def test_email(told: Told) -> None:
    """A mail has the line as its subject, and says the same as plain text and as HTML."""
    firing, resolved = told.mails
    assert firing.message["Subject"] == TITLE
    assert resolved.message["Subject"] == TITLE_RESOLVED
    plain = [mail.message.get_body(("plain",)).get_content().rstrip("\n") for mail in told.mails]
    assert told.texts(*plain) == [PLAIN, PLAIN_RESOLVED]
    shown = [mail.message.get_body(("html",)).get_content() for mail in told.mails]
    body = '<body style="font-family: sans-serif; font-size: 15px; line-height: 1.5; color: #222; max-width: 44em">'
    dashboard = DASHBOARD.replace("&", "&amp;")
    assert told.texts(*shown) == [
        f"""\
<!DOCTYPE html>
<html>
{body}
<p><b>CRITICAL: ISP link tbilisi-01-isp-a (magti) is down</b><br>
{WHERE}<br>
since {SINCE.replace("+", "&#43;")}<br>
10.1.1.5 at &lt;tbilisi-01&gt; has not answered for more than 10 s.<br>
<a href="{RUNBOOK}">Runbook</a> · <a href="{dashboard}">Dashboard</a> · <a href="{SILENCE}">Silence</a></p>
</body>
</html>
""",
        f"""\
<!DOCTYPE html>
<html>
{body}
<p><b>RESOLVED: ISP link tbilisi-01-isp-a (magti) is down</b><br>
{WHERE}<br>
{PERIOD.replace("+", "&#43;")}</p>
</body>
</html>
""",
    ]


def test_email_is_sent_as_sendgrid_wants_it(told: Told) -> None:
    """The mail server is logged in to as `apikey` with the password of the file, and only over TLS."""
    for mail in told.mails:
        assert mail.login == "apikey smtp_password of the test"
        assert mail.encrypted
        assert mail.sender == "FROM:<ward@bank.example>"
        assert mail.to == ["TO:<noc@bank.example>"]


def test_slack(told: Told) -> None:
    """Slack gets the line as title and preview, bold headings, links behind words, and red or green."""
    firing, resolved = (body["attachments"][0] for body in told.bodies("/slack"))
    assert [firing["title"], firing["fallback"]] == [TITLE] * 2
    assert [resolved["title"], resolved["fallback"]] == [TITLE_RESOLVED] * 2
    assert [firing["color"], resolved["color"]] == ["#c4162a", "#2e9e5b"]
    dashboard = DASHBOARD.replace("&", "&amp;")
    assert told.texts(firing["text"], resolved["text"]) == [
        f"""\
*CRITICAL: ISP link tbilisi-01-isp-a (magti) is down*
{WHERE}
since {SINCE}
10.1.1.5 at &lt;tbilisi-01&gt; has not answered for more than 10 s.
<{RUNBOOK}|Runbook> · <{dashboard}|Dashboard> · <{SILENCE}|Silence>""",
        f"""\
*RESOLVED: ISP link tbilisi-01-isp-a (magti) is down*
{WHERE}
{PERIOD}""",
    ]


def test_teams(told: Told) -> None:
    """Teams gets a card with the line as heading, and a paragraph for each line: it runs single ones together."""
    cards = [body["attachments"][0]["content"]["body"] for body in told.bodies("/teams")]
    assert [card[0]["text"] for card in cards] == [TITLE, TITLE_RESOLVED]
    assert told.texts(*(card[1]["text"] for card in cards)) == [
        f"""\
**CRITICAL: ISP link tbilisi-01-isp-a (magti) is down**

{WHERE}

since {SINCE}

10.1.1.5 at <tbilisi-01> has not answered for more than 10 s.

[Runbook]({RUNBOOK}) · [Dashboard]({DASHBOARD}) · [Silence]({SILENCE})""",
        f"""\
**RESOLVED: ISP link tbilisi-01-isp-a (magti) is down**

{WHERE}

{PERIOD}""",
    ]


def test_pagerduty(told: Told) -> None:
    """PagerDuty opens an incident with the line, which its app and SMS show, and closes the same one."""
    firing, resolved = told.bodies("/pagerduty")
    assert firing["routing_key"] == resolved["routing_key"] == "pagerduty_key of the test"
    assert [firing["event_action"], resolved["event_action"]] == ["trigger", "resolve"]
    assert firing["dedup_key"] == resolved["dedup_key"]
    assert [firing["payload"]["summary"], resolved["payload"]["summary"]] == [TITLE, TITLE_RESOLVED]
    assert firing["payload"]["severity"] == "critical"
    parts = {"class": "IspLinkDown", "component": "tbilisi-01-isp-a", "group": "tbilisi-01"}
    assert parts.items() <= firing["payload"].items()
    details = [body["payload"]["custom_details"] for body in (firing, resolved)]
    assert told.texts(details[0]["firing"], details[1]["resolved"]) == [PLAIN, PLAIN_RESOLVED]


def test_opsgenie(told: Told) -> None:
    """Opsgenie opens an alert of the highest priority with the line, and closes the same one."""
    created, *updates, closed = told.service.got("/opsgenie/v2/alerts", 4)
    assert created.path == "/opsgenie/v2/alerts"
    assert created.headers["Authorization"] == "GenieKey opsgenie_key of the test"
    assert created.body["message"] == TITLE
    assert told.texts(created.body["description"]) == [PLAIN]
    assert (created.body["priority"], created.body["entity"]) == ("P1", "tbilisi-01-isp-a")
    for request in (*updates, closed):
        assert request.path.startswith(f"/opsgenie/v2/alerts/{created.body['alias']}/")
    assert closed.path.endswith("/close?identifierType=alias")


@pytest.mark.parametrize("channel", ["webhook", "sms", "log"])
def test_webhooks(told: Told, channel: str) -> None:
    """A webhook gets the alert as JSON, with all that a message is made from, and again when it is resolved."""
    firing, resolved = told.bodies(f"/{channel}")
    assert [firing["version"], firing["status"], resolved["status"]] == ["4", "firing", "resolved"]
    for body in (firing, resolved):
        (one,) = body["alerts"]
        assert one["labels"] == LABELS
        assert one["annotations"] == dict(ANNOTATIONS)
        assert one["startsAt"] == STARTED
    assert resolved["alerts"][0]["endsAt"] == ENDED


def test_nothing_is_left_of_the_templates(told: Told) -> None:
    """No message shows a value that is missing, or a piece of a template."""
    told.service.got("/opsgenie/v2/alerts", 4)
    everything = [json.dumps(request.body) for request in told.service.arrivals.items]
    everything += [mail.message.as_string() for mail in told.mails]
    assert len(everything) == 18
    for one in everything:
        assert not re.search(r"no value|\{\{|\}\}\W*template|%!|<nil>", one)


def matchers(link: str) -> dict[str, str]:
    """What Alertmanager's page takes from a link to a new silence: to it no + is a space, and values are JSON."""
    start, _, query = link.partition("?filter=")
    assert start == f"{EXTERNAL}/#/silences/new"
    found = urllib.parse.unquote(query, errors="strict")
    assert "%" not in re.sub(r"%[0-9A-F]{2}", "", query)
    assert re.fullmatch(r'\{(\w+="(\\.|[^"\\])*",?)+\}', found)
    return {name: json.loads(value) for name, value in re.findall(r'(\w+)=("(?:\\.|[^"\\])*")', found)}


def links(told: Told) -> dict[str, str]:
    """The silence link of each channel's firing message, as a reader's program opens it."""
    plain = told.mails[0].message.get_body(("plain",)).get_content()
    shown = told.mails[0].message.get_body(("html",)).get_content()
    slack = told.bodies("/slack")[0]["attachments"][0]["text"]
    teams = told.bodies("/teams")[0]["attachments"][0]["content"]["body"][1]["text"]
    found = {
        "plain": re.findall(r"^Silence: (\S+)$", plain, re.MULTILINE),
        "html": [html.unescape(one) for one in re.findall(r'href="([^"]+)">Silence<', shown)],
        "slack": [html.unescape(one) for one in re.findall(r"<([^|>]+)\|Silence>", slack)],
        "teams": re.findall(r"\[Silence\]\(([^)]+)\)", teams),
    }
    return {channel: one for channel, (one,) in found.items()}


def test_the_silence_link_has_the_alerts_labels(told: Told) -> None:
    """In each channel the link opens a silence of exactly this alert, whatever its labels hold."""
    for channel, link in links(told).items():
        assert matchers(link) == LABELS, channel


def test_the_silence_of_a_link_silences_the_alert(told: Told) -> None:
    """Alertmanager mutes the alert by these matchers, and not the other link of the same site."""
    other = LABELS | {"device": "tbilisi-01-isp-b", "address": "10.1.2.5"}
    post(told.alertmanager, DOWN, alert(other))
    wanted = [
        {"name": name, "value": value, "isRegex": False, "isEqual": True}
        for name, value in matchers(links(told)["slack"]).items()
    ]
    now = time.time()
    silence = {
        "matchers": wanted,
        "startsAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
        "endsAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + 600)),
        **{"createdBy": "test", "comment": "test"},
    }
    url = f"{told.alertmanager.url}/api/v2/silences"
    request = urllib.request.Request(url, json.dumps(silence).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        identifier = json.loads(answer.read())["silenceID"]
    found = json.loads(told.alertmanager.get("/api/v2/alerts")[2])
    silenced = {one["labels"]["device"]: one["status"]["silencedBy"] for one in found}
    assert silenced == {"tbilisi-01-isp-a": [identifier], "tbilisi-01-isp-b": []}
