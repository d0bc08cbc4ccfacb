"""The soak's books: each kind of mistake that an exporter can make shows in them, and none that it did not make."""

from __future__ import annotations

from tests.soak.ledger import SLACK, Ledger

DEVICES = ("a", "b")


class Page:
    """A page on which both devices are up and have so many probes, but for what is said."""

    def __init__(self, probes: int, **said: dict[str, float]) -> None:
        self.families: dict[str, dict[str, float]] = {
            "up": dict.fromkeys(DEVICES, 1.0),
            "status_changes_total": dict.fromkeys(DEVICES, 0.0),
            "probes_sent_total": dict.fromkeys(DEVICES, float(probes)),
            "replies_total": dict.fromkeys(DEVICES, float(probes)),
        }
        for family, values in said.items():
            self.families[family].update(values)

    def by_device(self, name: str) -> dict[str, float]:
        return self.families[name.removeprefix("ward_device_")]

    def total(self, name: str) -> float:
        assert name == "ward_probe_cycle_lag_seconds"
        return 0.01


def played(*pages: Page, outage: tuple[float, float] | None = None) -> Ledger:
    """A page each 5 s, from 0 on; `a` is out from one time to another."""
    ledger = Ledger(DEVICES)
    if outage is not None:
        ledger.begins(["a"], outage[0])
        ledger.ends(["a"], outage[1])
    for number, page in enumerate(pages):
        ledger.read(page, 5.0 * number, 5.0 * number + 0.1)
    ledger.close()
    return ledger


def told(ledger: Ledger) -> tuple[float, float, float]:
    return ledger.false_losses, ledger.missed, ledger.invented


def test_nothing_happens() -> None:
    """No loss, no outage, and none told."""
    assert told(played(*(Page(5 * number) for number in range(6)))) == (0, 0, 0)


def test_an_outage_that_is_told() -> None:
    """Down while it lasts, two changes, losses of its time: nothing of it is wrong."""
    down = {"up": {"a": 0.0}, "replies_total": {"a": 8.0}}
    over = {"replies_total": {"a": 20.0}, "status_changes_total": {"a": 2.0}}
    pages = [Page(0), Page(5), Page(10, **down), Page(15, **down), *(Page(5 * n + 12, **over) for n in range(6))]
    ledger = played(*pages, outage=(8.0, 19.0))
    assert told(ledger)[1:] == (0, 0)
    assert ledger.outages == 1


def test_an_outage_that_is_missed() -> None:
    """Without its changes of verdict it counts as missed."""
    assert told(played(*(Page(5 * number) for number in range(9)), outage=(8.0, 19.0))) == (0, 1, 0)


def test_an_outage_that_is_invented() -> None:
    """A page on which a device is down for no reason shows, and so do changes that fell between two pages."""
    pages = [Page(0), Page(5, up={"b": 0.0}), Page(10), Page(15)]
    assert told(played(*pages)) == (0, 0, 1)
    changed = {"status_changes_total": {"b": 2.0}}
    assert told(played(Page(0), Page(5, **changed), Page(10, **changed))) == (0, 0, 1)


def test_a_device_that_is_not_on_the_page() -> None:
    """To leave it out is no better than to call it down."""
    pages = [Page(0), Page(5), Page(10)]
    del pages[1].families["up"]["b"]
    assert told(played(*pages)) == (0, 0, 1)


def test_losses_outside_of_outages() -> None:
    """They are false, before an outage and after it; a probe whose reply is not yet on the page is no loss."""
    lost = {"replies_total": {"b": 7.0}}
    assert told(played(Page(0), Page(5), Page(10, **lost), Page(10, **lost), Page(10, **lost))) == (3, 0, 0)
    assert told(played(Page(0), Page(5), Page(10, replies_total={"b": 9.0}), Page(15))) == (0, 0, 0)
    late = {"replies_total": {"a": 1.0}}
    first = int(8 + SLACK) // 5 + 1
    pages = [Page(3, **(late if number > first + 2 else {})) for number in range(first + 6)]
    assert played(*pages, outage=(1.0, 8.0)).false_losses == 2
