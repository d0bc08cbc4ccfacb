"""What becomes of probes: what counts as their reply, and what ends them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from exporter.icmp.packet import REASON
from tests.icmp.sky import FORMER, IDENT, MS, TIMEOUT, Sky, Told, reasons, told


def in_all(batches: list[Told]) -> list[list[int]]:
    """Rows of replies, losses, late and duplicate replies of several batches."""
    return [
        [row for batch in batches for row in batch[0]],
        [row for batch in batches for row in batch[1]],
        [row for batch in batches for row in batch[2]],
        [row for batch in batches for row in batch[3]],
    ]


def test_a_fitting_reply_counts_once() -> None:
    """Row, cycle, RTT and TTL of a reply are told, from stamp to stamp."""
    sky = Sky()
    (slot,) = sky.launch([7], cycle=3)
    sky.flight.stamp(np.array([slot]), np.array([sky.sent_at[slot] - MS // 2]), sky.now)
    sky.now += 9 * MS
    matched = sky.match(sky.packet(slot, received=sky.sent_at[slot] + 4 * MS))
    assert told(matched) == ([7], [], [], [], 0, 0)
    assert matched.replies.cycles.tolist() == [3]
    assert matched.replies.rtts.tolist() == [pytest.approx(0.0045)]
    assert matched.replies.ttls.tolist() == [60]
    assert told(sky.match(sky.packet(slot))) == ([], [], [], [7], 0, 0)
    sky.now += TIMEOUT
    assert [len(part.rows) for part in sky.expire()] == [0, 0]


@pytest.mark.parametrize(
    ("wrong", "foreign"),
    [
        ({"ident": 0x4243}, True),  # nobody's identifier
        ({"ident": FORMER}, True),  # ours, but not this probe's
        ({"sequence": 9_999}, True),  # nothing was sent with it
        ({"cookie": 1}, False),
        ({"cookie": 0}, False),
        ({"high": 9}, False),
        ({"low": 9}, False),
        ({"reason": REASON["host_unreachable"], "low": 9}, False),
        ({"reason": REASON["host_unreachable"], "cookie": 1}, False),
        ({"reason": REASON["host_unreachable"], "cookie_known": False, "high": 9}, False),
        ({"reason": REASON["host_unreachable"], "ident": FORMER, "cookie_known": False}, True),
    ],
)
def test_whatever_is_wrong_spoils_a_reply(wrong: dict[str, Any], foreign: bool) -> None:
    """Identifier, sequence, both halves of the source and cookie must all fit; then the right one still counts."""
    sky = Sky()
    slot, _ = sky.launch([7, 8])
    sky.now += MS
    assert told(sky.match(sky.packet(slot, **wrong))) == ([], [], [], [], int(foreign), int(not foreign))
    assert told(sky.match(sky.packet(slot, **wrong), sky.packet(slot))) == (
        [7],
        [],
        [],
        [],
        int(foreign),
        int(not foreign),
    )


def test_another_probes_reply_is_not_this_ones() -> None:
    """Sequences of two probes swapped: the cookies are the other's, and neither counts."""
    sky = Sky()
    one, two = sky.launch([7, 7])
    swapped = sky.packet(one, sequence=two), sky.packet(two, sequence=one)
    assert told(sky.match(*swapped)) == ([], [], [], [], 0, 2)


def test_a_short_quote_needs_no_cookie() -> None:
    """An error that quotes 8 bytes is matched by identifier, sequence and destination."""
    sky = Sky()
    (slot,) = sky.launch([7])
    error = sky.packet(slot, reason=REASON["ttl_exceeded"], cookie=0, cookie_known=False)
    matched = sky.match(error)
    assert told(matched) == ([], [7], [], [], 0, 0)
    assert reasons(matched.losses) == ["ttl_exceeded"]


def test_late_is_by_the_stamp() -> None:
    """A reply that the kernel got in time is in time however late it is read; one beyond the timeout is not."""
    sky = Sky()
    slots = sky.launch([1, 2, 3])
    late = sky.now + 5 * TIMEOUT
    sent = sky.sent_at
    sky.now = late
    matched = sky.match(
        sky.packet(slots[0], received=sent[slots[0]] + TIMEOUT),
        sky.packet(slots[1], received=sent[slots[1]] + TIMEOUT + 1),
        sky.packet(slots[2], received=0),
    )
    assert told(matched) == ([1], [2, 3], [2, 3], [], 0, 0)
    assert reasons(matched.losses) == ["timeout", "timeout"]
    assert told(sky.match(sky.packet(slots[1]))) == ([], [], [], [2], 0, 0)


def test_late_after_expiry_then_duplicate() -> None:
    """The first reply after the timeout is late, all that follow are duplicates."""
    sky = Sky()
    (slot,) = sky.launch([7])
    sky.now += TIMEOUT
    losses, voids = sky.expire()
    assert (losses.rows.tolist(), reasons(losses), len(voids.rows)) == ([7], ["timeout"], 0)
    assert told(sky.match(sky.packet(slot), sky.packet(slot))) == ([], [], [7], [7], 0, 0)
    assert told(sky.match(sky.packet(slot))) == ([], [], [], [7], 0, 0)


@pytest.mark.parametrize("together", [True, False])
def test_an_error_then_a_reply(together: bool) -> None:
    """The error ends the wait; the reply behind it is late, in the same batch or in the next."""
    sky = Sky()
    (slot, other) = sky.launch([7, 8])
    error = sky.packet(slot, reason=REASON["net_unreachable"])
    batches = [[error, sky.packet(slot), sky.packet(other), sky.packet(slot)]] if together else []
    batches = batches or [[error], [sky.packet(slot)], [sky.packet(other), sky.packet(slot)]]
    assert in_all([told(sky.match(*batch)) for batch in batches]) == [[8], [7], [7], [7]]


@pytest.mark.parametrize("together", [True, False])
def test_a_reply_then_an_error(together: bool) -> None:
    """The reply counts, the error behind it is nothing; so is a second error."""
    sky = Sky()
    one, two = sky.launch([7, 8])
    error = REASON["net_unreachable"]
    packets = [sky.packet(one), sky.packet(one, reason=error), *[sky.packet(two, reason=error)] * 2]
    found = [told(sky.match(*packets))] if together else [told(sky.match(packet)) for packet in packets]
    assert in_all(found) == [[7], [8], [], []]


def test_many_copies_in_one_batch() -> None:
    """Of several packets for one probe in a batch the first fitting one decides."""
    sky = Sky()
    one, two = sky.launch([7, 8])
    matched = sky.match(
        sky.packet(one, cookie=1, received=sky.now - 3),
        sky.packet(two, received=sky.now - 2),
        sky.packet(one, received=sky.now - 1, ttl=9),
        *[sky.packet(one)] * 5,
        *[sky.packet(two)] * 2,
    )
    assert told(matched) == ([8, 7], [], [], [7] * 5 + [8] * 2, 0, 1)
    assert matched.replies.ttls.tolist() == [60, 9]


def test_implausible_stamps_are_passed_over() -> None:
    """A transmit stamp long before its call or in the future, and a receive stamp before its send, mean nothing."""
    sky = Sky()
    slots = sky.launch([1, 2, 3, 4])
    sent = np.array([sky.sent_at[slot] for slot in slots])
    sky.now += 10 * MS
    wrong = np.array([sent[0] - 50 * MS, sky.now + 1, 0, sent[3] - MS])
    sky.flight.stamp(np.array(slots), wrong, sky.now)
    received = [sky.now, sky.now, sent[2] - 1, sky.now + 1]
    matched = sky.match(*(sky.packet(s, received=r) for s, r in zip(slots, received, strict=True)))
    spent = [sky.now - sent[0], sky.now - sent[1], sky.now - sent[2], sky.now - sent[3] + MS]
    assert matched.replies.rtts.tolist() == [pytest.approx(ns / 1e9) for ns in spent]


def test_a_send_call_that_was_interrupted() -> None:
    """Stamps count as far back as the call began, however long it was held up on its way."""
    sky = Sky()
    slots = sky.launch(list(range(500)))  # half a second in one call
    began = sky.now - 500 * MS
    sky.flight.stamp(np.array(slots), began + np.arange(500) * 1000, sky.now)
    matched = sky.match(*(sky.packet(slot, received=began + 5 * MS) for slot in slots))
    assert matched.replies.rtts.tolist() == [pytest.approx(0.005 - n / 1e6) for n in range(500)]


def test_stamps_of_ended_probes_change_nothing() -> None:
    """A stamp for a probe that has ended, or was never sent, does not wake it."""
    sky = Sky()
    (slot,) = sky.launch([7])
    sky.match(sky.packet(slot))
    sky.flight.stamp(np.array([slot, slot + 1]), np.array([sky.now, sky.now]), sky.now)
    sky.now += TIMEOUT
    assert [len(part.rows) for part in sky.expire()] == [0, 0]


def test_expiry_is_in_order_of_sending() -> None:
    """Batches end when their deadlines pass, and not before."""
    sky = Sky()
    first = sky.launch([1, 2])
    sky.now += 50 * MS
    sky.launch([3])
    sky.match(sky.packet(first[0]))
    sky.now += 48 * MS
    assert [len(part.rows) for part in sky.expire()] == [0, 0]
    sky.now += MS
    assert sky.expire()[0].rows.tolist() == [2]
    assert sky.flight.waiting_since == 2
    sky.now += 51 * MS
    assert sky.expire()[0].rows.tolist() == [3]
    assert sky.flight.room() == sky.flight.capacity


def test_void_instead_of_lost() -> None:
    """What was under way when replies may have been lost here ends void, but not what is answered or sent later."""
    sky = Sky()
    slots = sky.launch([1, 2, 3])
    sky.flight.void_all()
    sky.launch([4])
    assert told(sky.match(sky.packet(slots[0])))[0] == [1]
    error = sky.match(sky.packet(slots[1], reason=REASON["host_unreachable"]))
    assert told(error)[1] == [2]
    sky.now += 2 * TIMEOUT
    losses, voids = sky.expire()
    assert (losses.rows.tolist(), voids.rows.tolist()) == ([4], [3])
    assert told(sky.match(sky.packet(slots[2]))) == ([], [], [3], [], 0, 0)


def test_refused_probes_end_at_once() -> None:
    """A probe that was not sent has no reply to wait for."""
    sky = Sky()
    slots = sky.launch([1, 2, 3])
    refused = sky.flight.refuse(np.array(slots[1:2]))
    assert (refused.rows.tolist(), refused.cycles.tolist()) == ([2], [1])
    sky.now += TIMEOUT
    assert sky.expire()[0].rows.tolist() == [1, 3]


def test_probes_that_were_launched_and_not_sent_are_launched_again() -> None:
    """When the socket's buffer was full, the rest of a batch leaves no trace and its slots are used again."""
    sky = Sky()
    rows = np.array([1, 2, 3], np.int32)
    zeros = np.zeros(3, np.uint64)
    slots, _ = sky.flight.launch(rows, np.ones(3, np.int64), zeros, zeros)
    sky.flight.sent(slots[:1], np.full(1, IDENT, np.uint16), sky.now, sky.now, TIMEOUT)
    again, _ = sky.flight.launch(rows[1:], np.ones(2, np.int64), zeros[1:], zeros[1:])
    assert again.tolist() == slots[1:].tolist()
    assert sky.flight.room() == sky.flight.capacity - 1
    sky.now += TIMEOUT
    assert sky.expire()[0].rows.tolist() == [1]


def test_slots_come_round() -> None:
    """Slots are used again in a circle; an answer to a slot's former probe fits its present one no more."""
    sky = Sky(capacity=8)
    seen = []
    former: dict[int, dict[str, Any]] = {}
    for turn in range(6):
        slots = sky.launch([turn, turn, turn])
        seen += slots
        stale = [former[slot] for slot in slots if slot in former]
        if stale:
            assert told(sky.match(*stale)) == ([], [], [], [], 0, len(stale))
        former |= {slot: sky.packet(slot) for slot in slots}
        assert told(sky.match(*(sky.packet(slot) for slot in slots)))[0] == [turn] * 3
        sky.now += 2 * TIMEOUT
        sky.expire()
    assert seen == [number % 8 for number in range(18)]


def test_room_counts_what_waits() -> None:
    """There is room for the capacity and no more, until the oldest batch has ended."""
    sky = Sky(capacity=8)
    sky.launch([1, 2, 3])
    sky.launch([4, 5, 6, 7, 8])
    assert sky.flight.room() == 0
    sky.now += TIMEOUT
    sky.expire()
    assert sky.flight.room() == 8


def test_another_inventory() -> None:
    """Probes under way follow their devices to new rows; those of devices that are gone tell nobody anything."""
    sky = Sky()
    slots = sky.launch([0, 1, 2, 3])
    sky.flight.remap(np.array([2, -1, 0, 1], np.int32))
    matched = sky.match(*(sky.packet(slot) for slot in slots[:2]), sky.packet(slots[1]))
    assert told(matched) == ([2], [], [], [], 0, 0)
    sky.now += TIMEOUT
    assert sky.expire()[0].rows.tolist() == [0, 1]
    # Twice in a row, with fewer rows than there were.
    sky.launch([0, 1])
    sky.flight.remap(np.array([-1, 0], np.int32))
    sky.flight.remap(np.array([0], np.int32))
    sky.now += TIMEOUT
    assert sky.expire()[0].rows.tolist() == [0]


def test_the_end_of_a_flight() -> None:
    """When nobody will listen any more, all that is under way ends void, once."""
    sky = Sky()
    slots = sky.launch([1, 2, 3])
    sky.match(sky.packet(slots[1]))
    assert sky.flight.end_all().rows.tolist() == [1, 3]
    assert sky.flight.end_all().rows.tolist() == []
    assert sky.flight.room() == sky.flight.capacity
