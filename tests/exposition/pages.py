"""Whole pages as `/metrics` shows them, and a reading of them that forgives nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from exporter.exposition import itself as exposition
from exporter.exposition.devices import DeviceText
from exporter.exposition.itself import Itself, Process
from exporter.icmp.prober import LoopStats
from exporter.inventory.device import Device, Limits, Site
from tests.state.driver import REPLY, Driver, device

#: What a label may hold at worst.
NASTY = 'quote" backslash\\ newline\n ქართული \ud800 tab\t \\n'
ISP = Limits(rtt=0.1, loss=0.05, flap_changes=2)


def rich() -> Driver:
    """An inventory in which every family has a sample: up, down, flapping, shadowed, with a histogram."""
    full = Device(
        name="tbilisi-01-isp-a",
        address="10.1.1.5",
        hostname="isp-a.example",
        site="tbilisi-01",
        role="isp",
        priority=0,
        region="Tbilisi",
        provider="magti",
        vendor="v",
        model="m",
        latitude=41.72,
        longitude=-44.78,
        labels=(("rack", "a3"), ("note", NASTY)),
        limits=ISP,
        histogram=True,
    )
    devices = [
        full,
        device("switch", site="tbilisi-01", role="switch", histogram=True),
        device(NASTY, address="fd00::1", site="ბათუმი", region=NASTY, parent="switch"),
        device("new", site="tbilisi-01", histogram=True),
    ]
    driver = Driver(
        devices, [Site(name="tbilisi-01", region="Tbilisi", latitude=41.7, longitude=44.8), Site(name="ბათუმი")]
    )
    isp, switch, nasty = (one.name for one in devices[:3])
    reference = "the loop itself"
    driver.row[reference] = len(devices)
    for letters in ("+++", "+++", "-++", "-++", "-++", "+++", "+++", "---", "---", "---"):
        driver.second({**dict(zip((isp, switch, nasty), letters, strict=True)), reference: REPLY})
    return driver


def itself() -> Itself:
    return Itself(
        interval=1.0,
        sockets=(("ipv4", "raw"), ("ipv6", "raw")),
        unresolved=1,
        sources={"devices/*.yml": (True, 3), 'https://cmdb/"x"\\': (False, 0)},
        reload_successful=False,
        reloaded_at=1_700_000_000.25,
        snapshot_at=1_700_000_001.5,
        snapshot_failures=2,
        snapshot_duration=0.001,
        render_duration=0.01,
        renders=17,
    )


def stats() -> LoopStats:
    found = LoopStats(sent=100, received=99, foreign=1, invalid=2, void=3, drops=4, cycles=5, skipped_cycles=6)
    found.send_errors.update({"ENOBUFS": 7, "EPERM": 1})
    return found


def page(driver: Driver) -> str:
    """Everything at once, as the service joins it."""
    text = DeviceText(driver.verdicts, driver.topology.site_names)
    parts = [*text.render(), *exposition.render(stats(), driver.verdicts, itself()), Process().render()]
    return b"".join(parts).decode()


class Sample(NamedTuple):
    name: str
    labels: tuple[tuple[str, str], ...]
    value: float
    line: str

    @property
    def series(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        return self.name, tuple(sorted(self.labels))


class Block(NamedTuple):
    """A family: its HELP, its TYPE, and the samples between them and the next family."""

    name: str
    help: str
    kind: str
    samples: list[Sample]

    def values(self) -> dict[tuple[tuple[str, str], ...], float]:
        return {tuple(sorted(sample.labels)): sample.value for sample in self.samples}


_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(,|$)')
_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
_ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


def read(text: str) -> dict[str, Block]:
    """Families by name; fails on whatever the text format 0.0.4 does not allow."""
    assert text.endswith("\n")
    blocks: dict[str, Block] = {}
    lines = iter(text[:-1].split("\n"))
    current: Block | None = None
    for line in lines:
        if line.startswith("# HELP "):
            name, _, help_text = line.removeprefix("# HELP ").partition(" ")
            kind_line = next(lines)
            assert kind_line.startswith(f"# TYPE {name} "), kind_line
            assert name not in blocks, f"{name} comes twice"
            current = blocks[name] = Block(name, help_text, kind_line.rpartition(" ")[2], [])
        else:
            assert current is not None
            sample = _read_sample(line)
            assert sample.name in _names(current), f"{sample.name} stands among the lines of {current.name}"
            current.samples.append(sample)
    series = [sample.series for block in blocks.values() for sample in block.samples]
    assert len(series) == len(set(series)), "a series comes twice"
    return blocks


def _names(block: Block) -> tuple[str, ...]:
    if block.kind in ("histogram", "summary"):
        return (f"{block.name}_bucket", f"{block.name}_sum", f"{block.name}_count")
    return (block.name,)


def _read_sample(line: str) -> Sample:
    found = _SAMPLE.fullmatch(line)
    assert found, line
    name, inside, value = found.groups()
    return Sample(name, tuple(_read_labels(inside)) if inside else (), float(value), line)


def _read_labels(inside: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(inside):
        found = _LABEL.match(inside, position)
        assert found, inside[position:]
        yield found[1], re.sub(r"\\.", lambda escape: _ESCAPES[escape[0]], found[2])
        position = found.end()
