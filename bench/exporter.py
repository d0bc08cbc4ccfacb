"""The exporter as a user runs it, and what its own metrics say."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import inventory
from tests.servers import Generation, Server
from tests.simnet import Simnet

SIMNET_PORT = 9841


class Exporter(Server):
    """`ward-exporter serve`; `config` is ward.yml. It is ready once its first sweep is done."""

    PROGRAM = "ward-exporter"
    READY = "/-/ready"
    ARGUMENTS = (
        "serve",
        "--web.listen-address=127.0.0.1:{port}",
        "--storage.path={folder}",
        "--log.level=warning",
    )
    CONFIG_ARGUMENT = "--config.file={config}"
    START_SECONDS = 120.0

    def _executable(self, generation: Generation) -> Path:
        return Path(sys.executable).with_name(self.PROGRAM)

    def metrics(self) -> Metrics:
        """One scrape."""
        status, _, body = self.get("/metrics")
        if status != 200:
            raise RuntimeError(f"/metrics answered {status}: {body[:200]!r}; {self.log_text()[-2000:]}")
        return Metrics(body)

    def recent(self, device: str) -> list[float]:
        """RTTs in seconds of the probes in the window that were answered."""
        answer: dict[str, Any] = json.loads(self.get(f"/api/v1/devices/{device}")[2])
        return [rtt for rtt in answer["recent"] if rtt is not None]


class Metrics:
    """One scrape's text; only the family asked for is parsed, as the text may be hundreds of megabytes."""

    def __init__(self, text: bytes) -> None:
        self.text = text

    def by_device(self, name: str) -> dict[str, float]:
        """The values of one of the per-device families."""
        found = re.findall(rb'\{device="([^"]*)"[^\n]*\} (\S+)\n', self._family(name))
        return {device.decode(): float(value) for device, value in found}

    def total(self, name: str) -> float:
        """The sum over all series of a family; LookupError if there is none."""
        return sum(map(float, re.findall(rb" (\S+)\n", self._family(name))))

    def _family(self, name: str) -> bytes:
        """The lines of the family's samples."""
        kind = self.text.find(f"# TYPE {name} ".encode())
        if kind < 0:
            raise LookupError(f"the exporter exposes no {name}")
        start = self.text.index(b"\n", kind) + 1
        end = self.text.find(b"# HELP ", start)
        return self.text[start : end if end >= 0 else None]


@contextmanager
def exporter(addresses: Sequence[str], net: Simnet | None = None) -> Iterator[Exporter]:
    """The exporter with its shipped settings over `addresses`; in the simulated network, where one is given."""
    with tempfile.TemporaryDirectory() as folder:
        config = inventory.write(Path(folder), addresses)
        server = (
            Exporter(config)
            if net is None
            else Exporter(config, prefix=["nsenter", f"--net={net.namespace}", "--"], port=SIMNET_PORT, get=net.get)
        )
        with server:
            yield server
