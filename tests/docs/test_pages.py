"""Runbooks and the migration page: what they name exists, what they link to is there, what they ask parses."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from exporter.cli import parser
from tests.docs.pages import DOCS, NAMES, RUNBOOKS, Page, is_route, metrics, read, runbooks, severities, unknown
from tests.servers import FLOOR, generations, program

PAGES = [*runbooks(), read(RUNBOOKS / "README.md"), read(DOCS / "migration.md")]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path.stem)


@every_page
def test_blocks_are_whole_and_of_a_language_that_is_looked_at(page: Page) -> None:
    """No fence is open or oddly indented, which would hide its lines from a reader and from these tests."""
    assert "```" not in page.prose
    assert {language for language, _ in page.blocks} <= {"sh", "promql", "yaml", "csv"}


@every_page
def test_what_a_page_names_exists(page: Page) -> None:
    """Every name in backticks is a metric, alert, label, key, file, flag, path or program that there is."""
    assert list(unknown(page)) == []


def test_no_name_is_allowed_in_vain() -> None:
    """A word that only the tests vouch for is gone from them when it is gone from the pages."""
    assert {span for page in PAGES for span in page.spans} >= NAMES


@every_page
def test_metrics_and_alerts_on_a_page_exist(page: Page) -> None:
    """The same in text and queries: each name of a series and of an alert."""
    assert set(re.findall(r"\b(?:ward|device|scrape)_[a-z_]+\b", page.text)) <= metrics()
    camel = set(re.findall(r"\b[A-Z][a-z]+(?:[A-Z][a-z]+)+\b", page.text)) - {"VictoriaMetrics"}
    assert camel <= set(severities())


@every_page
def test_every_link_leads_somewhere(page: Page) -> None:
    """Files that links point at exist, and so do the headings in them."""
    for path, anchor in page.links():
        target = (page.path.parent / path).resolve() if path else page.path
        assert target.is_file(), path
        assert not anchor or anchor in read(target).anchors(), f"{path}#{anchor}"


@every_page
def test_commands_of_the_exporter_are_right(page: Page) -> None:
    """Each `ward-exporter` line is taken by its own parser; each path that is asked for is one of its routes."""
    for words in page.commands():
        if words[0] == "ward-exporter":
            parser().parse_args(words[1:])
        for word in words:
            if word.startswith("http://exporter:9841"):
                path = word.removeprefix("http://exporter:9841")
                assert is_route(path, "POST" if "POST" in words else "GET"), word


def test_every_query_parses(tmp_path: Path) -> None:
    """PromQL of the oldest Prometheus, and MetricsQL of every vmalert, read every query on the pages."""
    queries = [query for page in PAGES for query in page.queries()]
    assert len(queries) > len(PAGES)
    lines = [
        f"  - {{record: 'page:query:{number}', expr: {_quoted(query)}}}" for number, query in enumerate(queries)
    ]
    file = tmp_path / "queries.yml"
    file.write_text("\n".join(["groups:", "- name: pages", "  rules:", *lines, ""]))
    commands: list[list[str | Path]] = [[program("promtool", FLOOR), "check", "rules", file]]
    commands += [[program("vmalert", one), "-dryRun", f"-rule={file}"] for one in generations()]
    for command in commands:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def _quoted(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"'{doubled}'"
