"""Which part of a divided inventory a device is in: whole sites, each in one part, few of which ever move."""

from __future__ import annotations

from collections import Counter

import pytest

from exporter.inventory.device import Device, Inventory, Site
from exporter.inventory.shard import MOST, WHOLE, Shard, divide, part_of

PARTS = (2, 3, 8)
SITES, DEVICES_PER_SITE = 2000, 5


def inventory() -> Inventory:
    """Sites of five devices, a site that is only declared, and devices of no site."""
    devices = [
        Device(name=f"s{site}-d{number}", address="x", site=f"site-{site}")
        for site in range(SITES)
        for number in range(DEVICES_PER_SITE)
    ]
    alone = [Device(name=f"alone-{number}", address="x") for number in range(SITES)]
    return Inventory((*devices, *alone), {"empty": Site(name="empty"), "site-7": Site(name="site-7", region="r")})


WHOLE_INVENTORY = inventory()


def names(found: Inventory) -> list[str]:
    return [device.name for device in found.devices]


@pytest.mark.parametrize("parts", PARTS)
def test_every_device_and_site_is_in_one_part(parts: int) -> None:
    """Together the parts are the inventory, in its order, and nothing is in two; a site is whole."""
    found = [divide(WHOLE_INVENTORY, Shard(number, parts)) for number in range(parts)]
    assert Counter(name for one in found for name in names(one)) == Counter(names(WHOLE_INVENTORY))
    assert sorted(name for one in found for name in one.sites) == ["empty", "site-7"]
    order = {name: row for row, name in enumerate(names(WHOLE_INVENTORY))}
    of_site: dict[str, set[int]] = {}
    for number, one in enumerate(found):
        rows = [order[name] for name in names(one)]
        assert rows == sorted(rows)
        for device in one.devices:
            of_site.setdefault(device.site, set()).add(number)
        assert one.sites.keys() <= {"empty", *(device.site for device in one.devices)}
    assert all(len(numbers) == 1 for site, numbers in of_site.items() if site)


@pytest.mark.parametrize("parts", [*range(1, 9), MOST - 1])
def test_one_part_more_takes_its_share_and_moves_nothing_else(parts: int) -> None:
    """From n parts to n + 1, about one of n + 1 keys moves, all of them to the new part."""
    keys = [f"site branch-{number}" for number in range(20_000)]
    moved = [(part_of(key, parts), part_of(key, parts + 1)) for key in keys]
    gone = [after for before, after in moved if before != after]
    assert set(gone) == {parts}
    share = len(keys) / (parts + 1)
    # Five standard deviations of a fair draw.
    assert abs(len(gone) - share) < 5 * share**0.5


@pytest.mark.parametrize("parts", PARTS)
def test_parts_are_about_equal(parts: int) -> None:
    """No part has many more keys than another."""
    counts = Counter(part_of(f"site branch-{number}", parts) for number in range(20_000))
    share = 20_000 / parts
    assert all(abs(counts[part] - share) < 5 * share**0.5 for part in range(parts))


def test_a_release_moves_nothing() -> None:
    """A device stays where the first version that could divide has put it, as its history is there."""
    keys = ("site tbilisi-01", "site batumi-02", "site poti-01", "device core-rt1", "site ბათუმი")
    assert [part_of(key, 4) for key in keys] == [2, 2, 2, 0, 0]
    assert [part_of(key, MOST) for key in keys] == [29, 2, 50, 58, 35]


def test_a_parent_elsewhere_is_beyond() -> None:
    """A parent in another part is probed there and here, and shown there alone; one of the same part is not."""
    core = Device(name="core", address="x")
    devices = tuple(
        Device(name=f"rt-{number}", address="x", site=f"site-{number}", parent="core") for number in range(50)
    )
    behind = tuple(
        Device(name=f"sw-{number}", address="x", site=f"site-{number}", parent=f"rt-{number}")
        for number in range(50)
    )
    whole = Inventory((core, *devices, *behind))
    home = part_of("device core", 4)
    for number in range(4):
        found = divide(whole, Shard(number, 4))
        assert found.devices
        assert ("core" in names(found)) == (number == home)
        assert [device.name for device in found.beyond] == ([] if number == home else ["core"])
        assert found.probed == (*found.devices, *found.beyond)


def test_one_part_is_all() -> None:
    """0/1 is the inventory itself."""
    assert divide(WHOLE_INVENTORY, WHOLE) is WHOLE_INVENTORY
    assert Shard.parse("0/1") == WHOLE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("4/4", "expected 0/4 to 3/4: the first part is 0"),
        ("1/1", "expected 0/1 to 0/1: the first part is 0"),
        ("0/0", "expected 1 to 64 parts"),
        ("0/65", "expected 1 to 64 parts"),
        ("0/1000", "expected such as 0/4, the first of four"),
        *(
            (text, "expected such as 0/4, the first of four")
            for text in ("", "1", "1/", "/4", "-1/4", "1/4/8", "1 / 4")
        ),
        *((text, "expected such as 0/4, the first of four") for text in ("a/b", "0.5/4", "\u0660/4", "0/4\n")),
    ],
)
def test_what_is_no_part_is_told(text: str, said: str) -> None:
    """A wrong part says what was found and what is expected."""
    with pytest.raises(ValueError, match=r"\A") as error:
        Shard.parse(text)
    assert str(error.value) == f"found {text!r}, {said}"


@pytest.mark.parametrize("text", ["0/1", "0/4", "3/4", "63/64"])
def test_a_part_reads_as_it_is_written(text: str) -> None:
    """Any right part comes out as it went in."""
    assert str(Shard.parse(text)) == text
