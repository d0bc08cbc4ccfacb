"""YAML, JSON and CSV as plain values: the same as other parsers give, with lines, and within bounds."""

from __future__ import annotations

import json
import random
import string
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from exporter.document import Way, parse, show_way
from exporter.errors import ConfigError

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
PLAIN = st.text(st.characters(categories=["L", "N"]))
SCALAR = (
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
VALUE = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


def ways(value: Any, way: Way = ()) -> list[Way]:
    """Every way into a value."""
    if not isinstance(value, dict | list):
        return [way]
    members = value.items() if isinstance(value, dict) else enumerate(value)
    return [way, *(inner for step, member in members for inner in ways(member, (*way, step)))]


def problem(kind: str, text: str) -> str:
    """What is said of a text that cannot be read."""
    with pytest.raises(ConfigError) as caught:
        parse("x", kind, text.encode())
    return str(caught.value)


@given(VALUE, st.booleans())
def test_yaml_reads_back_what_pyyaml_writes(value: Any, flow: bool) -> None:
    """Whatever PyYAML writes of plain values reads back as those, in both styles."""
    text = yaml.safe_dump(value, allow_unicode=True, default_flow_style=flow)
    assert parse("x", "yaml", text.encode()).value == value


@given(VALUE)
def test_json_lines_are_those_of_the_values(value: Any) -> None:
    """In JSON with one value a line, each value is found on its own line."""
    document = parse("x", "json", json.dumps(value, indent=1).encode())
    assert document.value == value
    lines = json.dumps(value, indent=1).split("\n")
    for way in ways(value):
        line = document.places.line(way)
        assert line is not None
        if way and isinstance(way[-1], str):
            assert lines[line - 1].startswith(" " * len(way) + json.dumps(way[-1]) + ":")
        elif way:
            assert lines[line - 1].startswith(" " * len(way))
    indexed = [document.places.line(way) for way in ways(value)]
    assert indexed == sorted(indexed, key=lambda line: line or 0)


@given(st.dictionaries(PLAIN, st.lists(PLAIN, min_size=1), min_size=1))
def test_yaml_lines_are_those_of_the_values(value: dict[str, list[str]]) -> None:
    """In YAML with one value a line, each value is found on its own line."""
    lines: list[str] = []
    places: dict[Way, int] = {}
    for key, items in value.items():
        lines.append(f"'{key}':")
        places[(key,)] = len(lines)
        for position, item in enumerate(items):
            lines.append(f"  - '{item}'")
            places[key, position] = len(lines)
    document = parse("x", "yaml", "\n".join(lines).encode())
    assert document.value == value
    assert {way: document.places.line(way) for way in places} == places


@given(st.sampled_from(["yaml", "json", "csv"]), st.binary() | st.text().map(str.encode))
def test_any_bytes_are_a_document_or_a_config_error(kind: str, data: bytes) -> None:
    """Whatever a file holds, reading it ends with a value or with a ConfigError that can be written out."""
    try:
        document = parse("x", kind, data)
    except ConfigError as error:
        said = str(error).encode()
    else:
        said = document.kind.encode()
    assert said


@given(st.text("[]{},:&*!|>-?\"'#% \n\tab<1", max_size=60))
def test_any_punctuation_is_yaml_or_a_config_error(text: str) -> None:
    """YAML's own signs in any order end the same way."""
    try:
        document = parse("x", "yaml", text.encode())
    except ConfigError as error:
        lines = [one.line for one in error.problems]
    else:
        lines = [document.places.line(way) for way in ways(document.value)]
    assert all(lines)


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, '{"a":' * 100_000])
@pytest.mark.parametrize("kind", ["yaml", "json"])
def test_deep_nesting_is_refused(kind: str, text: str) -> None:
    """Text that nests 100,000 levels deep is refused at once, and does not end the process."""
    assert "deep" in problem(kind, text) or "not valid JSON" in problem(kind, text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# nothing\n", None),
        ("a: 2025-03-01T22:00:00Z", {"a": "2025-03-01T22:00:00Z"}),
        ("a: !!str 12", {"a": "12"}),
        ("a: !!int '12'", {"a": 12}),
        ("a: 0x1F", {"a": 31}),
        ("a: &x [1, 2]\nb: *x", {"a": [1, 2], "b": [1, 2]}),
        ("a: &x {k: 1, l: 2}\nb: {<<: *x, k: 3}", {"a": {"k": 1, "l": 2}, "b": {"k": 3, "l": 2}}),
        (
            "a: &x {k: 1}\nb: &y {k: 2, l: 2}\nc: {<<: [*x, *y]}",
            {"a": {"k": 1}, "b": {"k": 2, "l": 2}, "c": {"k": 1, "l": 2}},
        ),
        ("a: <<", {"a": "<<"}),
        ("a: |\n  two\n  lines\nb: x", {"a": "two\nlines\n", "b": "x"}),
    ],
)
def test_yaml_means_what_it_means_elsewhere(text: str, value: object) -> None:
    """Tags, anchors, merge keys and blocks work; only dates stay text."""
    document = parse("x", "yaml", text.encode())
    assert (document.value, document.faults) == (value, [])


def test_lines_through_a_merge_lead_to_the_template() -> None:
    """A merged value is found where it is written, and an alias where its anchor is."""
    document = parse("x", "yaml", b"a: &x\n  k: 1\nb:\n  <<: *x\n  l: 2\nc: *x\n")
    assert document.places.line(("b", "k")) == 2
    assert document.places.line(("b", "l")) == 5
    assert document.places.line(("b", "nothing")) == 3
    assert document.places.line(("c", "k")) == 2


def test_double_keys_are_told_with_both_lines() -> None:
    """A key that stands twice is a fault of the text, in YAML with both its lines, and the rest is read."""
    document = parse("x", "yaml", b"a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n")
    assert document.value == {"a": 1, "b": {"c": 3, "d": 2}}
    assert [str(fault) for fault in document.faults] == [
        "x:5: b.c: the key 'c' stands twice in this mapping, first on line 3"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"a": 1,\n "b"',
            "x:2: not valid JSON at column 5: Expecting ':' delimiter; is the text cut short?",
        ),
        ('{"a": 1}\n}', "x:2: not valid JSON at column 1: Extra data"),
        ('["abc', "x:1: not valid JSON at column 2: Unterminated string starting at; is the text cut short?"),
        ("[NaN]", "x: not valid JSON: NaN is not JSON"),
        ("", "x:1: not valid JSON at column 1: Expecting value; is the text cut short?"),
    ],
)
def test_broken_json(text: str, message: str) -> None:
    """Broken JSON gives line and column, and a hint where the text just ends."""
    assert problem("json", text) == message


def test_csv_lines_count_quoted_line_breaks() -> None:
    """A cell of several lines does not shift the line numbers below it, nor does it lose its breaks."""
    text = 'name,labels.note\r\na,"one\r\ntwo\nthree"\r\n\r\nb,x\r\n'
    document = parse("x", "csv", text.encode())
    assert document.value["rows"] == [["a", "one\r\ntwo\nthree"], ["b", "x"]]
    assert [document.places.line(("devices", row)) for row in range(2)] == [2, 6]


@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_csv_separators(sign: str) -> None:
    """Commas, semicolons and tabs separate; the header says which."""
    document = parse("x", "csv", f'a{sign}b\n1{sign}"x,;\ty"\n'.encode())
    assert document.value == {"header": ["a", "b"], "rows": [["1", "x,;\ty"]]}


def test_csv_random_cells_survive() -> None:
    """Cells of any text, quoted by the rules, are read as they were."""
    source = random.Random(7)
    rows = [["".join(source.choices(string.printable + "თბ", k=9)) for _ in range(3)] for _ in range(200)]
    lines = (",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows)
    text = "\n".join(("a,b,c", *lines))
    assert parse("x", "csv", text.encode()).value["rows"] == rows


def test_ways_are_shown_without_control_characters() -> None:
    """A key cannot break the line that a problem is reported on."""
    assert show_way(("devices", 3, "address")) == "devices[3].address"
    assert show_way((0, "labels", "a\nb")) == "[0].labels.'a\\nb'"
    assert show_way(("\ud800",)).isprintable()
