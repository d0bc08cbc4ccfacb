"""Half of the tests are run by a second pytest beside the first, which tells their outcome as its own.

Most of what they take is waiting: for scrapes, timeouts and verdicts. Many hold real programs to real time, which a
busy machine can hold up. Those that failed are therefore run a second time, when all else is through, by a new
process; the summary has the first failures as `rerun`, and tells them. A test that fails twice has failed.

Both only when the whole suite is run; a choice of tests is run once, by one process, in order.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

_HERE = Path(__file__).parent
#: Folders of which nothing depends on what the others do to this machine meanwhile.
FOLDERS = ("alertmanager", "compose", "dashboards", "scaling", "snmp", "tools", "web")
#: With failures in more files than that, something is broken and not late.
_FILES_RUN_AGAIN = 6
#: In the environment of the second one: the descriptor to which its reports go, as lines of JSON.
_REPORTS = "WARD_TESTS_REPORTS"


class Aside:
    """The second pytest, in a group of its own with all that it starts."""

    def __init__(self, config: pytest.Config, tests: Iterable[str]) -> None:
        """Of `tests`: paths from the project's root, or node ids."""
        self._config = config
        self._folder = TemporaryDirectory(prefix="ward-aside-")
        self._log = Path(self._folder.name) / "log"
        self._reports: defaultdict[str, list[pytest.TestReport]] = defaultdict(list)
        self._done: set[str] = set()
        self._ended = False
        self._news = threading.Condition()
        reading, writing = os.pipe()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pytest", *tests],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=_HERE.parent,
                env={**os.environ, _REPORTS: str(writing)},
                pass_fds=(writing,),
                start_new_session=True,
            )
        os.close(writing)
        threading.Thread(target=self._listen, args=(reading,), daemon=True).start()

    def _listen(self, reading: int) -> None:
        with open(reading, encoding="utf-8") as lines:
            for line in lines:
                report = self._config.hook.pytest_report_from_serializable(
                    config=self._config, data=json.loads(line)
                )
                with self._news:
                    self._reports[report.nodeid].append(report)
                    if report.when == "teardown":
                        self._done.add(report.nodeid)
                    self._news.notify()
        with self._news:
            self._ended = True
            self._news.notify()

    def reports(self, item: pytest.Item) -> Sequence[pytest.TestReport]:
        """What became of a test: waits for it."""
        with self._news:
            self._news.wait_for(lambda: item.nodeid in self._done or self._ended)
            found = self._reports[item.nodeid]
        if item.nodeid in self._done:
            return found
        said = f"it was never through; the end of what the second pytest said:\n{self._log.read_text()[-4000:]}"
        return [*found, pytest.TestReport(item.nodeid, item.location, {}, "failed", said, "call")]

    def end(self) -> None:
        """It is not needed any more."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._folder.cleanup()


_ASIDE = pytest.StashKey[Aside]()


def _is_aside(item: pytest.Item) -> bool:
    return item.path.is_relative_to(_HERE) and item.path.relative_to(_HERE).parts[0] in FOLDERS


def _is_whole(config: pytest.Config) -> bool:
    """Whether this run is of all tests; the second one is not."""
    chosen = config.option.keyword or config.option.markexpr or config.option.collectonly
    return config.args_source is pytest.Config.ArgsSource.TESTPATHS and not chosen


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if _is_whole(config):
        items.sort(key=_is_aside)


def pytest_collection_finish(session: pytest.Session) -> None:
    if _is_whole(session.config) and any(map(_is_aside, session.items)):
        session.config.stash[_ASIDE] = Aside(session.config, (f"{_HERE.name}/{name}" for name in FOLDERS))


def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    aside = item.config.stash.get(_ASIDE, None)
    if aside is None or not _is_aside(item):
        return None
    _tell(item, aside)
    return True


def _tell(item: pytest.Item, aside: Aside) -> None:
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in aside.reports(item):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    done = yield
    stats: dict[str, list[pytest.TestReport]] = session.config.pluginmanager.get_plugin("terminalreporter").stats  # type: ignore[union-attr]  # pytest's own, and has no type
    failed = [report for kind in ("failed", "error") for report in stats.get(kind, ())]
    again = {report.nodeid for report in failed}
    files = {name.partition("::")[0] for name in again}
    if not again or len(files) > _FILES_RUN_AGAIN or not _is_whole(session.config):
        return done
    for kind in ("failed", "error"):
        stats.pop(kind, None)
    stats["rerun"] = failed
    session.testsfailed -= len(failed)
    aside = Aside(session.config, sorted(again))
    try:
        for item in session.items:
            if item.nodeid in again:
                _tell(item, aside)
    finally:
        aside.end()
    return done


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for report in terminalreporter.stats.get("rerun", ()):
        terminalreporter.section(f"failed the first time: {report.nodeid} ({report.when})")
        terminalreporter.line(report.longreprtext)


class Teller:
    """In the second one: passes every report on."""

    def __init__(self, config: pytest.Config, descriptor: int) -> None:
        self._config = config
        self._out = open(descriptor, "w", encoding="utf-8")  # noqa: SIM115 - until the process ends
        os.set_inheritable(descriptor, False)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data: dict[str, Any] = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        print(json.dumps(data), file=self._out, flush=True)

    def pytest_unconfigure(self) -> None:
        self._out.close()


def pytest_configure(config: pytest.Config) -> None:
    if descriptor := os.environ.get(_REPORTS):
        # Not for programs that tests start.
        del os.environ[_REPORTS]
        config.pluginmanager.register(Teller(config, int(descriptor)))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _ASIDE in session.config.stash:
        session.config.stash[_ASIDE].end()
