"""Values as lines of a page: labels of devices, names that change, doubled and wrong values.

That each type looks as snmp_exporter's is test_peer.py's matter.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.snmp import ber, decode
from exporter.snmp.layout import Layout
from exporter.snmp.render import MAX_LABEL, Block, Renderer
from tests.snmp.pages import series
from tests.snmp.recorded import Recorded, integer, octets, varbinds
from tests.snmp.written import lines, metrics, modules, polled, renderer

BASE = "1.3.6.1.4.1.32473"
PORT = "indexes: [{labelname: port, type: gauge}]"
NAMED = f"lookups: [{{labels: [port], labelname: name, oid: {BASE}.9, type: DisplayString}}]"
IN = f"name: in, oid: {BASE}.1, type: counter, help: Octets in., {PORT}, {NAMED}"
OUT = f"name: out, oid: {BASE}.2, type: counter, {PORT}, {NAMED}"
DEVICE = 'device="r1",site="x"'


def count(column: int, port: int, value: int = 1) -> Recorded:
    return integer(f"{BASE}.{column}.{port}", value, 0x41)


def named(port: int, name: str | bytes) -> Recorded:
    return octets(f"{BASE}.9.{port}", name)


def test_a_block_is_a_whole_family() -> None:
    """All samples of a name come as one block of whole lines with type and help, the device's labels in front."""
    page = polled(metrics(IN), [count(1, 1, 5), count(1, 2, 6), named(1, "a")], DEVICE)
    text = b'in{device="r1",site="x",name="a",port="1"} 5\nin{device="r1",site="x",name="",port="2"} 6\n'
    assert page.blocks == {"in": Block("counter", "Octets in.", text)}
    assert page.samples == 2


def test_a_scalar_has_the_labels_of_its_device_or_none() -> None:
    """What has no index has the device's labels only, and no braces where there are none."""
    scalar = metrics(f"name: up, oid: {BASE}.1, type: gauge")
    assert lines(polled(scalar, [integer(f"{BASE}.1.0", 3)], DEVICE)) == ['up{device="r1",site="x"} 3']
    assert lines(polled(scalar, [integer(f"{BASE}.1.0", 3)])) == ["up 3"]


def test_a_label_that_the_device_has_is_renamed() -> None:
    """A module's own `site` or `role` gives way to the device's, as it would in a scrape."""
    module = metrics(
        f"name: role, oid: {BASE}.1, type: DisplayString, indexes: [{{labelname: site, type: gauge}}]",
        f"name: up, oid: {BASE}.2, type: gauge, indexes: [{{labelname: priority, type: gauge}}]",
    )
    page = polled(module, [octets(f"{BASE}.1.4", "leaf"), integer(f"{BASE}.2.4", 1)], DEVICE)
    assert lines(page) == [
        'role{device="r1",site="x",exported_role="leaf",exported_site="4"} 1',
        'up{device="r1",site="x",exported_priority="4"} 1',
    ]


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (b'uplink "A" \\ B\nx', r"uplink \"A\" \\ B\nx"),
        (b"caf\xe9 \xff\xfe bar", "caf\ufffd \ufffd bar"),
        (b"\xed\xa0\x80\xc0\xaf", "\ufffd"),
        ("Тбилиси 🙂".encode(), "Тбилиси 🙂"),
        (b"tab\tnul\0\r", "tab\tnul\0\r"),
    ],
)
def test_a_name_is_escaped_wherever_it_stands(sent: bytes, shown: str) -> None:
    """Quotes, backslashes, line ends and octets that are no UTF-8 break no line: in lookups, texts and indexes."""
    size = len(sent)
    index = ".".join(map(str, (size, *sent)))
    module = metrics(
        IN,
        f"name: text, oid: {BASE}.3, type: DisplayString",
        f"name: by, oid: {BASE}.4, type: gauge, indexes: [{{labelname: i, type: DisplayString}}]",
    )
    page = polled(
        module, [count(1, 1), named(1, sent), octets(f"{BASE}.3.0", sent), integer(f"{BASE}.4.{index}", 1)]
    )
    assert lines(page) == [f'in{{name="{shown}",port="1"}} 1', f'text{{text="{shown}"}} 1', f'by{{i="{shown}"}} 1']
    assert page.malformed == 0


def test_a_label_has_a_longest_length() -> None:
    """A name of 64 KiB does not multiply over a page: it is cut, and counted."""
    module = metrics(IN, f"name: text, oid: {BASE}.3, type: DisplayString")
    page = polled(module, [count(1, 1), named(1, "n" * 60_000), octets(f"{BASE}.3.0", "t" * 60_000)])
    assert lines(page) == [f'in{{name="{"n" * MAX_LABEL}",port="1"}} 1', f'text{{text="{"t" * MAX_LABEL}"}} 1']
    assert page.cut == 2


def test_regular_expressions_look_at_so_much_and_no_more() -> None:
    """Of 60,000 letters an expression sees what a label may hold: some take the square of a text's length."""
    metric = f"name: text, oid: {BASE}.3, type: DisplayString"
    module = metrics(f"{metric}, regex_extracts: {{Size: [{{regex: 'a{{{MAX_LABEL}}}', value: 1}}]}}")
    page = polled(module, [octets(f"{BASE}.3.0", "a" * 60_000)])
    assert lines(page) == ["textSize 1.0"]


def test_names_stay_until_others_are_learnt() -> None:
    """Rows keep the names that were learnt once; when others are learnt, all rows have those at once."""
    module = metrics(IN, OUT)
    page = renderer(module)
    values = varbinds([count(1, 1), count(2, 1)])
    assert lines(page.render({"m": values})) == ['in{name="",port="1"} 1', 'out{name="",port="1"} 1']
    for name in ("old", "new"):
        page.learn("m", varbinds([named(1, name)]))
        for _ in range(2):
            assert lines(page.render({"m": values})) == [
                f'{one}{{name="{name}",port="1"}} 1' for one in ("in", "out")
            ]


def test_names_can_be_read_back() -> None:
    """What was learnt last of a module is there for others who need it."""
    page = Renderer(
        map(Layout, modules(f"modules: {{a: {{metrics: [{{{IN}}}]}}, b: {{metrics: [{{{OUT}}}]}}}}").values()), ""
    )
    for module, name in (("a", "old"), ("a", "new"), ("b", "other")):
        page.learn(module, varbinds([named(1, name)]))
    assert list(page.names("a")) == varbinds([named(1, "new")])
    assert list(page.names("b")) == varbinds([named(1, "other")])


def test_names_that_are_metrics_too_come_with_each_poll() -> None:
    """A column that is asked for each interval names rows by what it says in the same poll, wherever it stands."""
    module = metrics(IN, f"name: alias, oid: {BASE}.9, type: DisplayString, {PORT}")
    assert module.lookup_columns == ()
    page = renderer(module)
    for name in ("a", "b", "b"):
        found = lines(page.render({"m": varbinds([count(1, 1), named(1, name)])}))
        assert found == [f'in{{name="{name}",port="1"}} 1', f'alias{{alias="{name}",port="1"}} 1']


def test_the_first_of_equal_samples_wins_and_the_others_are_counted() -> None:
    """Rows that look alike once their index is dropped give one sample, and no page that fails a scrape."""
    dropped = (
        f"lookups: [{{labels: [port], labelname: name, oid: {BASE}.9, type: DisplayString}}, {{labelname: port}}]"
    )
    module = metrics(
        f"name: in, oid: {BASE}.1, type: counter, {PORT}, {dropped}",
        f"name: state, oid: {BASE}.2, type: EnumAsStateSet, enum_values: {{1: up, 2: up}}",
        # The same name at another column.
        f"name: in, oid: {BASE}.3, type: counter, {PORT}, {dropped}",
    )
    page = polled(
        module,
        [
            *(count(1, port, port) for port in (1, 2, 3)),
            *(named(port, name) for port, name in ((1, "a"), (2, "b"), (3, "a"))),
            integer(f"{BASE}.2.0", 1),
            count(3, 2, 99),
            count(3, 4, 98),
        ],
    )
    assert lines(page) == ['in{name="a"} 1', 'in{name="b"} 2', 'in{name=""} 98', 'state{state="up"} 1']
    assert (page.duplicates, page.samples) == (3, 4)


def test_equal_samples_of_two_modules_are_one() -> None:
    """Modules that overlap on a device show a sample once, that of the first."""
    both = modules(
        f"modules: {{a: {{walk: [{BASE}], metrics: [{{{IN}}}]}},\n"
        f"b: {{walk: [{BASE}], metrics: [{{{IN}}}, {{{OUT}}}]}}}}"
    )
    page = Renderer(map(Layout, both.values()), "").render(
        {"b": varbinds([count(1, 1, 7), count(2, 1, 8)]), "a": varbinds([count(1, 1, 6)])}
    )
    assert lines(page) == ['in{name="",port="1"} 6', 'out{name="",port="1"} 8']
    assert page.duplicates == 1


def test_a_device_has_a_most_of_samples() -> None:
    """Above the limit samples are left out and counted; those of the modules named first are kept."""
    page = renderer(metrics(IN, f"name: text, oid: {BASE}.3, type: DisplayString"), limit=3).render(
        {"m": varbinds([*(count(1, port) for port in range(5)), octets(f"{BASE}.3.0", "x")])}
    )
    assert lines(page) == [f'in{{name="",port="{port}"}} 1' for port in range(3)]
    assert (page.samples, page.over_limit) == (3, 3)


def test_what_no_metric_is_made_of_is_passed_over() -> None:
    """Answers that a module has no metric for, before, between and behind those that it has, change nothing."""
    around = [integer(oid, 9) for oid in ("1.3.6.1.1", f"{BASE}.1", f"{BASE}.10.1", f"{BASE}.1999.1", "2.5")]
    page = polled(metrics(IN, OUT), [*around, count(1, 1), count(2, 1)])
    assert lines(page) == ['in{name="",port="0"} 9', 'in{name="",port="1"} 1', 'out{name="",port="1"} 1']
    assert page.malformed == 0


def test_a_counter_of_64_bits_keeps_all_its_digits() -> None:
    """Above 2^53, where floats have gaps of 2 and more, the page still says the counter exactly."""
    page = polled(metrics(f"name: c, oid: {BASE}.1, type: counter"), [integer(f"{BASE}.1.0", 2**63 + 1, 0x46)])
    assert lines(page) == [f"c {2**63 + 1}"]


WRONG = [
    (0x02, b""),
    (0x41, b""),
    (0x46, bytes(10)),
    (0x02, bytes(200)),
    (0x05, b""),
    (0x99, b"x"),
]


@pytest.mark.parametrize(("tag", "value"), WRONG)
@pytest.mark.parametrize("kind", ["gauge", "EnumAsInfo", "DisplayString", "Bits", "DateAndTime", "NTPTimeStamp"])
def test_a_malformed_value_costs_its_own_sample_only(kind: str, tag: int, value: bytes) -> None:
    """A number of no bytes or too many, or of a tag that nobody knows, is left out and counted; others stay."""
    module = metrics(IN, f"name: bad, oid: {BASE}.2, type: {kind}, enum_values: {{1: x}}, {PORT}")
    page = polled(module, [(f"{BASE}.2.1", tag, value), count(1, 1)])
    assert lines(page) == ['in{name="",port="1"} 1']
    assert page.malformed == 1


def test_a_malformed_name_is_no_name() -> None:
    """A row whose name cannot be read is shown without it."""
    module = metrics(IN)
    page = renderer(module)
    page.learn("m", [(*varbinds([named(1, "")])[0][:1], 0x02, b"")])
    assert lines(page.render({"m": varbinds([count(1, 1)])})) == ['in{name="",port="1"} 1']


def test_rows_that_come_and_go_do_not_gather() -> None:
    """A device whose rows have other numbers at each poll costs no memory for those of long ago."""
    page = renderer(metrics(IN), limit=100)
    for poll in range(200):
        found = page.render({"m": varbinds([count(1, poll * 100 + port) for port in range(50)])})
        assert found.samples == 50
    assert sum(len(rows.before) for kinds in page._rows.values() for rows in kinds) <= 300


ANY = st.tuples(
    st.sampled_from([1, 2, 3, 4, 5, 6, 7, 9]),
    st.binary(max_size=6),
    st.sampled_from([0x02, 0x04, 0x06, 0x40, 0x41, 0x44, 0x46, 0x80]) | st.integers(0, 255),
    st.binary(max_size=12) | st.sampled_from([b"\x9f\x78\x04\x7f\xc0\0\0", b"\x9f\x78\x04\xff\x80\0\0"]),
)
EVERY = metrics(
    IN,
    f"name: text, oid: {BASE}.2, type: InetAddress, {PORT}, {NAMED}",
    f"name: state, oid: {BASE}.3, type: EnumAsStateSet, enum_values: {{1: up}}, {PORT}",
    f"name: bits, oid: {BASE}.4, type: Bits, enum_values: {{1: x, 70: y}}, {PORT}",
    f"name: date, oid: {BASE}.5, type: DateAndTime, indexes: [{{labelname: i, type: IpAddr}}]",
    f"name: hint, oid: {BASE}.6, type: OctetString, display_hint: '*1x:-2d', {PORT}",
    f"name: rx, oid: {BASE}.7, type: DisplayString, regex_extracts: {{A: [{{regex: '(.*)'}}]}}, scale: 1.5, {PORT}",
)


@given(st.lists(ANY, max_size=12))
def test_anything_that_a_device_may_send_gives_a_page_that_is_right(
    sent: list[tuple[int, bytes, int, bytes]],
) -> None:
    """Whatever identifiers, tags and values come, a page can be read, and has no sample twice."""
    page = renderer(EVERY)
    answers = [(ber.parse_oid(f"{BASE}.{column}") + suffix, tag, value) for column, suffix, tag, value in sent]
    page.learn("m", answers)
    found = page.render({"m": answers})
    text = "".join(
        f"# TYPE {name} {block.kind}\n{block.lines.decode()}" for name, block in found.blocks.items() if block.lines
    )
    assert len(series(text)) == found.samples


VALUE = st.tuples(
    st.sampled_from([0x02, 0x04, 0x41, 0x46]), st.sampled_from([b"", b"\x01", b"\x02", b"\x07\xd0\x01\x01\0\0\0\0"])
)


@given(
    st.lists(st.lists(VALUE, min_size=8, max_size=8), min_size=2, max_size=3),
    st.lists(st.integers(0, 2), min_size=2, max_size=8),
    st.sampled_from([3, 20, 1000]),
)
def test_what_was_kept_of_former_polls_changes_nothing(
    answers: list[list[tuple[int, bytes]]], polls: list[int], limit: int
) -> None:
    """However values stay, change and come again, a poll shows what it would show as a device's first."""
    places = [f"{BASE}.{column}.{row}" for column in (1, 3, 4, 5, 7) for row in (1, 2)]
    page = renderer(EVERY, limit=limit)
    for poll in polls:
        values = answers[poll % len(answers)]
        sent = varbinds((place, *values[at % len(values)]) for at, place in enumerate(places))
        assert page.render({"m": sent}) == renderer(EVERY, limit=limit).render({"m": sent})


def test_the_same_bytes_of_another_type_are_another_number() -> None:
    """A value that stays the same by its bytes alone is rendered anew."""
    page = renderer(metrics(f"name: temperature, oid: {BASE}.1, type: gauge"))
    for tag, number in ((0x42, 255), (0x42, 255), (0x42, 255), (0x02, -1)):
        assert lines(page.render({"m": varbinds([(f"{BASE}.1.0", tag, b"\xff")])})) == [f"temperature {number}"]


@pytest.mark.parametrize(
    ("hint", "value", "shown"),
    [
        ("1d.1d.1d.1d", b"\xc0\0\x02\x01", "192.0.2.1"),
        ("1x:", b"\0\x1a\x2b", "00:1A:2B"),
        ("2x:2x:2x:2x:2x:2x:2x:2x", b"\x20\x01\x0d\xb8" + bytes(12), "2001:0DB8:0000:0000:0000:0000:0000:0000"),
        ("255a", b"Hello", "Hello"),
        ("2d-1d-1d,1d:1d:1d.1d,1a1d:1d", bytes([7, 200, 5, 26, 13, 30, 15, 0]), "1992-5-26,13:30:15.0"),
        ("*1x:/1d", b"\x02\xaa\xbb\x07", "AA:BB/7"),
        ("1o ", b"\x08\x40", "10 100"),
        ("255t", b"caf\xc3\xa9\xff", "caf\xe9\ufffd"),
        # None for octets: they are shown as without one.
        ("d-2", b"\x01", "0x01"),
        ("0a", b"\x01", "0x01"),
        ("9d", bytes(9), "0x000000000000000000"),
        ("1d.", b"", ""),
    ],
)
def test_a_display_hint_says_how_octets_are_shown(hint: str, value: bytes, shown: str) -> None:
    """DISPLAY-HINTs of RFC 2579 are followed; one that is wrong, or for numbers, changes nothing."""
    assert decode.text(ber.OCTET_STRING, value, "OctetString", hint) == shown
