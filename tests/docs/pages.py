"""Pages of docs/ taken apart, and what the project has that a page may name."""

from __future__ import annotations

import argparse
import errno
import functools
import re
import shlex
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from exporter.cli import parser
from exporter.config import SETTINGS
from exporter.exposition import families, snmp
from exporter.fields import ListOf
from exporter.icmp.packet import REASONS
from exporter.inventory.parse import GROUP, INVENTORY
from exporter.snmp.modules import Module, shipped
from exporter.values import OWN_LABELS
from tests.config.test_documentation import keys
from tests.servers import FLOOR, program

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
RUNBOOKS = DOCS / "runbooks"

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)

#: What Prometheus and vmagent add to each scrape.
MADE_BY_SCRAPES = frozenset({"up", "scrape_duration_seconds", "scrape_samples_scraped"})
#: Tools of the machine, which nothing in the project can vouch for.
_TOOLS = frozenset(
    {"curl", "date", "df", "dmesg", "du", "free", "ip", "kill", "mtr", "nft", "ping"}
    | {"sysctl", "tcpdump", "top", "uptime"}
)
#: Files that are the user's own.
_OWN_FILES = frozenset({"ward.yml", "/etc/alertmanager/secrets"})
#: What examples and other programs are called; each stands on a page.
NAMES = frozenset(
    {"tbilisi-01-isp-a", "tbilisi-01-sw1", "magti", "*.*.*.5", ".5", "0", "1", "2", "icmplib", "reloaded"}
    | {"CAP_NET_ADMIN", "SIGHUP", "prohibit", "credentials", "bandwidth"}
)


class Page(NamedTuple):
    """One Markdown file: its text, its fenced blocks (language, lines without indent), and the text around them."""

    path: Path
    text: str
    blocks: tuple[tuple[str, tuple[str, ...]], ...]
    prose: str

    @property
    def spans(self) -> list[str]:
        """What stands in backticks, outside of blocks."""
        return re.findall(r"`([^`\n]+)`", re.sub(r"(?<=\S)\n +(?=\S)", " ", self.prose))

    def lines(self, language: str) -> list[str]:
        """The lines of all blocks in this language."""
        return [line for found, lines in self.blocks if found == language for line in lines]

    def commands(self) -> list[list[str]]:
        """The words of every command on the page: lines of shell blocks, and spans that begin with a program."""
        inline = [span for span in self.spans if span.split()[0] in {*PROGRAMS, "curl"} and " " in span]
        return [shlex.split(line) for line in (*self.lines("sh"), *inline)]

    def queries(self) -> list[str]:
        """Every PromQL expression on the page, one a line, and those in the text that select by labels."""
        return [*self.lines("promql"), *(span for span in self.spans if re.match(r"\w+\{", span))]

    def links(self) -> list[tuple[str, str]]:
        """Relative links as (path, anchor); both may be empty."""
        found = re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", self.prose)
        return [(path, anchor) for path, anchor in found if "://" not in path]

    def anchors(self) -> set[str]:
        """What a link may point at, as GitHub and GitLab make it of headings."""
        headings = re.findall(r"^#+ (.+)$", self.prose, re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


#: The programs of the stack, by what they are called on pages.
PROGRAMS = {
    "ward-exporter": None,
    "prometheus": "prometheus",
    "promtool": "promtool",
    "alertmanager": "prometheus-alertmanager",
    "amtool": "amtool",
    "victoria-metrics": "victoria-metrics",
    "vmagent": "vmagent",
    "vmalert": "vmalert",
}


def read(path: Path) -> Page:
    text = path.read_text()
    blocks = tuple(
        (language, tuple(line for line in textwrap.dedent(body).splitlines() if line))
        for _, language, body in _FENCE.findall(text)
    )
    return Page(path, text, blocks, _FENCE.sub("", text))


def runbooks() -> list[Page]:
    """The pages of alerts, without their index."""
    return [read(path) for path in sorted(RUNBOOKS.glob("*.md")) if path.name != "README.md"]


# What there is.


@functools.cache
def rules() -> list[dict[str, Any]]:
    """Every alerting and recording rule of rules/."""
    files = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "rules").glob("*.yml"))]
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


def severities() -> dict[str, str]:
    """The severity of each alert; rules of one name agree in it."""
    found: dict[str, str] = {}
    for rule in rules():
        if "alert" in rule:
            severity = rule["labels"]["severity"]
            assert found.setdefault(rule["alert"], severity) == severity, rule["alert"]
    return found


@functools.cache
def metrics() -> frozenset[str]:
    """Names of series: the exporter's, recorded ones, and those that every scrape makes."""
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    own = {family.name for family in (*families.ALL, *snmp.ALL)}
    return frozenset(own | {metric.name for metric in interfaces().metrics} | recorded | MADE_BY_SCRAPES)


@functools.cache
def interfaces() -> Module:
    """The module that the pages ask of devices."""
    return shipped()["if_mib"]


@functools.cache
def config_keys() -> frozenset[str]:
    """Every key of ward.yml and the inventory, and the ways to them."""
    ways = {*keys(SETTINGS), *keys(INVENTORY), *keys(ListOf(GROUP))}
    for way in list(ways):
        parts = way.split(".")
        ways.update(".".join(parts[:end]) for end in range(1, len(parts)))
    return frozenset(ways | {way.removesuffix("[]") for way in ways})


@functools.cache
def hosts() -> frozenset[str]:
    """host:port of the exporter and of every part of the stack."""
    jobs = yaml.safe_load((ROOT / "prometheus.yml").read_text())["scrape_configs"]
    return frozenset(
        target for job in jobs for group in job.get("static_configs", ()) for target in group["targets"]
    )


@functools.cache
def routes() -> list[tuple[re.Pattern[str], list[str]]]:
    """The exporter's paths and their methods, from the page that is held against its routes."""
    rows = re.findall(r"^\| `(/[^`]*)` \| ([A-Z, ]+) \|", (DOCS / "http.md").read_text(), re.MULTILINE)
    return [(re.compile(re.sub(r"\{\w+\}", "[^/?]+", path)), methods.split(", ")) for path, methods in rows]


@functools.cache
def flags(name: str) -> frozenset[str]:
    """All flags of a program, as its help spells them."""
    if name == "ward-exporter":
        return frozenset(flag for command in _commands().values() for flag in command._option_string_actions)
    called = PROGRAMS[name] or name
    said = subprocess.run([program(called, FLOOR), "--help"], check=False, capture_output=True, text=True)
    return frozenset(re.findall(r"(?<![\w-])--?[a-zA-Z][\w.-]*", said.stdout + said.stderr))


def _commands() -> dict[str, argparse.ArgumentParser]:
    (commands,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    choices: dict[str, argparse.ArgumentParser] = commands.choices
    return choices


@functools.cache
def words() -> frozenset[str]:
    """Single words that a page may set in backticks: what the project or the kernel calls something."""
    config = yaml.safe_load((ROOT / "alertmanager" / "alertmanager.yml").read_text())
    prometheus = yaml.safe_load((ROOT / "prometheus.yml").read_text())
    described = [
        *(label for rule in rules() for part in ("labels", "annotations") for label in rule.get(part, ())),
        *(label for rule in rules() for label in re.findall(r"\$labels\.(\w+)", str(rule))),
        *(label for family in (*families.ALL, *snmp.ALL) for label in family.labels),
        *(lookup.labelname for metric in interfaces().metrics for lookup in metric.lookups),
    ]
    api = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", (DOCS / "http.md").read_text(), re.MULTILINE)
    return frozenset(
        {*severities(), *severities().values(), *metrics(), *config_keys(), *hosts(), *described, *OWN_LABELS}
        | {*REASONS, "mass_outage", "job", "instance", *errno.errorcode.values(), *PROGRAMS, *prometheus}
        | {job["job_name"] for job in prometheus["scrape_configs"]}
        | {receiver["name"] for receiver in config["receivers"]}
        | {word for row in api for word in re.findall(r"\w+", row)}
        | {key.removeprefix("classes[].") for key in config_keys()}
        | NAMES
        | _TOOLS
    )


def unknown(page: Page) -> Iterator[str]:
    """What the page sets in backticks, and nothing in the project answers to."""
    for span in page.spans:
        first = span.split()[0]
        if not (
            span in words() or _is_query(span) or _is_path(span) or _is_flag(first) or _is_command(first, span)
        ):
            yield span


def _is_query(span: str) -> bool:
    return re.match(r"\w+\{", span) is not None and span.partition("{")[0] in metrics()


def _is_path(span: str) -> bool:
    if span.startswith("http://"):
        host, _, path = span.removeprefix("http://").partition("/")
        return host in hosts() and (not host.startswith("exporter") or is_route(f"/{path}", "GET"))
    return span in _OWN_FILES or is_route(span, "GET") or (ROOT / span).exists()


def _is_flag(span: str) -> bool:
    return span.startswith("-") and any(span.partition("=")[0] in flags(name) for name in PROGRAMS)


def _is_command(first: str, span: str) -> bool:
    # Those of the project's own programs are run or parsed by tests of their own.
    return first in _TOOLS or (first in PROGRAMS and " " in span)


def is_route(path: str, method: str) -> bool:
    """Does the exporter answer to this?"""
    return any(way.fullmatch(path) and method in methods for way, methods in routes())
