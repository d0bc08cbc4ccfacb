"""The exporter as a user runs it: `ward-exporter serve` as a process, on loopback or in the simulated network."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.exposition.pages import Block, read
from tests.servers import free_port
from tests.simnet import Simnet
from tests.simnet.network import Response

PROGRAM = Path(sys.executable).with_name("ward-exporter")
#: Five probes a second, so that a test need not wait long for a verdict.
FAST = "probe: {interval: 200ms, timeout: 200ms, window: 6s}\n"
INTERVAL = 0.2


def until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    """Until it holds; an assertion fails if it does not come to that."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


class Page:
    """One scrape."""

    def __init__(self, text: str) -> None:
        self.blocks: dict[str, Block] = read(text)

    def samples(self, name: str, **labels: str) -> list[float]:
        return [
            sample.value for sample in self.blocks[name].samples if labels.items() <= dict(sample.labels).items()
        ]

    def value(self, name: str, device: str = "") -> float:
        (found,) = self.samples(name, **({"device": device} if device else {}))
        return found

    def devices(self, name: str) -> dict[str, float]:
        return {dict(sample.labels)["device"]: sample.value for sample in self.blocks[name].samples}


class Serving:
    """One exporter in `folder`, which holds ward.yml, devices.yml, its state and its log; a context manager."""

    def __init__(self, folder: Path, net: Simnet | None = None) -> None:
        self.folder = folder
        self.net = net
        self.port = free_port() if net is None else 9841
        self.log = folder / "log"
        self.storage = folder / "data"
        self.process: subprocess.Popen[bytes] | None = None
        self.configure()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    # Its files.

    def configure(self, text: str = FAST, inventory: str = "inventory: [{file: devices.yml}]\n") -> None:
        (self.folder / "ward.yml").write_text(text + inventory)

    def devices(self, addresses: Mapping[str, str], more: str = "") -> None:
        """Write the inventory: addresses by name, all in a site `s`, and `more` keys for each."""
        lines = [
            f'  - {{name: "{name}", address: "{address}", site: s{more}}}' for name, address in addresses.items()
        ]
        (self.folder / "devices.yml").write_text("\n".join(["devices:", *lines, ""]))

    # The process.

    def start(
        self, *flags: str, prefix: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start it and return at once."""
        inside = [] if self.net is None else ["nsenter", f"--net={self.net.namespace}", "--"]
        command = [
            *inside,
            *prefix,
            str(PROGRAM),
            "serve",
            f"--config.file={self.folder / 'ward.yml'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            f"--storage.path={self.storage}",
            *flags,
        ]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env={**os.environ, **(environment or {})},
            )
        return self.process

    def start_ready(
        self, *flags: str, prefix: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> Self:
        """Start it and wait until every device has been probed."""
        process = self.start(*flags, prefix=prefix, environment=environment)

        def ready() -> bool:
            assert process.poll() is None, self.log.read_text()
            try:
                return self.ask("/-/ready").status == 200
            except OSError:
                return False

        until(ready, 30)
        return self

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM, seconds: float = 3.0) -> int:
        """Ask it to end; its exit status. Fails when it does not within `seconds`."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def failed_start(self, *flags: str, prefix: Sequence[str] = ()) -> str:
        """What it says when it does not start, with status 1."""
        assert self.start(*flags, prefix=prefix).wait(30) == 1
        return self.log.read_text()

    # Its answers.

    def ask(self, path: str, method: str = "GET", timeout: float = 20.0) -> Response:
        """One request. Raises OSError, http.client.HTTPException."""
        if self.net is not None:
            return self.net.get(self.port, path, method=method, timeout=timeout)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return Response(answer.status, headers, answer.read())
        finally:
            connection.close()

    def page(self) -> Page:
        answer = self.ask("/metrics")
        assert answer.status == 200
        return Page(answer.text)

    def reload(self) -> Response:
        return self.ask("/-/reload", "POST")

    def until_page(self, condition: Callable[[Page], bool], seconds: float = 15.0) -> Page:
        """The first page for which the condition holds."""
        found: list[Page] = []

        def holds() -> bool:
            found[:] = [self.page()]
            return condition(found[0])

        until(holds, seconds)
        return found[0]
