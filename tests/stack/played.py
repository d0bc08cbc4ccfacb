"""All scenarios, played once, and what the webhooks were told: a process of its own, beside the other tests."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.serving import Serving
from tests.simnet import Simnet
from tests.stack.inside import until
from tests.stack.notified import Notification, by_group
from tests.stack.offices import build, site, write_inventory
from tests.stack.paging import stacks
from tests.stack.scenarios import AFTERWARDS, NAMES, SETTINGS, TOGETHER, Act, Scenario, Stage, Steps

#: Until the window of maintenance work is over; long enough for an outage in it.
MAINTENANCE_SECONDS = 60.0
#: What is left to say is said within this time after the last scenario: the grace time of suppressed devices, a
#: scrape, and a group's wait.
QUIET_SECONDS = 45.0
#: They take six minutes.
_PATIENCE_SECONDS = 900.0
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Told:
    """What one webhook was told, and in the end: the alerts that fire, and the rules that cannot be evaluated."""

    notifications: Sequence[Notification]
    firing: set[str]
    rule_errors: Sequence[str]

    def groups(self) -> dict[str, list[Notification]]:
        return by_group(self.notifications)


@dataclass(frozen=True)
class Played:
    """By scenario: the steps of each group that it announced, in each way in which they may go, and what it waited
    for in vain; and by backend."""

    expected: Mapping[str, Mapping[str, Sequence[Steps]]]
    failures: Mapping[str, str]
    told: Mapping[str, Told]


class Playing:
    """The process, with all that it starts in a group of its own."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="ward-scenarios-")
        folder = Path(self._folder.name)
        self._log, self._result = folder / "log", folder / "played"
        begin = "import sys; from tests.stack.played import record; record(sys.argv[1])"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", begin, str(self._result)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=_ROOT,
                env={**os.environ, "TMPDIR": str(folder)},
                start_new_session=True,
            )

    def result(self) -> Played:
        """Waits for its end."""
        status = self._process.wait(_PATIENCE_SECONDS)
        assert status == 0, self._log.read_text()
        played = pickle.loads(self._result.read_bytes())
        assert isinstance(played, Played)
        return played

    def end(self) -> None:
        """It is not needed any more, or was never asked for."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._folder.cleanup()


def record(path: str) -> None:
    """Play them and write what came of it."""
    with TemporaryDirectory() as folder, Simnet() as net:
        played = _play(net, Path(folder))
    Path(path).write_bytes(pickle.dumps(played))


def _play(net: Simnet, folder: Path) -> Played:
    build(net)
    begun = time.time()
    maintenance = {site(number): (begun, begun + MAINTENANCE_SECONDS) for number in (12, 16)}
    with Serving(folder, net) as exporter:
        exporter.configure(SETTINGS)
        write_inventory(folder / "devices.yml", maintenance)
        exporter.start_ready()
        with stacks(net) as running:
            for stack in running.values():
                until(stack.ready, f"{stack.name} is ready")
            sinks = {name: stack.sink for name, stack in running.items()}
            acts, failures = _act(Stage(net, exporter, sinks, maintenance))
            # An end that nothing tells of: whatever is left to say would be said by now.
            time.sleep(QUIET_SECONDS)
            told = {
                name: Told(list(stack.sink.notifications), stack.firing(), stack.rule_errors())
                for name, stack in running.items()
            }
    return Played({name: act.expected for name, act in acts.items()}, failures, told)


def _act(stage: Stage) -> tuple[dict[str, Act], dict[str, str]]:
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
