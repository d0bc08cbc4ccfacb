"""docs/discovery.md: its commands, its configuration and its inventory are right, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

from exporter.cli import parser
from tests.docs.pages import DOCS, read
from tests.tools.discovering import check

PAGE = read(DOCS / "discovery.md")


def test_commands() -> None:
    """Each line of the program is taken by its own parser; the ranges are those of the title."""
    lines = [words for words in PAGE.commands() if words[0] == "ward-exporter"]
    asked = [parser().parse_args(words[1:]) for words in lines if len(words) > 2]
    assert {options.command for options in asked} == {"discover", "check", "serve"}
    assert {tuple(options.ranges) for options in asked if options.command == "discover"} == {("10.1.0.0/22",)}


def test_the_examples_are_one_configuration(tmp_path: Path) -> None:
    """The inventory that the page shows is one for the configuration that it shows, as check sees it."""
    config, inventory = ("\n".join(lines) for language, lines in PAGE.blocks if language == "yaml")
    (tmp_path / "ward.yml").write_text(config.replace("/etc/ward/secrets/", ""))
    for name in re.findall(r"/etc/ward/secrets/(\w+)", config):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text("a long secret\n")
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / "tbilisi.yml").write_text(inventory)
    assert check(tmp_path / "ward.yml") == "OK: 3 devices, 1 site, 1 ISP link\n"


def test_links() -> None:
    """Files that links point at exist, and so do the headings in them."""
    assert PAGE.links()
    for path, anchor in PAGE.links():
        target = read(DOCS / path)
        assert not anchor or anchor in target.anchors()
