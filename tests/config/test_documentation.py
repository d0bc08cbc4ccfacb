"""docs/configuration.md against the tables of the code, both ways."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from exporter import values
from exporter.config import (
    DEFAULT_FILE,
    DEFAULT_REFRESH,
    SETTINGS,
    FlappingSettings,
    ProbeSettings,
    load_settings,
)
from exporter.config_auths import AUTH_PROTOCOLS, PRIV_PROTOCOLS, SECURITY_LEVELS
from exporter.config_snmp import SnmpSettings
from exporter.document import parse
from exporter.errors import Problem
from exporter.fields import ListOf, MapOf, Schema, Table
from exporter.inventory.build import build
from exporter.inventory.device import Device, Limits, SnmpOptions
from exporter.inventory.parse import GROUP, INVENTORY, SD_LABELS, Entries, parse_inventory

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()


def keys(schema: Schema, way: str = "") -> Iterator[str]:
    """The ways to all scalars of a schema, as the page writes them."""
    if isinstance(schema, Table):
        for key, inner in schema.keys.items():
            yield from keys(inner, f"{way}.{key}".removeprefix("."))
    elif isinstance(schema, MapOf):
        yield from keys(schema.item, f"{way}.*")
    elif isinstance(schema, ListOf) and isinstance(schema.item, Table):
        yield from keys(schema.item, f"{way}[]")
    else:
        yield way


def rows() -> dict[str, list[str]]:
    """The page's table rows by key: type, default, meaning."""
    found = {}
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 4:
            found[cells[0].strip("`")] = cells[1:]
    return found


def test_the_page_has_every_key_and_no_other() -> None:
    """A key that the code reads is on the page, and the page promises no key that the code refuses."""
    assert set(rows()) == {*keys(SETTINGS), *keys(INVENTORY), *keys(ListOf(GROUP))}


def default(key: str) -> str:
    """The default that the page gives for a key."""
    return rows()[key][1].strip("`")


SNMP_NUMBERS = ("interval", "slow_interval", "timeout", "retries", "max_repetitions", "workers")


@pytest.mark.parametrize(
    ("key", "real"),
    [
        *((f"probe.{key}", getattr(ProbeSettings(), key)) for key in ProbeSettings.__dataclass_fields__),
        ("flapping.window", FlappingSettings().window),
        ("inventory[].refresh", DEFAULT_REFRESH),
        *((f"snmp.{key}", getattr(SnmpSettings(), key)) for key in SNMP_NUMBERS),
        ("classes[].snmp.port", SnmpOptions("").port),
        ("classes[].limits.rtt", Limits().rtt),
        ("classes[].limits.loss", Limits().loss),
        ("classes[].limits.flap_changes", Limits().flap_changes),
        ("classes[].role", Device(name="", address="").role),
        ("classes[].priority", Device(name="", address="").priority),
    ],
)
def test_defaults_on_the_page_are_those_of_the_code(key: str, real: object) -> None:
    """A default that is changed in the code is changed on the page."""
    written = default(key)
    if isinstance(real, float):
        assert (values.ratio(written) if written.endswith("%") else values.seconds(written)) == real
    else:
        assert {str(real), str(real).lower(), repr(real).replace("'", '"')} & {written}


@pytest.mark.parametrize(
    ("key", "words"),
    [("auth_protocol", AUTH_PROTOCOLS), ("priv_protocol", PRIV_PROTOCOLS), ("security_level", SECURITY_LEVELS)],
)
def test_the_words_of_version_3_are_on_the_page(key: str, words: tuple[str, ...]) -> None:
    """Protocols and levels are listed as the code knows them."""
    assert tuple(re.findall(r"`(\w+)`", rows()[f"snmp.auths.*.{key}"][0])) == words


def test_the_credentials_on_the_page_are_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of credentials is read without a problem, its secrets given."""
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (shown,) = (block for block in blocks if block.startswith("snmp:"))
    (tmp_path / "branch").write_text("public\n")
    (tmp_path / "ward.yml").write_text(shown.replace("/etc/ward/secrets/", ""))
    for name in re.findall(r"\bWARD_\w+", shown):
        monkeypatch.setenv(name, "a long password")
    assert set(load_settings(tmp_path / "ward.yml").snmp.auths) == {"branch", "core"}


def test_the_shipped_classes_on_the_page_are_those_that_ship() -> None:
    """The classes shown are the embedded ones, word for word."""
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    shown = next(block for block in blocks if block.startswith("classes:"))
    assert yaml.safe_load(shown)["classes"] == yaml.safe_load(DEFAULT_FILE.read_text())["classes"]


EXAMPLES = [("yaml\n# devices", "yaml"), ("json\n", "json"), ("\nname,", "csv")]


@pytest.mark.parametrize(("fence", "kind"), EXAMPLES)
def test_the_examples_on_the_page_are_right(fence: str, kind: str) -> None:
    """Each example of an inventory is read without a problem."""
    start = PAGE.index(f"```{fence}")
    text = PAGE[PAGE.index("\n", start) + 1 : PAGE.index("```", start + 3)]
    problems: list[Problem] = []
    entries = Entries()
    parse_inventory(parse("page", kind, text.encode()), entries, problems)
    assert build(entries, load_settings(None), problems).devices
    assert problems == []


def test_the_page_names_the_labels_of_the_code() -> None:
    """The reserved labels and those of http_sd that are device keys are listed in full."""
    reserved = PAGE.split("The exporter writes these labels itself:")[1].split(".")[0]
    assert set(re.findall(r"`(\w+)`", reserved)) == values.OWN_LABELS
    from_sd = PAGE.split("\nThe labels `name`")[1].split("are the device's keys")[0]
    assert {*re.findall(r"`(\w+)`", from_sd), "name"} == {*SD_LABELS, "device"}
