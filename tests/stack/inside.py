"""Real programs inside the simulated network, and how a test waits for what they show."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypedDict

from bench.exporter import SIMNET_PORT, Exporter
from tests.servers.running import Get
from tests.simnet import Simnet
from tests.stack.branches import Branch, write_inventory


class Place(TypedDict):
    """What a Server needs to run inside a network: see its constructor."""

    prefix: Sequence[str]
    get: Get
    port: int


def place(net: Simnet, port: int) -> Place:
    return {"prefix": ["nsenter", f"--net={net.namespace}", "--"], "get": net.get, "port": port}


@contextmanager
def exporter(
    net: Simnet, devices: Sequence[Branch], *, port: int = SIMNET_PORT, more: str = ""
) -> Iterator[Exporter]:
    """`ward-exporter serve` with every series there, on its shipped settings but for `more`, a part of ward.yml."""
    with TemporaryDirectory() as folder:
        config = write_inventory(Path(folder), devices) + more
        with Exporter(config, **place(net, port)) as server:
            # Jitter takes two replies, and is the last family to be complete.
            until(
                lambda: len(server.metrics().by_device("ward_device_jitter_seconds")) == len(devices),
                "every device has all of its series",
            )
            yield server


def until(holds: Callable[[], object], what: str, seconds: float = 30.0, every: float = 0.1) -> None:
    """Ask `holds` until it is true. Raises AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(every)
