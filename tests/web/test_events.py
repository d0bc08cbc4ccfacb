"""The live stream without a browser: what is told, to whom, how soon, and what it costs."""

from __future__ import annotations

import gc
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from exporter.state.columns import row_map
from exporter.web import changes as changes_module
from exporter.web import connections
from exporter.web import events as events_module
from exporter.web.changes import Changes, Position
from tests.state.driver import Driver, device
from tests.web.listening import Listener
from tests.web.site import NASTY, Backend, Web, until

DOCS = (Path(__file__).parents[2] / "docs" / "http.md").read_text()
SHADOWED = 4
#: A device that no other is reached through.
ALONE = "თბილისი"


@pytest.fixture
def listener(site: Web) -> Iterator[Listener]:
    with Listener(site.port) as found:
        yield found


def test_the_first_message_is_all_there_is(site: Web, driver: Driver, listener: Listener) -> None:
    """A page that opens is told the inventory, every state and the last events; names come through whole."""
    status, headers = listener.head()
    assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert (headers["cache-control"], headers.get("content-length")) == ("no-store", None)
    first = next(listener.messages())
    assert first.kind == "snapshot"
    assert [one["name"] for one in first.data["devices"]] == ["isp-a", "a/b c", "თბილისი", NASTY, "new"]
    assert first.data["devices"][0] == {
        "name": "isp-a",
        "address": driver.inventory.devices[0].address,
        "site": "s",
        "role": "isp",
        "provider": "magti",
        "rtt_limit": 200.0,
        "loss_limit": 0.1,
    }
    assert first.data["sites"] == [{"name": "s", "region": "r", "local_uplinks": False}]
    assert first.data["states"] == [
        [0, 1, 1_700_000_000.0, 0, ""],
        [1, 2, 1_700_000_003.0, 0, "timeout"],
        [2, 1, 1_700_000_000.0, 0, ""],
        [3, 2, 1_700_000_003.0, 0, "timeout"],
        [4, 0, 0.0, 0, ""],
    ]
    assert [(one["kind"], one["subject"]) for one in first.data["events"]] == [("down", "a/b c"), ("down", NASTY)]
    assert (first.data["isolated"], first.data["mass_outage"], first.data["problem"]) == ([], False, "")
    assert first.data["interval"] == 1.0


def test_a_change_comes_alone(driver: Driver, listener: Listener) -> None:
    """A verdict is told by itself: the device that it is about and no other."""
    first = listener.until("snapshot")
    driver.settle(down=[ALONE])
    change = listener.until("change")
    assert [state[:2] for state in change.data["states"]] == [[2, 2]]
    assert [one["subject"] for one in change.data["events"]] == [ALONE]
    assert change.id != first.id


def test_a_change_is_not_looked_for(driver: Driver, listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who changes the state tells it, verdicts and what follows from them: nothing waits for the next look."""
    monkeypatch.setattr(events_module, "_LOOK_SECONDS", 3600.0)
    listener.until("figures")
    for down in ([ALONE], []):
        driver.settle(up=[ALONE, "isp-a"], down=down, seconds=4)
        while [one["subject"] for one in listener.until("change").data["events"]] != [ALONE]:
            pass
    driver.settle(down=["isp-a"], seconds=4)
    while not listener.until("change").data["isolated"]:
        pass


def test_every_key_is_documented(driver: Driver, listener: Listener) -> None:
    """Snapshots, changes, figures and events have the keys that docs/http.md tells, and no others."""

    def keys(of: str) -> set[str]:
        table = DOCS.partition(f"| Key of {of} |")[2].partition("\n\n")[0]
        return set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))

    snapshot = listener.until("snapshot").data
    assert snapshot.keys() == keys("a snapshot") | keys("a change")
    assert all(event.keys() == keys("an event") for event in snapshot["events"])
    facts = next(line for line in DOCS.splitlines() if line.startswith("| `devices` |"))
    assert set(snapshot["devices"][0]) == set(re.findall(r"`(\w+)`", facts)) - {"devices"}
    assert listener.until("figures").data.keys() == {"rtt", "loss"}
    driver.settle(down=[ALONE])
    assert listener.until("change").data.keys() == keys("a change")


def test_flags_and_sites_are_told(driver: Driver, listener: Listener) -> None:
    """Suppression comes with its reason as a bit, an isolated site by its name, as it begins and as it ends."""
    listener.until("snapshot")
    driver.settle(up=["a/b c"])
    driver.settle(down=["isp-a"], up=["a/b c"], seconds=3)
    driver.settle(down=["isp-a", "a/b c"], seconds=4)
    seen: dict[int, list[float]] = {}
    while not seen.get(1, [0] * 4)[3] & SHADOWED:
        change = listener.until("change")
        seen |= {state[0]: state for state in change.data["states"]}
        isolated = change.data["isolated"]
    assert isolated == ["s"]
    assert seen[1][1] == 2
    driver.settle(up=["isp-a", "a/b c"])
    while isolated or seen[1][3] & SHADOWED:
        change = listener.until("change")
        seen |= {state[0]: state for state in change.data["states"]}
        isolated = change.data["isolated"]


def test_figures(driver: Driver, listener: Listener) -> None:
    """RTT in milliseconds and loss come in the order of the devices, null where there is nothing to tell, and again
    only when they have changed."""
    figures = listener.until("figures").data
    assert figures == {"rtt": [10.0, 10.0, 10.0, 10.0, None], "loss": [0.0, 0.75, 0.0, 0.75, None]}
    driver.settle(down=["isp-a"], seconds=4)
    assert listener.until("figures").data["loss"][0] == 0.5


@pytest.mark.parametrize("by", ["header", "query"])
def test_a_listener_that_was_away_hears_what_it_has_missed(site: Web, driver: Driver, by: str) -> None:
    """With the id of its last message a page is told the changes since then, however often each has changed; also
    when nobody listened meanwhile."""
    with Listener(site.port) as listener:
        place = listener.until("snapshot").id
    driver.settle(down=[ALONE], seconds=4)
    driver.settle(up=[ALONE], seconds=4)
    driver.settle(down=[ALONE], seconds=4)
    headers = f"Last-Event-ID: {place}\r\n" if by == "header" else ""
    path = "/api/v1/events" + (f"?after={quote(place)}" if by == "query" else "")
    with Listener(site.port, path, headers) as again:
        again.head()
        change = next(again.messages())
        assert change.kind == "change"
        assert [state[:2] for state in change.data["states"]] == [[2, 2]]
        told = [one["kind"] for one in change.data["events"] if one["subject"] == ALONE]
        assert [kind for kind in told if kind in ("up", "down")] == ["down", "up", "down"]


@pytest.mark.parametrize(
    "place", ["0000-1-1", "x", "-", "{epoch}-99999-0", "{epoch}-1-99999", "{epoch}-1", "٣-٣-٣"]
)
def test_a_place_that_nobody_knows(site: Web, place: str) -> None:
    """With an id of another run, of the future or of nothing at all the stream begins anew."""
    with Listener(site.port) as listener:
        epoch = listener.until("snapshot").id.split("-")[0]
    with Listener(site.port, f"/api/v1/events?after={quote(place.format(epoch=epoch))}") as again:
        again.head()
        assert next(again.messages()).kind == "snapshot"


def test_events_that_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener that has missed more events than are kept is told all there is, rather than a part."""
    driver = Driver([device("a")])
    driver.settle(up=["a"])
    found = Changes(driver.verdicts, 1.0)
    found.look("")
    place = found.position
    for number in range(changes_module.SHOWN_EVENTS * 11):
        driver.verdicts.history.add(number, "down", "a")
    found.look("")
    assert not found.follows(place)
    assert found.follows(Position(place.epoch, place.version, found.position.event - 1000))


def test_a_reload_begins_anew(site: Web, driver: Driver, listener: Listener) -> None:
    """When the inventory is another, everyone who listens is told all of it, with the states that it has kept."""
    before = listener.until("snapshot")
    new = Driver([device("fresh"), *driver.inventory.devices])
    new.verdicts.copy_from(driver.verdicts, row_map(driver.inventory.devices, new.inventory.devices))
    site.backend.verdicts = new.verdicts
    after = listener.until("snapshot")
    assert [one["name"] for one in after.data["devices"]][:2] == ["fresh", "isp-a"]
    assert [state[1] for state in after.data["states"]] == [0, 1, 2, 1, 2, 0]
    assert after.id.split("-")[0] != before.id.split("-")[0]
    assert listener.until("figures").data["rtt"][:2] == [None, 10.0]


def test_the_exporter_speaks_of_its_own_trouble(site: Web, listener: Listener) -> None:
    """A probe loop that stands is told, for a board that nothing changes must not look like a quiet network."""
    listener.until("snapshot")
    site.backend.sick = "the probe loop stands for 7 s"
    assert listener.until("change").data["problem"] == "the probe loop stands for 7 s"
    site.backend.sick = ""
    assert listener.until("change").data["problem"] == ""


def test_too_many_listeners(site: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit a listener gets a 503 and when to come again; one that leaves makes room."""
    monkeypatch.setattr("exporter.web.app.MOST_LISTENERS", 2)
    with Listener(site.port) as one:
        one.until("snapshot")
        with Listener(site.port) as two:
            two.until("snapshot")
            status, headers, body = site.ask("/api/v1/events")
            assert (status, headers["retry-after"], body) == (503, "10", b"too many listen already\n")

        def room() -> bool:
            with Listener(site.port) as other:
                return other.head()[0] == 200

        until(room)


def test_a_wrong_query(site: Web) -> None:
    """A parameter that is not known is a 400 that names it; HEAD ends at once, though GET does not."""
    status, _, body = site.ask("/api/v1/events?since=1")
    assert (status, body) == (400, b"unknown query parameter 'since', expected: after\n")
    status, headers, body = site.ask("/api/v1/events", "HEAD")
    assert (status, headers["content-type"], body) == (200, "text/event-stream; charset=utf-8", b"")


def test_silence_is_broken(site: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing changes, a comment shows that the exporter is there."""
    monkeypatch.setattr(events_module, "HEARTBEAT_SECONDS", 0.05)
    with Listener(site.port) as listener:
        listener.until("figures")
        listener.comments = 0
        site.backend.sick = ""
        for _ in range(3):
            site.backend.sick += "x"
            time.sleep(0.15)  # quiet, while the stream breaks its silence
        list(zip(range(3), listener._following(), strict=False))
        assert listener.comments >= 3


def test_a_listener_that_takes_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not read loses its place after a while, and costs no more than one message meanwhile."""
    monkeypatch.setattr(connections, "STALL_SECONDS", 0.3)
    monkeypatch.setattr("exporter.web.app.MOST_LISTENERS", 1)
    driver = Driver([device(f"{number}-" + "x" * 200) for number in range(5000)])
    driver.settle(up=driver.row)
    site = Web(Backend(driver))
    site.keep_little()
    try:
        with Listener(site.port, receive_bytes=4096) as stalled:
            assert stalled.head()[0] == 200
            until(lambda: site.ask("/api/v1/events", "HEAD")[0] == 503)
            site.backend.sick = "another message"
            until(lambda: site.ask("/api/v1/events", "HEAD")[0] == 200)
    finally:
        site.close()


def test_nobody_listens(site: Web) -> None:
    """When the last listener has gone, nothing looks at the state any more."""
    looks = []
    site.backend.unhealthy = lambda: looks.append(1) or ""  # type: ignore[func-returns-value, method-assign]
    with Listener(site.port) as listener:
        listener.until("figures")
        assert looks
    until(lambda: site.requests() == 0)

    def still() -> bool:
        count = len(looks)
        time.sleep(0.3)
        return len(looks) == count

    until(still)
    gc.collect()  # a task that was lost would be complained of here


def test_the_end_of_the_exporter_ends_the_streams(site: Web) -> None:
    """Listeners are told the end of the stream, and do not hold up the exporter's."""
    with Listener(site.port) as listener:
        listener.until("snapshot")
        site.backend.ending = True
        assert [message.kind for message in listener._following()] in ([], ["figures"])


def test_a_message_is_made_once_for_all() -> None:
    """Listeners at the same place share a message: fifty cost about what one does."""
    driver = Driver([device("a"), device("b")])
    driver.settle(up=["a", "b"])
    found = Changes(driver.verdicts, 1.0)
    found.look("")
    place = found.position
    driver.settle(down=["a"], seconds=4)
    assert found.look("")
    assert found.since(place, 1.0) is found.since(place, 2.0)
    assert json.loads(found.since(place, 1.0))["states"][0][:2] == [0, 2]
    assert not found.look("")
