"""The inventory file: what devices call themselves does no harm to it, and no other file is lost."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from exporter.document import parse
from exporter.errors import DiscoverError, Problem
from exporter.inventory.parse import Entries, parse_inventory
from exporter.tools.discover_devices import Catalogue, Known, Row, plain
from exporter.tools.discover_file import Target, render


def read(text: str) -> list[dict[str, object]]:
    """The devices in an inventory as the exporter reads it, with no problem."""
    problems: list[Problem] = []
    entries = Entries()
    parse_inventory(parse("found.yml", "yaml", text.encode()), entries, problems)
    assert problems == []
    return [entry.keys for entry in entries.devices]


TEXTS = st.one_of(
    st.text(max_size=40),
    st.binary(max_size=40).map(lambda octets: octets.decode(errors="replace")),
    st.sampled_from(
        [
            *(
                "null",
                "~",
                "yes",
                "1e3",
                "0x1F",
                "12:30:00",
                "2026-01-01",
                "=",
                "<<",
                "*a",
                "&a",
                "!x",
                "- a",
                "{a",
            ),
            *("#", "a: b", "a #b", '"', "'", "\\", "\\n", "%TAG", "@", "`", "\ufeffa", "a\u2028b", "a\x85b"),
            "\u202eabc",
        ]
    ),
)


@given(TEXTS, TEXTS, TEXTS)
def test_any_text_survives_as_one_value(name: str, model: str, own_name: str) -> None:
    """Names, models and remarks of any letters come back as they went in, after what is unprintable is gone."""
    shown = plain(name) or "10.1.0.7"
    keys = {"name": shown, "address": "10.1.0.7", "model": plain(model), "snmp": {"auth": shown}}
    catalogue = Catalogue([Row(keys, [plain(own_name)], False)], [Known("10.1.0.9", shown, plain(own_name))])
    assert read(render(catalogue, "found")) == [keys]


@given(st.text())
def test_plain_text(text: str) -> None:
    """Plain text is one printable line of at most 255 letters; plain text stays as it is."""
    found = plain(text)
    assert found.isprintable()
    assert found == found.strip()
    assert len(found) <= 255
    assert plain(found) == found


def test_line_ends_become_blanks() -> None:
    """A name of several lines does not glue its words together."""
    assert plain("sw1\r\n  rack\t3\0\x1b[2J") == "sw1 rack 3 [2J"


def written(path: Path, force: bool = False) -> None:
    Target(path, force, sys.stdout).write("devices: []\n")


def test_standard_output(tmp_path: Path) -> None:
    """Without a file the inventory is on standard output."""
    with (tmp_path / "out").open("w") as out:
        Target(None, False, out).write("devices: []\n")
    assert (tmp_path / "out").read_text() == "devices: []\n"


def test_a_new_file(tmp_path: Path) -> None:
    """Its folder is made; whoever runs the exporter can read it; nothing else is left behind."""
    path = tmp_path / "devices" / "found.yml"
    written(path)
    assert path.read_text() == "devices: []\n"
    assert path.stat().st_mode & 0o444 == 0o444
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_exists(tmp_path: Path) -> None:
    """It is refused at the start, and also when it has come up since; with force it is replaced."""
    path = tmp_path / "found.yml"
    target = Target(path, False, sys.stdout)
    path.write_text("mine\n")
    with pytest.raises(DiscoverError, match=r"found\.yml cannot be written: File exists"):
        target.write("devices: []\n")
    with pytest.raises(DiscoverError, match=r"found\.yml exists; expected no file, or --force"):
        written(path)
    assert path.read_text() == "mine\n"
    # What an end by force has left behind is no obstacle.
    (tmp_path / ".found.yml.new").write_text("half")
    written(path, force=True)
    assert path.read_text() == "devices: []\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_one(tmp_path: Path) -> None:
    """A forced write goes where the link leads."""
    real, link = tmp_path / "real.yml", tmp_path / "link.yml"
    real.write_text("mine\n")
    link.symlink_to(real)
    written(link, force=True)
    assert link.is_symlink()
    assert yaml.safe_load(real.read_text()) == {"devices": []}


@pytest.mark.parametrize("force", [False, True])
def test_what_is_no_regular_file(tmp_path: Path, force: bool) -> None:
    """Devices and folders are not replaced, and no folder is looked for in a file."""
    for path in (Path("/dev/null"), tmp_path):
        with pytest.raises(DiscoverError, match="expected a regular file"):
            Target(path, force, sys.stdout)
    assert Path("/dev/null").is_char_device()
    (tmp_path / "file").touch()
    with pytest.raises(DiscoverError, match="cannot be written"):
        Target(tmp_path / "file" / "found.yml", force, sys.stdout)


def test_a_full_disk(tmp_path: Path) -> None:
    """What cannot be written is told with the reason."""
    with Path("/dev/full").open("w") as full, pytest.raises(DiscoverError, match="No space left on device"):
        Target(None, False, full).write("devices: []\n")
