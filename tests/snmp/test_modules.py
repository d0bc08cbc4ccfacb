"""Files in snmp_exporter's format: what is read of them, what is refused, in which words, and what is asked for."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import ConfigError
from exporter.snmp.ber import decode_oid, parse_oid
from exporter.snmp.modules import Filter, Index, Lookup, Metric, Module, load_modules
from exporter.tools.check import check
from tests.snmp.written import metrics, modules

HERE = Path(__file__).parent / "modules"


def expected() -> dict[str, list[str]]:
    """The lines of expected.txt by the file that they speak of."""
    lines: dict[str, list[str]] = {}
    for line in (HERE / "expected.txt").read_text().splitlines():
        if not line.startswith("#"):
            lines.setdefault(line.partition(":")[0], []).append(line)
    return lines


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_modules(path)
    return str(caught.value)


def shown(oids: tuple[bytes, ...]) -> list[str]:
    return [".".join(map(str, decode_oid(oid))) for oid in oids]


def test_table_and_fixtures_name_the_same_files() -> None:
    """No fixture is forgotten: each refused file is in the table, and each line of the table has its file."""
    assert set(expected()) == {path.name for path in HERE.glob("*.bad.*")}


@pytest.mark.parametrize("name", sorted(expected()))
def test_bad_modules_are_refused_with_every_problem(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused file names all its problems, each with file, line, path, what was found and what was expected."""
    monkeypatch.chdir(HERE)
    assert refused(Path(name)).splitlines() == expected()[name]


@pytest.mark.parametrize("name", sorted(expected()))
def test_no_message_holds_a_secret(name: str) -> None:
    """Communities and passwords in a file of modules appear in no message about it."""
    assert "s3cret" in "".join(path.read_text() for path in HERE.glob("*.bad.*"))
    assert "s3cret" not in refused(HERE / name)


def test_a_file_that_cannot_be_read_is_told_with_who_names_it(tmp_path: Path) -> None:
    """Of a file that is not there the place in the configuration is told; of what is in one, its own line."""
    (tmp_path / "own.yml").write_text("modules: {own: {walk: [1.3.x]}}\n")
    (tmp_path / "ward.yml").write_text("snmp: {modules: [own.yml, nope.yml]}\n")
    out = io.StringIO()
    assert check(tmp_path / "ward.yml", out) == 1
    said = out.getvalue().splitlines()
    nope = f"{tmp_path}/nope.yml cannot be read: No such file or directory"
    assert f"{tmp_path}/ward.yml: snmp.modules[1]: {nope}" in said
    assert any(line.startswith(f"{tmp_path}/own.yml:1: modules.own.walk[0]: ") for line in said)


@pytest.mark.parametrize("path", sorted(HERE.glob("*.good.yml")), ids=lambda path: path.name)
def test_good_modules_hold_what_the_file_says(path: Path) -> None:
    """Every module and metric of a right file is there, in order, with its identifier, type and help."""
    loaded = load_modules(path)
    written = yaml.safe_load(path.read_text())
    assert loaded.auths == tuple(written.get("auths", ()))
    assert list(loaded.modules) == list(written["modules"])
    for name, module in written["modules"].items():
        told = [
            (one["name"], one["oid"].removeprefix("."), one["type"], one.get("help", ""))
            for one in module.get("metrics", ())
        ]
        found = loaded.modules[name].metrics
        assert [(one.name, *shown((one.oid,)), one.type, one.help) for one in found] == told


def test_a_scalar_is_what_its_key_means() -> None:
    """As in Go, an unquoted yes or number is a text where a text belongs, and a key may be a number."""
    metric = metrics("name: m, oid: 1.3.6.1, type: EnumAsInfo, help: 1.50, enum_values: {1: yes, 02: 10, '3': off}")
    assert metric.metrics == (
        Metric("m", parse_oid("1.3.6.1"), "EnumAsInfo", "1.50", enum_values={1: "yes", 2: "10", 3: "off"}),
    )


def test_what_a_person_writes_by_hand() -> None:
    """Settings of a walk, filters, and regular expressions as Go writes them are read."""
    loaded = load_modules(HERE / "regexes.good.yml").modules
    module = loaded["by-hand"]
    assert loaded["empty"] == Module("empty")
    assert (module.max_repetitions, module.retries, module.timeout) == (10, 0, 90.0)
    assert module.allow_nonincreasing_oids
    (only,) = module.filters
    assert isinstance(only, Filter)
    assert [pattern.pattern for one in only.conditions for pattern in one.values] == ["1", "^2$"]
    extracts = {suffix: several[0].regex for suffix, several in module.metrics[0].regex_extracts.items()}
    found = extracts["Major"].fullmatch("IOS, Version 15.2(4)")
    assert found
    assert found["major"] == "15"
    assert [bool(extracts["Brackets"].fullmatch(text)) for text in ("a[", "a]", "ax", "ay")] == [True] * 3 + [False]
    assert extracts["Backslash"].fullmatch(r"C:\z")
    # As the generator writes them, with brackets around, and what only looks so.
    assert extracts["Generated"].fullmatch("On")
    assert extracts["Two"].fullmatch("b")
    assert extracts["Nested"].fullmatch("[a[")


def test_indexes_and_lookups_keep_their_order_and_settings() -> None:
    """Indexes and lookups are read with all that they say; an InetAddress knows the column that says its type."""
    (metric,) = metrics(
        "name: m, oid: 1.3.6.1.9, type: gauge, "
        "indexes: [{labelname: a, type: OctetString, fixed_size: 8}, "
        "{labelname: b, type: DisplayString, implied: true}, "
        "{labelname: c, type: EnumAsInfo, enum_values: {1: x}}],"
        " lookups: [{labels: [a, b], labelname: d, oid: 1.3.6.1.8, type: InetAddress}, {labels: [], labelname: a}]"
    ).metrics
    assert metric.indexes == (
        Index("a", "OctetString", fixed_size=8),
        Index("b", "DisplayString", implied=True),
        Index("c", "EnumAsInfo", enum_values={1: "x"}),
    )
    assert metric.lookups == (
        Lookup(("a", "b"), "d", parse_oid("1.3.6.1.8"), "InetAddress", kind_oid=parse_oid("1.3.6.1.7")),
        Lookup((), "a"),
    )


ASKED = """
modules:
  m:
    walk: [1.3.6.1.2.1.2, 1.3.6.1.2.1.31.1.1.1.6.40, 1.3.6.1.2.1.31.1.1.1.1, 1.3.6.1.2.1.31.1.1.1.18,
           1.3.6.1.2.1.99]
    get: [1.3.6.1.2.1.1.3.0, 1.3.6.1.2.1.2.2.1.4.7, 1.3.6.1.2.1.1.5.0, 1.3.6.1.2.1.1.6.0]
    metrics:
      - {name: sysUpTime, oid: 1.3.6.1.2.1.1.3, type: gauge}
      - name: ifMtu
        oid: 1.3.6.1.2.1.2.2.1.4
        type: gauge
        indexes: [{labelname: ifIndex, type: gauge}]
        lookups:
          - {labels: [ifIndex], labelname: ifDescr, oid: 1.3.6.1.2.1.2.2.1.2, type: DisplayString}
          - {labels: [ifIndex], labelname: ifName, oid: 1.3.6.1.2.1.31.1.1.1.1, type: DisplayString}
          - {labels: [ifIndex], labelname: sysName, oid: 1.3.6.1.2.1.1.5, type: DisplayString}
          - {labels: [ifIndex], labelname: notWalked, oid: 1.3.6.1.2.1.47.1.1, type: DisplayString}
      - {name: ifHCInOctets, oid: 1.3.6.1.2.1.31.1.1.1.6, type: counter, indexes: [{labelname: i, type: gauge}]}
      - {name: ifAlias, oid: 1.3.6.1.2.1.31.1.1.1.18, type: DisplayString}
      - {name: elsewhere, oid: 1.3.6.1.2.1.47.1.2, type: gauge}
      - name: aliased
        oid: 1.3.6.1.2.1.99.4
        type: InetAddress
        lookups: [{labels: [x], labelname: ifAlias, oid: 1.3.6.1.2.1.31.1.1.1.18, type: DisplayString}]
"""


def test_only_what_is_used_is_asked_for_and_names_on_their_own() -> None:
    """Of a walk, the columns that metrics need are walked each interval, those that only name rows less often."""
    module = modules(ASKED)["m"]
    assert shown(module.columns) == [
        "1.3.6.1.2.1.2.2.1.4",
        # An instance that stands below a metric, and a column that is a metric and names rows.
        "1.3.6.1.2.1.31.1.1.1.6.40",
        "1.3.6.1.2.1.31.1.1.1.18",
        # With the column that says what kind of address it is.
        "1.3.6.1.2.1.99.3",
        "1.3.6.1.2.1.99.4",
    ]
    # What the walk of ifMtu brings is not asked for again, and nothing here is made of sysLocation.
    assert shown(module.instances) == ["1.3.6.1.2.1.1.3.0"]
    assert shown(module.lookup_columns) == ["1.3.6.1.2.1.2.2.1.2", "1.3.6.1.2.1.31.1.1.1.1"]
    assert shown(module.lookup_instances) == ["1.3.6.1.2.1.1.5.0"]


VALUE = st.recursive(
    st.none() | st.sampled_from(["1.3.6.1", "gauge", "7", "(", "%Q", "x y", "a"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["1", "a"]), inner, max_size=2),
    max_leaves=4,
)
METRIC = st.fixed_dictionaries(
    {},
    optional={
        "name": VALUE,
        "oid": st.just("1.3.6.1.2") | VALUE,
        "type": st.sampled_from(["gauge", "DisplayString", "ParseDateAndTime"]) | VALUE,
        "help": VALUE,
        "indexes": st.lists(st.dictionaries(st.sampled_from(["labelname", "type"]), VALUE), max_size=2) | VALUE,
        "lookups": st.lists(st.dictionaries(st.sampled_from(["labelname", "oid"]), VALUE), max_size=2) | VALUE,
        "enum_values": VALUE,
        "regex_extracts": VALUE,
        "scale": VALUE,
        "datetime_pattern": VALUE,
    },
)


@given(st.lists(METRIC | VALUE, max_size=2), VALUE, VALUE)
def test_any_file_is_read_or_refused(metric: list[object], walk: object, filters: object) -> None:
    """Whatever stands where, a file is read, or refused with a message; nothing else happens."""
    text = yaml.safe_dump({"modules": {"m": {"metrics": metric, "walk": walk, "filters": filters}}})
    try:
        found = modules(text)
    except ConfigError as error:
        assert error.problems  # noqa: PT017 - either outcome is right
    else:
        assert list(found) == ["m"]


def test_a_file_as_the_generator_writes_it_is_read_whole() -> None:
    """What snmp_exporter's generator makes of a MIB with all kinds of indexes is read, its secrets passed over."""
    loaded = load_modules(HERE / "generated.good.yml")
    assert loaded.auths == ("public_v2", "v3")
    assert "s3cret" not in repr(loaded)
    module = loaded.modules["test"]
    metrics_by_name = {metric.name: metric for metric in module.metrics}
    assert (module.max_repetitions, module.timeout, module.allow_nonincreasing_oids) == (10, 90.0, True)
    assert len(module.filters) == 1
    assert metrics_by_name["aState"].enum_values == {1: "up", 2: "down", 3: "yes", 4: "null"}
    assert metrics_by_name["aState"].scale == 0.5
    assert metrics_by_name["aBits"].type == "Bits"
    assert [(one.labelname, one.type, one.implied) for one in metrics_by_name["aOid"].indexes] == [
        ("aNum", "gauge", False),
        ("aMac", "PhysAddress48", False),
        ("aIp", "InetAddressIPv4", False),
        ("aName", "DisplayString", True),
    ]
    assert metrics_by_name["aOct"].regex_extracts["Temp"][0].value == "$1"
