"""`make stack`: the exporter, VictoriaMetrics, vmalert, Alertmanager and the alert log on this machine, no Docker.

`python -m tests.servers.stack [CONFIG]` runs them on their usual ports, or on free ones where those are taken, all
on loopback, with the shipped rules and routing, until Ctrl-C. CONFIG is a ward.yml; without it the demonstration
inventory is probed.
"""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import yaml

from tests.servers.install import Generation, ServersError, ensure, generations
from tests.servers.running import Alertmanager, Server, VictoriaMetrics, Vmalert, free_port
from tests.servers.shipped import routing, scraping, vmalert_arguments

_LOOK_SECONDS = 0.5


class Exporter(Server):
    """`ward-exporter serve`."""

    PROGRAM = "ward-exporter"
    READY = "/-/ready"
    ARGUMENTS = ("serve", "--web.listen-address=127.0.0.1:{port}", "--storage.path={folder}/data")
    CONFIG_ARGUMENT = "--config.file={config}"

    def _executable(self, generation: Generation) -> Path:
        return Path(sys.executable).with_name(self.PROGRAM)


class AlertLog(Exporter):
    """`ward-exporter alert-log`, which prints what Alertmanager sends."""

    READY = "/-/healthy"
    ARGUMENTS = ("alert-log", "--web.listen-address=127.0.0.1:{port}")


@contextmanager
def stack(config: Path | None = None) -> Iterator[dict[str, Server]]:
    """All of it, by name; each is ready. Raises ServersError."""
    generation = generations()[-1]
    names = ("exporter", "victoriametrics", "vmalert", "alertmanager", "alert-log")
    usual = dict(zip(names, (9841, 8428, 8880, 9093, 9842), strict=True))
    ports = {name: _free(port) for name, port in usual.items()}
    targets = {name: f"127.0.0.1:{ports[name]}" for name in ("victoriametrics", "vmalert", "alertmanager")}
    jobs = targets | dict.fromkeys(("ward-exporter", "ward-exporter-snmp"), f"127.0.0.1:{ports['exporter']}")
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    settings = [] if config is None else [f"--config.file={config.resolve()}"]
    evaluation = vmalert_arguments(generation, urls["victoriametrics"], urls["alertmanager"])
    servers: dict[str, Server] = {
        "exporter": Exporter(port=ports["exporter"], arguments=settings),
        "alert-log": AlertLog(port=ports["alert-log"]),
        "alertmanager": Alertmanager(
            yaml.safe_dump(routing(f"{urls['alert-log']}/", generation)),
            generation=generation,
            port=ports["alertmanager"],
            arguments=[f"--web.external-url={urls['alertmanager']}"],
        ),
        "victoriametrics": VictoriaMetrics(
            yaml.safe_dump(scraping(jobs)), generation=generation, port=ports["victoriametrics"]
        ),
        "vmalert": Vmalert(generation=generation, port=ports["vmalert"], arguments=evaluation),
    }
    with ExitStack() as cleanup:
        for server in servers.values():
            cleanup.enter_context(server)
        yield servers


def _free(port: int) -> int:
    """The port, or another one where something listens at it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return free_port()
    return port


def main() -> int:
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    config = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    try:
        ensure()
        with stack(config) as servers:
            for name, server in servers.items():
                print(f"{name:16} {server.url}/", flush=True)
            folder = servers["victoriametrics"].config_path.parent
            print(f"Samples are in {folder} until Ctrl-C. What is notified:", flush=True)
            return _watch(servers, ended)
    except ServersError as error:
        print(f"stack: {error}", file=sys.stderr)
        return 1


def _watch(servers: dict[str, Server], ended: threading.Event) -> int:
    """Print what the alert log says until the end is asked for, or a part ends by itself."""
    shown = 0
    while not ended.wait(_LOOK_SECONDS):
        said = servers["alert-log"].log_text()
        print(said[shown:], end="", flush=True)
        shown = len(said)
        for name, server in servers.items():
            if server.process.poll() is not None:
                print(f"stack: {name} has ended:\n{server.log_text()[-2000:]}", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
