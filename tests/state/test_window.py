"""The sliding window: gauges against a slow and obvious computation, and what belongs into it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.state import window as window_module
from exporter.state.verdict import Rules
from exporter.state.window import LOST, Gauges, Window
from tests.state.driver import Driver, device, outcomes

CYCLES = 10
NOTHING = math.nan

#: What becomes of one probe: an RTT, lost, void or under way, or not sent at all.
Fate = float | str
fates = st.one_of(
    st.floats(0.0, 3.0, width=32), st.just("lost"), st.just("void"), st.sampled_from(["unsent", 0.001, 0.002])
)


@pytest.fixture(scope="module", params=[1, 100], autouse=True)
def strip(request: pytest.FixtureRequest) -> Iterator[int]:
    """Each promise holds where no more than the window is kept, and where it is a part of what is kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(window_module, "STRIP", request.param)
        yield request.param


def naive(history: Sequence[Fate]) -> tuple[float, float, float, float, float]:
    """Mean, least and greatest RTT, jitter and loss of the last CYCLES fates."""
    recent = history[-CYCLES:]
    rtts = [float(np.float32(fate)) for fate in recent if not isinstance(fate, str)]
    lost = sum(fate == "lost" for fate in recent)
    steps = [abs(after - before) for before, after in pairwise(rtts)]
    return (
        sum(rtts) / len(rtts) if rtts else NOTHING,
        min(rtts, default=NOTHING),
        max(rtts, default=NOTHING),
        sum(steps) / len(steps) if steps else NOTHING,
        lost / (lost + len(rtts)) if lost + len(rtts) else NOTHING,
    )


def fill(histories: Sequence[Sequence[Fate]]) -> Window:
    """A window after rounds in which device i had the fates of `histories[i]`, one a cycle."""
    window = Window(CYCLES, len(histories))
    for cycle in range(len(histories[0])):
        round_ = [history[cycle] for history in histories]
        sent = [row for row, fate in enumerate(round_) if fate != "unsent"]
        window.skip(cycle + 1)
        if sent:
            window.open(np.array(sent, np.int32), np.full(len(sent), cycle))
        for row, fate in enumerate(round_):
            if fate == "lost":
                window.put(np.array([row], np.int32), np.array([cycle]), LOST)
            elif not isinstance(fate, str):
                window.put(np.array([row], np.int32), np.array([cycle]), np.array([fate]))
    return window


def columns(gauges: Gauges) -> list[tuple[float, ...]]:
    return list(zip(*(column.tolist() for column in gauges), strict=True))


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 25).flatmap(
        lambda size: st.lists(st.lists(fates, min_size=size, max_size=size), min_size=1, max_size=5)
    )
)
def test_gauges_are_what_a_naive_computation_says(histories: list[list[Fate]]) -> None:
    """Mean, min, max, jitter and loss of every device, whatever was lost, void, or never sent."""
    window = fill(histories)
    for history, found in zip(histories, columns(window.gauges()), strict=True):
        assert found == pytest.approx(naive(history), rel=1e-6, abs=1e-7, nan_ok=True)


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 25).flatmap(
        lambda size: st.lists(st.lists(fates, min_size=size, max_size=size), min_size=2, max_size=4)
    )
)
def test_recent_is_the_window_in_order(histories: list[list[Fate]]) -> None:
    """The last probes of one device, oldest first: RTTs, None for a loss, nothing for a gap."""
    window = fill(histories)
    for row, history in enumerate(histories):
        expected = [
            None if fate == "lost" else fate for fate in history[-CYCLES:] if fate not in ("void", "unsent")
        ]
        assert window.recent(row) == pytest.approx(expected, abs=1e-6)


def test_the_strip_is_longer_than_the_window(strip: int) -> None:
    """For people to look at, at least a hundred probes are kept, however short the window of the gauges is."""
    window = fill([[*["lost"] * 30, *[0.1] * 98, "void"], [0.2] * 129])
    assert window.strip(1) == pytest.approx([0.2] * strip)
    assert window.strip(0) == pytest.approx([None, *[0.1] * 98][-strip:])
    assert window.gauges().loss[0] == 0


def test_gauges_of_one_device() -> None:
    """One device's gauges are the same as those among all."""
    window = fill([[0.1, "lost", 0.3], ["lost"] * 3, ["void"] * 3])
    for row in range(3):
        one = [float(column[0]) for column in window.gauges_of(row)]
        assert one == pytest.approx([float(column[row]) for column in window.gauges()], nan_ok=True)


def test_gauges_are_the_same_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Computed a few devices at a time, as for a large inventory, the gauges do not change."""
    random = np.random.default_rng(7)
    histories = [
        ["lost" if lost else rtt for rtt, lost in zip(random.random(15), random.random(15) < 0.3, strict=True)]
        for _ in range(23)
    ]
    window = fill(histories)
    whole = window.gauges()
    monkeypatch.setattr(window_module, "_CHUNK", 4)
    np.testing.assert_array_equal(window.gauges(), whole)


def test_jitter_passes_over_losses() -> None:
    """The difference across a loss counts, the loss itself does not."""
    assert naive([0.1, "lost", 0.3])[3] == pytest.approx(0.2)
    assert fill([[0.1, "lost", 0.3, "void", 0.3]]).gauges().jitter[0] == pytest.approx(0.1)


def test_void_is_a_gap_and_no_loss() -> None:
    """A void probe is neither received nor lost: the ratio is over what is known."""
    gauges = fill([["void"] * 8 + [0.1, "lost"]]).gauges()
    assert gauges.loss[0] == 0.5
    assert math.isnan(fill([["void"] * 12]).gauges().loss[0])


def test_nothing_of_a_window_ago_shows_through() -> None:
    """A device that was not probed in the newest cycles shows no older ones in their place."""
    histories: list[list[Fate]] = [["lost"] * CYCLES + [0.1] * 3 + ["unsent"] * 4, [0.2] * (CYCLES + 7)]
    assert fill(histories).gauges().loss[0] == pytest.approx(3 / 6)
    # ... nor when it is probed again after the gap.
    histories = [[*histories[0], 0.1], [*histories[1], 0.2]]
    assert fill(histories).gauges().loss[0] == pytest.approx(2 / 6)


def test_cycles_skipped_by_the_loop_are_gaps() -> None:
    """Rounds given up because the loop was held up are no losses, and age what was before."""
    driver = Driver([device("a")], rules=Rules(3, 2, CYCLES, 300.0))
    driver.play(a="-" * CYCLES)
    driver.verdicts.skipped(driver.cycle, driver.cycle + 6)
    assert driver.verdicts.window.recent(0) == [None] * 4
    driver.cycle += 6
    driver.play(a="+")
    assert driver.verdicts.window.recent(0) == [None, None, None, 0.01]


def test_skipping_more_than_the_window_empties_it() -> None:
    """After a sleep of the whole machine nothing of before is in the window."""
    driver = Driver([device("a")], rules=Rules(3, 2, CYCLES, 300.0))
    driver.play(a="-" * CYCLES)
    driver.verdicts.skipped(driver.cycle, driver.cycle + 1000)
    assert driver.verdicts.window.recent(0) == []
    assert math.isnan(driver.verdicts.window.gauges().loss[0])


def test_timeout_as_long_as_the_window() -> None:
    """A loss that is known only when its place is taken again spoils the newer probe's place not."""
    driver = Driver([device("a")], rules=Rules(3, 2, CYCLES, 300.0))
    for driver.cycle in range(CYCLES + 1):
        driver.send()
    driver.lose(["a"], cycle=0)
    assert driver.verdicts.window.recent(0) == []
    driver.lose(["a"], cycle=1)
    assert driver.verdicts.window.recent(0) == [None]
    assert driver.value("probes", "a") == 2


def test_a_probe_that_is_sent_later_than_its_cycle() -> None:
    """Probes that a full send buffer has carried into the next cycle keep their place in the window."""
    window = Window(CYCLES, 1)
    row = np.array([0], np.int32)
    for cycles in ([0], [1], [1, 2], [1], [2]):
        window.open(np.zeros(len(cycles), np.int32), np.array(cycles))
    window.put(row, np.array([1]), np.array([0.1]))
    window.put(row, np.array([2]), np.array([0.2]))
    assert window.recent(0) == pytest.approx([0.1, 0.2])


def test_carried_over_columns() -> None:
    """A reload keeps the window of a device that stays, whatever its new row, and a new device starts empty."""
    old = fill([[0.1] * 12, ["lost"] * 12, [0.3] * 12])
    new = Window(CYCLES, 3)
    new.copy_from(old, np.array([2, -1, 0], np.int32))
    assert new.recent(2) == pytest.approx([0.1] * CYCLES)
    assert new.recent(0) == pytest.approx([0.3] * CYCLES)
    assert new.recent(1) == []
    other_length = Window(CYCLES + 100, 3)
    other_length.copy_from(old, np.array([2, -1, 0], np.int32))
    assert other_length.recent(2) == []


def test_losses_and_replies_go_through_the_verdicts() -> None:
    """What the probe loop reports is what the window shows."""
    driver = Driver([device("a")])
    driver.play(a="+-.+")
    assert driver.verdicts.window.recent(0) == [0.01, None, 0.01]
    driver.send()
    driver.verdicts.voids(outcomes([0], [driver.cycle]))
    assert driver.verdicts.window.gauges().loss[0] == pytest.approx(1 / 3)
