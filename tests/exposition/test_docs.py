"""docs/metrics.md says what the exporter exposes, no more and no less."""

from __future__ import annotations

import re
from pathlib import Path

from exporter.exposition import families, snmp
from exporter.icmp.packet import REASONS

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
_ROW = re.compile(r"\| `(ward_\w+)` \| (\w+) \| (\w*) ?\| (.*?) ?\| (\S.*) \|")
ALL = (*families.ALL, *snmp.ALL)
UNITS = {"seconds": "_seconds", "ratio": "_ratio"}


def rows() -> dict[str, tuple[str, str, tuple[str, ...]]]:
    """By name: type, unit, labels."""
    found: dict[str, tuple[str, str, tuple[str, ...]]] = {}
    for line in PAGE.splitlines():
        if line.startswith("| `ward_"):
            row = _ROW.fullmatch(line)
            assert row, line
            name, kind, unit, label_text, _ = row.groups()
            assert name not in found, f"{name} stands twice"
            found[name] = kind, unit, tuple(_labels(label_text))
    return found


def _labels(text: str) -> list[str]:
    names = list(families.DEVICE) if text.startswith("device labels") else []
    return names + re.findall(r"`(\w+)`", text)


def test_every_family_is_documented_as_it_is() -> None:
    """Names, their order, types and labels are those of the code, both ways."""
    documented = [(name, kind, labels) for name, (kind, _, labels) in rows().items()]
    assert documented == [(family.name, family.kind, family.labels) for family in ALL]


def test_units_are_those_of_the_names() -> None:
    """What is in seconds or a ratio has that in its name, and the other way round."""
    for name, (_, unit, _) in rows().items():
        base = name.removesuffix("_total")
        for written, ending in UNITS.items():
            assert (unit == written) == base.endswith(ending), name


def test_every_name_that_is_mentioned_exists() -> None:
    """No sentence or query on the page speaks of a metric that is not there."""
    known = {family.name for family in ALL}
    assert set(re.findall(r"ward_\w+", PAGE)) <= known


def test_every_reason_is_documented() -> None:
    """The reasons for being down, and those for being suppressed, are all on the page."""
    _, _, down = PAGE.partition("`reason` of `ward_device_down_reason`:")
    assert set(re.findall(r"`(\w+)`", down.partition("\n\n")[0])) == set(REASONS[1:])
    _, _, suppressed = PAGE.partition("`reason` of `ward_device_suppressed`:")
    table = suppressed.partition("\n\n")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == ["flapping", "maintenance", "shadowed", "mass_outage"]
