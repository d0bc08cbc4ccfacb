"""From a cut link to the notification, with every part real: the whole transcript of what goes wrong at a bank.

One network, one exporter, and both ways to a webhook: Prometheus, and VictoriaMetrics with vmalert. It takes eight
minutes and a machine with nothing else to do, so it has a verb of its own: `make scenarios`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import pytest

from tests.serving import Serving
from tests.simnet import Simnet
from tests.stack.inside import until
from tests.stack.notified import as_expected, told
from tests.stack.offices import build, site, write_inventory
from tests.stack.paging import BACKENDS, Stack, stacks
from tests.stack.scenarios import AFTERWARDS, NAMES, SETTINGS, TOGETHER, Act, Scenario, Stage

#: Until the window of maintenance work is over; long enough for an outage in it.
MAINTENANCE_SECONDS = 60.0
#: What is left to say is said within this time after the last scenario: the grace time of suppressed devices, a
#: scrape, and a group's wait.
QUIET_SECONDS = 45.0

each_way = pytest.mark.parametrize("backend", BACKENDS)


@dataclass(frozen=True)
class Played:
    """All scenarios, as they went; `failures` are what a scenario waited for in vain."""

    acts: Mapping[str, Act]
    failures: Mapping[str, str]
    stacks: Mapping[str, Stack]


@pytest.fixture(scope="module")
def played(module_simnet: Simnet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    folder = tmp_path_factory.mktemp("exporter")
    build(module_simnet)
    begun = time.time()
    maintenance = {site(number): (begun, begun + MAINTENANCE_SECONDS) for number in (12, 16)}
    with Serving(folder, module_simnet) as exporter:
        exporter.configure(SETTINGS)
        write_inventory(folder / "devices.yml", maintenance)
        exporter.start_ready()
        with stacks(module_simnet) as running:
            for stack in running.values():
                until(stack.ready, f"{stack.name} is ready")
            sinks = {name: stack.sink for name, stack in running.items()}
            acts, failures = _play(Stage(module_simnet, exporter, sinks, maintenance))
            # An end that nothing tells of: whatever is left to say would be said by now.
            time.sleep(QUIET_SECONDS)
            yield Played(acts, failures, running)


def _play(stage: Stage) -> tuple[dict[str, Act], dict[str, str]]:
    acts = {name: Act(stage) for name in NAMES}
    failures: dict[str, str] = {}

    def play(name: str, scenario: Scenario) -> None:
        try:
            scenario(acts[name])
        except AssertionError as error:
            failures[name] = str(error)

    with ThreadPoolExecutor(len(TOGETHER)) as pool:
        list(pool.map(play, TOGETHER, TOGETHER.values()))
    for name, scenario in AFTERWARDS.items():
        play(name, scenario)
    return acts, failures


@each_way
@pytest.mark.parametrize("name", NAMES)
def test_it_is_told_and_resolved_once(played: Played, backend: str, name: str) -> None:
    """A scenario sends exactly the notifications that it announces, in their order, and every alert in them fires
    once and is resolved once, whichever program evaluates the rules."""
    groups = played.stacks[backend].sink.groups()
    assert name not in played.failures, played.failures[name]
    for group, steps in played.acts[name].expected.items():
        news = told(groups.get(group, []))
        assert as_expected(steps, news), f"{group}: expected {steps}, told {news}"


@each_way
def test_nothing_else_is_told(played: Played, backend: str) -> None:
    """Branches that nothing happened to, and parts of the stack that do not run here, are told of by nobody."""
    expected = {group for act in played.acts.values() for group in act.expected}
    groups = played.stacks[backend].sink.groups()
    surplus = {group: told(groups[group]) for group in groups.keys() - expected - {"deadman"}}
    assert surplus == {}


@each_way
def test_the_watchdog_is_heard_every_minute(played: Played, backend: str) -> None:
    """On its shipped times, through an exporter that dies and everything else, with no gap and no end."""
    notifications = played.stacks[backend].sink.groups()["deadman"]
    assert all(one.firing.keys() == {"Watchdog"} and not one.resolved for one in notifications)
    assert len(notifications) >= 3
    assert max(later.at - earlier.at for earlier, later in pairwise(notifications)) < 75


@each_way
def test_every_text_is_whole(played: Played, backend: str) -> None:
    """What a person reads of any of these alerts has all of its parts, and no template in it has failed."""
    for notification in played.stacks[backend].sink.notifications:
        for alert, details in [*notification.firing.items(), *notification.resolved.items()]:
            texts = details["annotations"]
            assert {"summary", "description", "runbook_url", "dashboard_url"} <= texts.keys(), alert
            for text in texts.values():
                assert text, alert
                assert not re.search(r"error|<no value>|%!|NaN|\{\{", text), f"{alert}: {text}"


@each_way
def test_all_is_well_again(played: Played, backend: str) -> None:
    """In the end nothing fires but the watchdog, and every rule could be evaluated."""
    stack = played.stacks[backend]
    assert stack.firing() == {"Watchdog"}
    assert stack.rule_errors() == []
