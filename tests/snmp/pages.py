"""Pages in the text format as what they say, however their lines and labels are ordered."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

#: Name and labels of a sample.
Series = tuple[str, frozenset[tuple[str, str]]]


def series(page: str) -> dict[Series, float]:
    """The samples of a page; one that stands twice is an error."""
    found: dict[Series, float] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, f"twice: {key}"
            found[key] = float(sample.value)
    return found


def heads(page: str) -> dict[str, str]:
    """What each `# TYPE` and `# HELP` line says, by its beginning, such as `# TYPE ifMtu`."""
    lines = (line for line in page.splitlines() if line.startswith("#"))
    return {" ".join(line.split(" ")[:3]): " ".join(line.split(" ")[3:]) for line in lines}


def without(found: Mapping[Series, float], *prefixes: str) -> dict[Series, float]:
    """All but the samples whose names start so."""
    return {key: value for key, value in found.items() if not key[0].startswith(prefixes)}
