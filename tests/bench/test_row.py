"""How results are judged and shown."""

from __future__ import annotations

from bench.row import Row, absolute, against, amount, table


def test_a_limit_is_met_by_the_median() -> None:
    """One odd run of three neither meets nor misses a bar."""
    assert absolute("cpu", "a probe", [9, 10, 90], "us", 15) == Row(
        "cpu", "a probe", "10 us", "", None, "<= 15 us", True
    )
    assert absolute("cpu", "a probe", [9, 90, 91], "us", 15).ok is False


def test_a_ratio_is_of_medians() -> None:
    """Ours and the peer's medians make the ratio; its bar is inclusive, and without a bar nothing is judged."""
    row = against("cpu", "a probe", [10, 11, 12], [22, 2000, 1], "us", 0.5)
    assert (row.ours, row.peer, row.ratio, row.bar, row.ok) == ("11 us", "22 us", 0.5, "ratio <= 0.5", True)
    assert against("cpu", "a probe", [12], [22], "us", 0.5).ok is False
    assert against("cpu", "a probe", [12], [22], "us").ok is None


def test_amounts_keep_three_digits() -> None:
    """Neither a count of millions nor a fraction loses what matters in the table."""
    assert [amount(value, "x") for value in (1234567.8, 123.4, 12.34, 0.001234, 0)] == [
        "1,234,568 x",
        "123 x",
        "12.3 x",
        "0.00123 x",
        "0 x",
    ]


def test_the_table_is_aligned_and_says_what_failed() -> None:
    """Every row has its columns under the heading, and a missed bar stands out."""
    rows = [absolute("cpu", "a probe", [20], "us", 15), against("rtt", "a longer text", [1], [2], "us")]
    heading, first, second = table(rows).splitlines()
    assert first.endswith("NO")
    assert heading.index("what") == first.index("a probe") == second.index("a longer text")
    assert second.split()[-1] == "0.5"
