"""What a real Alertmanager sends by the shipped routes: groups, repeats, business hours, and channels that fail."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.alertmanager.shipped import (
    CHANNELS,
    NEWEST,
    Config,
    alert,
    config,
    in_a_hurry,
    post,
    receivers,
    routes,
    text,
    turn_on,
)
from tests.alertmanager.sinks import MailServer, Request, Service
from tests.servers import Alertmanager, Generation, generations
from tests.serving import until
from tests.tools.printing import running as alert_log

every_generation = pytest.mark.parametrize("generation", generations(), ids=lambda one: one.name)
newest = pytest.mark.parametrize("generation", NEWEST, ids=lambda one: one.name)

ISP = {"role": "isp", "priority": "0"}


def link(device: str, site: str = "", provider: str = "magti", **more: str) -> Config:
    labels = {"alertname": "IspLinkDown", "severity": "critical", "device": device, "provider": provider}
    return alert(labels | ISP | ({"site": site} if site else {}) | more)


def rule(name: str, severity: str, **labels: str) -> Config:
    return alert({"alertname": name, "severity": severity} | labels)


@contextmanager
def alertmanager(
    generation: Generation, changed: Config, secrets: Path | str = "/nowhere"
) -> Iterator[tuple[Alertmanager, Service]]:
    with (
        Service() as service,
        Alertmanager(text(changed, secrets, f"{service.url}/log"), generation=generation) as running,
    ):
        yield running, service


def shown(request: Request) -> tuple[str, frozenset[str]]:
    """The receiver of a notification, and its alerts."""
    names = (
        " ".join(filter(None, (one["labels"]["alertname"], one["labels"].get("device"))))
        for one in request.body["alerts"]
    )
    return request.body["receiver"], frozenset(names)


def metric(of: Alertmanager, name: str, **labels: str) -> float:
    """The sum of a metric of Alertmanager's own, over the series with these labels."""
    found = re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)$", of.get("/metrics")[2].decode(), re.MULTILINE)
    wanted = {f'{name}="{value}"' for name, value in labels.items()}
    return sum(float(value) for series, value in found if wanted <= set(series.split(",")))


def without_hours(changed: Config) -> Config:
    """The digest at any time of the day."""
    for route in routes(changed):
        route.pop("active_time_intervals", None)
    return changed


@every_generation
def test_what_is_one_notification(generation: Generation) -> None:
    """A site is one, whatever its providers; so are a provider, a link without a site, and the whole digest."""
    with alertmanager(generation, without_hours(in_a_hurry(config(generation)))) as (running, service):
        post(
            running,
            link("a1", "a", "magti"),
            link("a2", "a", "silknet"),
            rule("SiteIsolated", "critical", site="a", **ISP),
            link("b1", "b"),
            rule("ProviderOutage", "critical", provider="magti", **ISP),
            rule("ProviderOutage", "critical", provider="silknet", **ISP),
            link("lone1"),
            link("lone2"),
            rule("MassOutage", "critical", instance="exporter:9841"),
            rule("DeviceDown", "high", site="a", device="a3", role="switch", priority="3"),
            rule("DeviceDown", "high", site="a", device="a4", role="atm", priority="4"),
            rule("DeviceDown", "high", site="b", device="b3", role="switch", priority="3"),
            rule("StorageNearlyFull", "high", component="stack"),
            rule("PrometheusRuleFailures", "high", component="prometheus"),
            rule("PathChanged", "low", site="a", device="a1", **ISP),
            rule("PathChanged", "low", site="b", device="b1", **ISP),
        )
        found = map(shown, service.got("/log", 12))
        assert sorted((receiver, *sorted(alerts)) for receiver, alerts in found) == [
            ("digest", "PathChanged a1", "PathChanged b1"),
            ("isp", "IspLinkDown a1", "IspLinkDown a2", "SiteIsolated"),
            ("isp", "IspLinkDown b1"),
            ("isp", "IspLinkDown lone1"),
            ("isp", "IspLinkDown lone2"),
            ("isp", "MassOutage"),
            ("isp", "ProviderOutage"),
            ("isp", "ProviderOutage"),
            ("team", "DeviceDown a3", "DeviceDown a4"),
            ("team", "DeviceDown b3"),
            ("team", "PrometheusRuleFailures"),
            ("team", "StorageNearlyFull"),
        ]


@every_generation
def test_every_receiver_hears_of_the_end(generation: Generation) -> None:
    """Whoever was told that an alert fires is told once that it is resolved; so is the manager of an escalation."""
    alerts = [
        link("a1", "a", tier="2"),
        rule("X", "critical", device="b"),
        rule("X", "high", device="c"),
        rule("X", "medium", device="d"),
        rule("X", "low", device="e"),
        rule("X", "other", device="f"),
    ]
    told = ("chat", "digest", "isp", "log", "manager", "pager", "team")
    with alertmanager(generation, without_hours(in_a_hurry(config(generation)))) as (running, service):
        post(running, *alerts)
        service.got("/log", len(told))
        post(running, *(one | {"endsAt": datetime.now(UTC).isoformat()} for one in alerts))
        found = [
            (request.body["receiver"], request.body["status"]) for request in service.got("/log", 2 * len(told))
        ]
    assert sorted(found[: len(told)]) == [(receiver, "firing") for receiver in told]
    assert sorted(found[len(told) :]) == [(receiver, "resolved") for receiver in told]


@every_generation
def test_the_watchdog_beats(generation: Generation) -> None:
    """It is sent again at each of its intervals, none left out, and never as resolved: then it must be silent."""
    first, second = (alert({"alertname": "Watchdog", "severity": "none", "instance": name}) for name in "ab")
    with alertmanager(generation, in_a_hurry(config(generation), factor=30)) as (running, service):
        post(running, first)
        beats = service.got("/log", 4)
        # Two seconds each; were every other one left out, four.
        assert (beats[-1].at - beats[0].at) / 3 < 3
        post(running, first | {"endsAt": datetime.now(UTC).isoformat()}, second)
        service.arrivals.wait(1, lambda request: request.body["alerts"][0]["labels"]["instance"] == "b")
        for request in service.got("/log", len(beats) + 1):
            assert request.body["receiver"] == "deadman"
            assert [one["status"] for one in request.body["alerts"]] == ["firing"]


def at_hour(changed: Config, hour: int, *, today: bool) -> Config:
    """The business hours where it is this hour now, on this day of the week alone or on all others."""
    now = datetime.now(UTC)
    east = (hour - now.hour + 12) % 24 - 12
    # POSIX counts to the west.
    zone = f"Etc/GMT{-east:+d}" if east else "Etc/UTC"
    day = (now + timedelta(hours=east)).strftime("%A").lower()
    (hours,) = changed["time_intervals"][0]["time_intervals"]
    days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
    hours |= {"location": zone, "weekdays": [name for name in days if (name == day) is today]}
    return changed


@every_generation
def test_low_alerts_in_business_hours(generation: Generation) -> None:
    """At noon of a business day the digest is sent, at the shipped hours."""
    with alertmanager(generation, at_hour(in_a_hurry(config(generation)), 12, today=True)) as (running, service):
        post(running, rule("PathChanged", "low", device="a", **ISP))
        assert shown(*service.got("/log")) == ("digest", frozenset({"PathChanged a"}))


@pytest.mark.parametrize(("hour", "today"), [(4, True), (21, True), (12, False)])
@newest
def test_low_alerts_outside_of_business_hours(generation: Generation, hour: int, today: bool) -> None:
    """At night, in the evening and on other days the digest is muted, while pages go out."""
    with alertmanager(generation, at_hour(in_a_hurry(config()), hour, today=today)) as (running, service):
        post(running, rule("PathChanged", "low", device="a", **ISP), link("a"))
        suppressed = "alertmanager_notifications_suppressed_total"
        until(lambda: metric(running, suppressed, reason="active_time_interval") >= 1, 30)
        assert shown(*service.got("/log")) == ("isp", frozenset({"IspLinkDown a"}))
        assert service.count("/log") == 1


def test_the_shipped_business_hours() -> None:
    """Monday to Friday, 9 to 18 o'clock, where the readers are."""
    (hours,) = config()["time_intervals"]
    assert hours == {
        "name": "business-hours",
        "time_intervals": [
            {
                "weekdays": ["monday:friday"],
                "times": [{"start_time": "09:00", "end_time": "18:00"}],
                "location": "Asia/Tbilisi",
            }
        ],
    }


@newest
def test_a_channel_without_its_secret(generation: Generation, tmp_path: Path) -> None:
    """It fails alone and is counted; the others of its receiver are told, and it is too when its file is there."""
    changed = in_a_hurry(config())
    turn_on(changed, "isp", *(channel for channel in CHANNELS if channel != "email"))
    with alertmanager(generation, changed, tmp_path) as (running, service):
        post(running, link("a1", "a"))
        failed = "alertmanager_notifications_failed_total"
        for integration in ("slack", "msteamsv2", "pagerduty", "opsgenie"):
            until(lambda name=integration: metric(running, failed, integration=name) >= 1, 30)
        until(lambda: metric(running, failed, integration="webhook") >= 2, 30)
        assert shown(*service.got("/log")) == ("isp", frozenset({"IspLinkDown a1"}))
        (tmp_path / "webhook_url").write_text(f"{service.url}/webhook")
        assert shown(*service.got("/webhook")) == ("isp", frozenset({"IspLinkDown a1"}))


@newest
def test_email_without_its_password(generation: Generation, tmp_path: Path) -> None:
    """It is not sent, and holds up neither the log of its own receiver nor another receiver."""
    changed = in_a_hurry(config())
    turn_on(changed, "isp", "email")
    (email,) = receivers(changed)["isp"]["email_configs"]
    with MailServer(tmp_path) as mail:
        email |= {"smarthost": mail.address, "tls_config": {"ca_file": str(mail.certificate)}}
        with alertmanager(generation, changed, tmp_path) as (running, service):
            post(running, link("a1", "a"))
            until(lambda: f"{tmp_path}/smtp_password: no such file" in running.log_text(), 30)
            assert shown(*service.got("/log")) == ("isp", frozenset({"IspLinkDown a1"}))
            post(running, rule("DeviceDown", "high", site="b", device="b1"))
            assert shown(service.got("/log", 2)[1]) == ("team", frozenset({"DeviceDown b1"}))
        assert mail.arrivals.items == []


@every_generation
def test_alert_log_prints_it(generation: Generation) -> None:
    """With nothing changed but the log's address, a real notification becomes readable lines."""
    at = {"startsAt": "2025-03-26T23:12:45Z"}
    with alert_log() as log:
        file = text(in_a_hurry(config(generation)), log=log.url)
        with Alertmanager(file, generation=generation) as running:
            post(running, link("a1", "a") | at | {"annotations": {"summary": "ISP link a1 is down"}})
            until(lambda: len(log.lines) == 2, 30)
        assert log.end() == [
            "isp: 1 firing, severity critical, site a",
            "  FIRING critical IspLinkDown a a1 magti: ISP link a1 is down, since 2025-03-27 03:12:45",
        ]
