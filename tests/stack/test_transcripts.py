"""From a cut link to the notification, with every part real: the whole transcript of what goes wrong at a bank.

One network, one exporter, and both ways to a webhook: Prometheus, and VictoriaMetrics with vmalert.
"""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from tests.stack.notified import as_expected, told
from tests.stack.paging import BACKENDS
from tests.stack.played import Played
from tests.stack.scenarios import NAMES, ways

each_way = pytest.mark.parametrize("backend", BACKENDS)


@each_way
@pytest.mark.parametrize("name", NAMES)
def test_it_is_told_and_resolved_once(played: Played, backend: str, name: str) -> None:
    """A scenario sends exactly the notifications that it announces, in their order, and every alert in them fires
    once and is resolved once, whichever program evaluates the rules."""
    groups = played.told[backend].groups()
    assert name not in played.failures, played.failures[name]
    for group, expected in played.expected[name].items():
        news = told(groups.get(group, []))
        right = ways(expected, backend)
        assert any(as_expected(steps, news) for steps in right), f"{group}: expected {right}, told {news}"


@each_way
def test_nothing_else_is_told(played: Played, backend: str) -> None:
    """Branches that nothing happened to, and parts of the stack that do not run here, are told of by nobody."""
    expected = {group for groups in played.expected.values() for group in groups}
    groups = played.told[backend].groups()
    surplus = {group: told(groups[group]) for group in groups.keys() - expected - {"deadman"}}
    assert surplus == {}


@each_way
def test_the_watchdog_is_heard_every_minute(played: Played, backend: str) -> None:
    """On its shipped times, through an exporter that dies and everything else, with no gap and no end."""
    notifications = played.told[backend].groups()["deadman"]
    assert all(one.firing.keys() == {"Watchdog"} and not one.resolved for one in notifications)
    assert len(notifications) >= 3
    assert max(later.at - earlier.at for earlier, later in pairwise(notifications)) < 75


@each_way
def test_every_text_is_whole(played: Played, backend: str) -> None:
    """What a person reads of any of these alerts has all of its parts, and no template in it has failed."""
    for notification in played.told[backend].notifications:
        for alert, details in [*notification.firing.items(), *notification.resolved.items()]:
            texts = details["annotations"]
            assert {"summary", "description", "runbook_url", "dashboard_url"} <= texts.keys(), alert
            for text in texts.values():
                assert text, alert
                assert not re.search(r"error|<no value>|%!|NaN|\{\{", text), f"{alert}: {text}"


@each_way
def test_all_is_well_again(played: Played, backend: str) -> None:
    """In the end nothing fires but the watchdog, and every rule could be evaluated."""
    assert played.told[backend].firing == {"Watchdog"}
    assert played.told[backend].rule_errors == []
