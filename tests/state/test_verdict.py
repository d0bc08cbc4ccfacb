"""When a device is up, when it is down, and when it flaps."""

from __future__ import annotations

import logging

import pytest

from exporter.inventory.device import Limits
from exporter.state.columns import BUCKETS
from exporter.state.verdict import Rules
from tests.state.driver import NANO, SHIPPED, Driver, device, outcomes


def one(rules: Rules = SHIPPED, **fields: object) -> Driver:
    return Driver([device("a", **fields)], rules=rules)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("", "unknown"),
        (".", "unknown"),
        ("+", "up"),
        ("-", "unknown"),
        ("--", "unknown"),
        ("---", "down"),
        ("--+", "up"),
        ("-.--", "down"),
        ("+--", "up"),
        ("+---", "down"),
        ("+--.-", "down"),
        ("+--+--", "up"),
        ("+--+---", "down"),
        ("---+", "down"),
        ("---++", "up"),
        ("---+.+", "up"),
        ("---+-+", "down"),
        ("---+-++", "up"),
        ("+---++--", "up"),
        ("+---++---", "down"),
    ],
)
def test_hysteresis(script: str, expected: str) -> None:
    """The first verdict takes one reply or 3 losses; then 3 losses in a row are down, 2 replies up; voids pass."""
    driver = one()
    driver.play(a=script)
    assert driver.state("a") == expected


@pytest.mark.parametrize("down_after", [1, 2, 5])
@pytest.mark.parametrize("up_after", [1, 2, 4])
def test_thresholds_are_the_settings(down_after: int, up_after: int) -> None:
    """down_after and up_after are exact: one less changes nothing."""
    driver = one(SHIPPED._replace(down_after=down_after, up_after=up_after))
    driver.play(a="+" + "-" * (down_after - 1))
    assert driver.state("a") == "up"
    driver.play(a="-")
    assert driver.state("a") == "down"
    driver.play(a="+" * (up_after - 1))
    assert driver.state("a") == "down"
    driver.play(a="+")
    assert driver.state("a") == "up"


def test_first_verdict_is_no_change() -> None:
    """A start counts no change of status and no flap, and says when the state was first known."""
    driver = Driver([device("a"), device("b")])
    driver.play(a="+++", b="---")
    assert [driver.state("a"), driver.state("b")] == ["up", "down"]
    assert driver.value("changes", "a") == driver.value("changes", "b") == 0
    assert driver.verdicts.flaps == {}
    assert driver.value("last_change", "a") == driver.wall - 3
    assert driver.value("last_change", "b") == driver.wall - 1


def test_counters_and_times() -> None:
    """Probes, replies, the sum of RTTs, last reply, last change and the changes of verdict are exact."""
    driver = one()
    driver.play(a="++.---.++-")
    assert driver.value("probes", "a") == 8
    assert driver.value("replies", "a") == 4
    assert driver.value("rtt_total", "a") == pytest.approx(0.04)
    assert driver.value("changes", "a") == 2
    assert driver.value("last_reply", "a") == driver.wall - 2
    assert driver.value("last_change", "a") == driver.wall - 2
    assert driver.value("down_at", "a") == 0


def test_reason_is_that_of_the_last_loss() -> None:
    """Each loss takes over the reason; a reply leaves it for the next outage to set."""
    driver = one()
    for reason in ("timeout", "timeout", "host_unreachable"):
        driver.send()
        driver.lose(["a"], reason)
    assert driver.state("a") == "down"
    assert driver.verdicts.columns.reason[0] == outcomes([0], [0], reason="host_unreachable").reasons[0]


def test_every_other_probe_lost_is_not_up() -> None:
    """A loss that is known only after the next reply, its timeout being the interval, still parts two replies."""
    driver = one()
    driver.play(a="+---")
    assert driver.state("a") == "down"
    for _ in range(10):
        driver.send()
        driver.cycle += 1
        driver.send()
        driver.reply(["a"])
        driver.lose(["a"], cycle=driver.cycle - 1)
        driver.cycle += 1
        assert driver.state("a") == "down"
    driver.send()
    driver.reply(["a"])
    assert driver.state("a") == "up"


def test_a_loss_behind_a_reply_is_no_streak() -> None:
    """With a timeout above the interval, losses of cycles before an answered one count as probes, not as outage."""
    driver = one()
    for driver.cycle in range(10):
        driver.send()
    driver.reply(["a"], cycle=9)
    for cycle in range(9):
        driver.lose(["a"], cycle=cycle)
    assert driver.state("a") == "up"
    assert driver.value("loss_streak", "a") == 0
    assert driver.value("up_streak", "a") == 1
    assert driver.value("probes", "a") == 10


def test_outcomes_of_one_device_in_one_batch() -> None:
    """After a hold-up several outcomes of a device come at once: each counts, in order, beside those of others."""
    driver = Driver([device("a"), device("b")])
    for driver.cycle in range(4):
        driver.send()
    driver.verdicts.losses(outcomes([0, 1, 0, 0, 1], [0, 0, 1, 2, 1], reason="timeout"), driver.now, driver.wall)
    assert [driver.state("a"), driver.state("b")] == ["down", "unknown"]
    assert driver.value("loss_streak", "a") == 3
    assert driver.value("loss_streak", "b") == 2
    driver.verdicts.replies(outcomes([0, 0, 1], [3, 3, 3], [0.1, 0.2, 0.3]), driver.now, driver.wall)
    assert [driver.state("a"), driver.state("b")] == ["up", "up"]
    assert driver.value("replies", "a") == 2
    assert driver.value("rtt_total", "a") == pytest.approx(0.3)
    assert driver.value("changes", "a") == 1


def test_a_batch_with_thousands_of_outcomes_of_one_device() -> None:
    """After a sleep of the machine all losses of a long timeout come at once, and the loop survives it."""
    driver = one(SHIPPED._replace(window_cycles=3600))
    for driver.cycle in range(3000):
        driver.send()
    driver.verdicts.losses(outcomes([0] * 3000, range(3000), reason="timeout"), driver.now, driver.wall)
    assert driver.value("loss_streak", "a") == 3000
    assert driver.state("a") == "down"


@pytest.mark.parametrize(("role_changes", "flapping_after"), [(2, 2), (3, 3), (1, 1)])
def test_flapping_takes_so_many_changes(role_changes: int, flapping_after: int) -> None:
    """flap_changes changes of verdict within the window are flapping, not one less: 2 for ISP links, 3 else."""
    driver = one(limits=Limits(flap_changes=role_changes))
    driver.play(a="+")
    for changes in range(1, 4):
        # The fourth loss: an outage counts when it has been the device's own for a second.
        driver.play(a="----" if changes % 2 else "++")
        assert driver.value("changes", "a") == changes
        assert bool(driver.value("flapping", "a")) == (changes >= flapping_after)


def test_flapping_is_counted_on_verdicts() -> None:
    """Losses that change no verdict are no flaps."""
    driver = one(limits=Limits(flap_changes=2))
    driver.play(a="+" + "--+" * 50)
    assert driver.value("flapping", "a") == 0


def test_flapping_ends_when_the_window_is_empty() -> None:
    """A flapping device stays so until no change is left in the window, though fewer than flap_changes are."""
    driver = one(limits=Limits(flap_changes=2))
    driver.play(a="+---++")
    last = driver.clock - 1
    assert driver.value("flapping", "a")
    driver.wait(last + 299 - driver.clock)
    assert driver.value("flapping", "a")
    assert driver.suppressed("a") == {"flapping"}
    driver.wait(2)
    assert driver.value("flapping", "a") == 0
    assert driver.verdicts.flaps == {}
    assert driver.suppressed("a") == set()


def test_changes_far_apart_are_no_flapping() -> None:
    """Changes that no window holds together never flap."""
    driver = one(limits=Limits(flap_changes=2))
    driver.play(a="+---")
    driver.wait(301)
    driver.play(a="++")
    assert driver.value("changes", "a") == 2
    assert driver.value("flapping", "a") == 0


def test_ttl_steps_are_path_changes() -> None:
    """A reply's TTL is kept; a step counts, the first TTL and one that the socket does not tell do not."""
    driver = one()
    for ttl in (0, 57, 57, 0, 57, 55, 55, 57):
        driver.send()
        driver.reply(["a"], ttl=ttl)
    assert driver.value("path_changes", "a") == 2
    assert driver.value("ttl", "a") == 57


def test_histogram() -> None:
    """An RTT counts in the bucket whose upper bound it does not exceed, for devices that ask for it alone."""
    driver = Driver([device("a"), device("b", histogram=True)])
    rtts = [0.00001, BUCKETS[0], 0.0000251, 0.1, 2.5, 99.0]
    for rtt in rtts:
        driver.send()
        driver.reply(["a", "b"], rtt)
    columns = driver.verdicts.columns
    assert columns.histogram_row.tolist() == [-1, 0, -1]
    counts = columns.histogram[0].tolist()
    assert (counts[0], counts[1], counts[BUCKETS.index(0.1)], counts[-2], counts[-1]) == (2, 1, 1, 1, 1)
    assert sum(counts) == len(rtts)
    assert columns.histogram_sum[0] == pytest.approx(sum(rtts))


def test_late_and_duplicate_replies_have_counters_of_their_own() -> None:
    """They are counted, several of one device in a batch too, and are no replies."""
    driver = one()
    rows = outcomes([0, 0], [0, 0]).rows
    driver.verdicts.late(rows)
    driver.verdicts.duplicates(rows)
    driver.verdicts.duplicates(rows)
    assert (driver.value("late", "a"), driver.value("duplicates", "a")) == (2, 4)
    assert (driver.value("replies", "a"), driver.value("probes", "a")) == (0, 0)


def test_changes_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Each change is a line with name, address and reason; many at once are one line together."""
    caplog.set_level(logging.INFO, "exporter")
    names = [f"d{number}" for number in range(30)]
    driver = Driver([device(name) for name in names])
    driver.settle(up=names, seconds=1)
    driver.settle(down=["d1"])
    driver.settle(up=["d1"])
    address = driver.inventory.devices[1].address
    assert caplog.messages == [f"d1 ({address}) is down: timeout", f"d1 ({address}) is up"]
    driver.settle(down=names)
    assert caplog.messages[2:] == ["30 devices have changed their state"]


def test_evaluation_is_every_second_or_soon_after_a_change() -> None:
    """Consequences of a change are drawn within 0.1 s, those of time within a second."""
    driver = Driver([device("link", role="isp", site="s"), device("switch", site="s")])
    driver.settle(up=["link", "switch"])
    driver.lose(["switch"])
    driver.lose(["switch"])
    driver.lose(["switch"])
    driver.lose(["link"])
    driver.lose(["link"])
    driver.lose(["link"])
    driver.clock += 0.11
    driver.evaluate()
    assert driver.suppressed("switch") == {"shadowed"}
    evaluated = driver.now
    driver.clock += 0.5
    driver.evaluate()
    assert driver.verdicts._evaluated == evaluated
    driver.clock += 0.5
    driver.evaluate()
    assert driver.verdicts._evaluated == evaluated + NANO
