"""Exporters that divide one inventory among them, as processes in the simulated network."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from exporter.cli import main
from exporter.inventory.shard import part_of
from tests.serving import Serving, until
from tests.simnet import Simnet

PARTS = 3
SITES = 12


def named(kind: str, part: int, parts: int = 2) -> str:
    """A name that is in this part."""
    return next(name for name in (f"{kind}-{n}" for n in range(99)) if part_of(f"site {name}", parts) == part)


#: The core router is in one part; a branch whose router hangs on it, and a switch on that, in the other.
CENTRE, BRANCH = named("centre", 0), named("branch", 1)
TREE = f"""
devices:
  - {{name: core, address: 10.1.0.1, site: {CENTRE}, role: router}}
  - {{name: rt, address: 10.1.0.2, site: {BRANCH}, role: router, parent: core}}
  - {{name: sw, address: 10.1.0.3, site: {BRANCH}, role: switch, parent: rt}}
"""


@pytest.fixture
def shards(tmp_path: Path, shared_simnet: Simnet) -> Iterator[list[Serving]]:
    """Each with a folder of its own, not started yet; 10.1.0.0/16 answers."""
    shared_simnet.set("10.1.0.0/16", latency=0.002)
    with ExitStack() as running:
        found = []
        for number in range(PARTS):
            folder = tmp_path / str(number)
            folder.mkdir()
            one = running.enter_context(Serving(folder, shared_simnet))
            one.port += number
            found.append(one)
        yield found


def write(shards: list[Serving], text: str) -> None:
    for one in shards:
        (one.folder / "devices.yml").write_text(text)


def start(shards: list[Serving]) -> None:
    for number, one in enumerate(shards):
        one.start(f"--shard={number}/{len(shards)}")
    for one in shards:
        until(lambda one=one: one.log.exists() and "listening" in one.log.read_text(), 30)  # type: ignore[misc]
        until(lambda one=one: one.ask("/-/ready").status == 200, 30)  # type: ignore[misc]


def test_together_they_watch_everything_once(shards: list[Serving]) -> None:
    """Every page, /sd, the API and the totals: each device and site is with one exporter, as after a reload."""
    sites = [f"branch-{number}" for number in range(SITES)]
    lines = [
        f"  - {{name: {site}-d{number}, address: 10.1.{row}.{number}, site: {site}}}"
        for row, site in enumerate(sites)
        for number in (1, 2, 5)
    ]
    write(shards, "\n".join(["devices:", *lines[:-3], ""]))
    start(shards)
    write(shards, "\n".join(["devices:", *lines, ""]))
    for one in shards:
        assert one.reload().status == 200
        one.until_page(lambda page: len(page.devices("ward_device_up")) == page.value("ward_inventory_devices"))
    wanted = Counter(line.split(",")[0].removeprefix("  - {name: ") for line in lines)
    pages = [one.page() for one in shards]
    assert Counter(name for page in pages for name in page.devices("ward_device_up")) == wanted
    assert sum(page.value("ward_inventory_devices") for page in pages) == len(lines)
    assert [page.samples("ward_inventory_shards", shard=str(n)) for n, page in enumerate(pages)] == [[3], [3], [3]]
    groups = [group for one in shards for group in json.loads(one.ask("/sd").text)]
    assert Counter(group["labels"]["device"] for group in groups) == wanted
    listed = [device for one in shards for device in json.loads(one.ask("/api/v1/devices").text)["devices"]]
    assert Counter(device["name"] for device in listed) == wanted
    isolated = [site for site in sites for page in pages if page.samples("ward_site_isolated", site=site)]
    assert sorted(isolated) == sorted(sites)


def test_what_hangs_on_another_part_is_shadowed(shards: list[Serving], shared_simnet: Simnet) -> None:
    """A parent in another part is probed as well, so its outage explains that of its child; it is shown by its own
    exporter alone, and is there again after a restart and a reload."""
    del shards[2:]
    write(shards, TREE)
    start(shards)
    centre, branch = shards
    for address in ("10.1.0.1", "10.1.0.2", "10.1.0.3"):
        shared_simnet.cut(address)
    page = branch.until_page(lambda page: len(page.samples("ward_device_suppressed", reason="shadowed")) == 2)
    assert page.devices("ward_device_up") == {"rt": 0, "sw": 0}
    assert "core" not in branch.ask("/sd").text + branch.ask("/api/v1/devices").text
    assert branch.ask("/api/v1/devices/core").status == 404
    labels = [dict(sample.labels) for block in page.blocks.values() for sample in block.samples]
    assert {found["device"] for found in labels if "device" in found} == {"rt", "sw"}
    assert centre.until_page(lambda page: page.devices("ward_device_up") == {"core": 0})
    assert branch.end() == 0
    branch.start_ready("--shard=1/2")
    assert branch.reload().status == 200
    page = branch.until_page(lambda page: page.devices("ward_device_up") == {"rt": 0, "sw": 0})
    assert len(page.samples("ward_device_suppressed", reason="shadowed")) == 2
    for address in ("10.1.0.1", "10.1.0.2", "10.1.0.3"):
        shared_simnet.restore(address)
    branch.until_page(lambda page: page.devices("ward_device_up") == {"rt": 1, "sw": 1})
    assert page.value("ward_inventory_devices") == 2
    # The router alone is an outage of its own: what it hangs on is up.
    shared_simnet.cut("10.1.0.2")
    page = branch.until_page(lambda page: page.value("ward_device_up", "rt") == 0)
    assert not page.samples("ward_device_suppressed", device="rt", reason="shadowed")
    shared_simnet.restore("10.1.0.2")


def test_a_part_without_devices_does_not_start(shards: list[Serving], capsys: pytest.CaptureFixture[str]) -> None:
    """An exporter that watches nothing would look healthy: it says why it does not start, and `check` does too."""
    write(shards, TREE)
    empty = min({0, 1, 2} - {part_of(f"site {site}", PARTS) for site in (CENTRE, BRANCH)})

    said = shards[0].failed_start(f"--shard={empty}/{PARTS}")
    reason = "holds no devices; expected fewer parts than there are sites"
    told = f"inventory: the part {empty}/{PARTS} of it {reason}"
    assert told in said
    assert main(["check", f"--config.file={shards[0].folder / 'ward.yml'}", f"--shard={empty}/{PARTS}"]) == 1
    assert told in capsys.readouterr().out


@pytest.mark.parametrize("command", ["serve", "check"])
def test_a_wrong_part_is_wrong_usage(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is status 2, and the message says what is expected."""
    with pytest.raises(SystemExit) as end:
        main([command, "--shard=4/4"])
    assert end.value.code == 2
    assert "argument --shard: found '4/4', expected 0/4 to 3/4: the first part is 0" in capsys.readouterr().err


def test_check_tells_how_large_a_part_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The summaries of all parts add up to the inventory, and a mistake anywhere is told of every part."""
    (tmp_path / "ward.yml").write_text("inventory: [{file: devices.yml}]\n")
    (tmp_path / "devices.yml").write_text(TREE)
    config = f"--config.file={tmp_path / 'ward.yml'}"
    for shard, summary in (("0/2", "OK: 1 device, 1 site,"), ("1/2", "OK: 2 devices, 1 site,")):
        assert main(["check", config, f"--shard={shard}"]) == 0
        assert capsys.readouterr().out.startswith(summary)
    (tmp_path / "devices.yml").write_text(TREE.replace("parent: rt", "parent: nobody"))
    assert main(["check", config, "--shard=0/2"]) == 1
    assert "no device has the name 'nobody'" in capsys.readouterr().out
