"""Context managers that run one real server each, on a free port and in a folder of its own."""

from __future__ import annotations

import json
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from tests.servers.install import FLOOR, Generation, ServersError, program

STOP_SECONDS = 10.0

Get = Callable[[int, str], tuple[int, Mapping[str, str], bytes]]
"""Fetches `path` from `port` where the server runs: (status, headers, body); OSError if nothing listens."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _get(port: int, path: str) -> tuple[int, Mapping[str, str], bytes]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


class Server:
    """One running program; the subclasses say which, and how it is told its port and configuration.

    `arguments` are appended to the command line. To run it in a network namespace give `prefix` (for instance
    `["nsenter", "--net=/proc/PID/ns/net"]`), `get` (how to reach it there), and a fixed `port`.
    `config` is the text of the main configuration file; None for a program or test that needs none.
    """

    PROGRAM: ClassVar[str]
    READY: ClassVar[str]
    # Formatted with {port}, {folder} and {config}.
    ARGUMENTS: ClassVar[Sequence[str]]
    CONFIG_ARGUMENT: ClassVar[str]
    START_SECONDS: ClassVar[float] = 30.0

    process: subprocess.Popen[bytes]

    def __init__(
        self,
        config: str | None = None,
        *,
        generation: Generation = FLOOR,
        arguments: Sequence[str] = (),
        prefix: Sequence[str] = (),
        port: int | None = None,
        get: Get = _get,
    ) -> None:
        self.port = free_port() if port is None else port
        self.url = f"http://127.0.0.1:{self.port}"
        self.get: Callable[[str], tuple[int, Mapping[str, str], bytes]] = lambda path: get(self.port, path)
        self._config = config
        self._program = self._executable(generation)
        self._prefix = tuple(prefix)
        self._extra = tuple(arguments)

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix=f"{self.PROGRAM}-")
        folder = Path(self._folder.name)
        self._log = folder / "log"
        self.config_path = folder / "config.yml"
        arguments = [*self.ARGUMENTS]
        if self._config is not None:
            self.config_path.write_text(self._config)
            arguments.append(self.CONFIG_ARGUMENT)
        told = [word.format(port=self.port, folder=folder, config=self.config_path) for word in arguments]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*self._prefix, str(self._program), *told, *self._extra],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=folder,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _executable(self, generation: Generation) -> Path:
        return program(self.PROGRAM, generation)

    def log_text(self) -> str:
        """All that the program has written to its standard output and error; only inside the `with` block."""
        return self._log.read_text(errors="replace")

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self.START_SECONDS
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                if self.get(self.READY)[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        state = "did not get ready" if self.process.poll() is None else f"ended ({self.process.returncode})"
        raise ServersError(f"{self._program} {state}:\n{self.log_text()[-2000:]}")

    def _stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._folder.cleanup()


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of an answer: its labels, and (unix time, value) pairs; an instant query gives one pair."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]

    @property
    def value(self) -> float:
        return self.points[-1][1]


class _Queries(Server):
    """The query API that Prometheus and VictoriaMetrics share; times are unix seconds."""

    def query(self, expression: str, at: float | None = None) -> list[Sample]:
        """Evaluate at one instant (now, or `at`): a vector, or a scalar as one sample without labels."""
        found = self._ask("query", {"query": expression} | ({} if at is None else {"time": str(at)}))
        if found["resultType"] == "scalar":
            return [Sample({}, ((found["result"][0], float(found["result"][1])),))]
        return [_sample(row["metric"], [row["value"]]) for row in found["result"]]

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[Sample]:
        """Evaluate at every `step` seconds from `start` to `end`."""
        asked = {"query": expression, "start": str(start), "end": str(end), "step": str(step)}
        return [_sample(row["metric"], row["values"]) for row in self._ask("query_range", asked)["result"]]

    def series(self, selector: str) -> list[dict[str, str]]:
        """The label sets of the series that the selector matches."""
        found: list[dict[str, str]] = self._ask("series", {"match[]": selector})
        return found

    def _ask(self, endpoint: str, parameters: Mapping[str, str]) -> Any:
        status, _, body = self.get(f"/api/v1/{endpoint}?{urllib.parse.urlencode(parameters)}")
        if status != 200:
            raise ServersError(f"{self.PROGRAM} answered {status} to {dict(parameters)}: {body.decode()}")
        return json.loads(body)["data"]


def _sample(labels: Mapping[str, str], points: Sequence[tuple[float, str]]) -> Sample:
    return Sample(labels, tuple((float(at), float(value)) for at, value in points))


class Prometheus(_Queries):
    """Prometheus with its lifecycle API on; `config` is prometheus.yml."""

    PROGRAM = "prometheus"
    READY = "/-/ready"
    ARGUMENTS = (
        "--web.listen-address=127.0.0.1:{port}",
        "--storage.tsdb.path={folder}/data",
        "--web.enable-lifecycle",
    )
    CONFIG_ARGUMENT = "--config.file={config}"


class VictoriaMetrics(_Queries):
    """VictoriaMetrics, single node; `config`, if any, is the prometheus.yml that it scrapes by."""

    PROGRAM = "victoria-metrics"
    READY = "/health"
    ARGUMENTS = (
        "-httpListenAddr=127.0.0.1:{port}",
        "-storageDataPath={folder}/data",
        # Its default hides the newest 30 s from queries; a test reads what it has just written.
        "-search.latencyOffset=0s",
        "-promscrape.maxScrapeSize=256MiB",
        # What it guesses from the machine's memory is for a machine of its own.
        "-memory.allowedBytes=256MB",
    )
    CONFIG_ARGUMENT = "-promscrape.config={config}"


class Vmagent(Server):
    """vmagent, which scrapes by `config` and needs `-remoteWrite.url=` among its arguments."""

    PROGRAM = "vmagent"
    READY = "/health"
    ARGUMENTS = ("-httpListenAddr=127.0.0.1:{port}", "-remoteWrite.tmpDataPath={folder}/data")
    CONFIG_ARGUMENT = "-promscrape.config={config}"


class Vmalert(Server):
    """vmalert; `config` is a rule file; needs `-datasource.url=` and `-notifier.url=` among its arguments."""

    PROGRAM = "vmalert"
    READY = "/health"
    ARGUMENTS = ("-httpListenAddr=127.0.0.1:{port}",)
    CONFIG_ARGUMENT = "-rule={config}"


class Alertmanager(Server):
    """Alertmanager without a cluster; `config` is alertmanager.yml."""

    PROGRAM = "prometheus-alertmanager"
    READY = "/-/ready"
    ARGUMENTS = (
        "--web.listen-address=127.0.0.1:{port}",
        "--storage.path={folder}/data",
        "--cluster.listen-address=",
    )
    CONFIG_ARGUMENT = "--config.file={config}"


class BlackboxExporter(Server):
    """blackbox_exporter; `config` is blackbox.yml."""

    PROGRAM = "prometheus-blackbox-exporter"
    READY = "/-/healthy"
    ARGUMENTS = ("--web.listen-address=127.0.0.1:{port}",)
    CONFIG_ARGUMENT = "--config.file={config}"


class SmokepingProber(Server):
    """smokeping_prober; `config` is smokeping_prober.yml."""

    PROGRAM = "prometheus-smokeping-prober"
    READY = "/metrics"
    ARGUMENTS = ("--web.listen-address=127.0.0.1:{port}",)
    CONFIG_ARGUMENT = "--config.file={config}"


class SnmpExporter(Server):
    """snmp_exporter, which keeps all digits of large counters as far as its floats do; `config` is snmp.yml."""

    PROGRAM = "prometheus-snmp-exporter"
    READY = "/"
    ARGUMENTS = ("--web.listen-address=127.0.0.1:{port}", "--no-snmp.wrap-large-counters")
    CONFIG_ARGUMENT = "--config.file={config}"
