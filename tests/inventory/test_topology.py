"""What is reached through what, held against the same rules written out device by device."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from exporter.inventory.device import Device, Inventory, Site
from exporter.inventory.topology import Topology


def branch() -> Inventory:
    """Two sites with ISP links, one with local uplinks; one site without links; one device without a site."""
    rows = [
        ("a-isp-1", "a", "isp", ""),
        ("a-isp-2", "a", "isp", ""),
        ("a-rt", "a", "router", ""),
        ("a-sw", "a", "switch", "a-rt"),
        ("b-isp", "b", "isp", "a-rt"),
        ("b-sw", "b", "switch", ""),
        ("b-atm", "b", "atm", "b-sw"),
        ("c-sw", "c", "switch", ""),
        ("alone", "", "server", ""),
    ]
    devices = tuple(Device(name=n, address=n, site=s, role=r, parent=p) for n, s, r, p in rows)
    return Inventory(devices, {"b": Site(name="b", local_uplinks=True), "empty": Site(name="empty")})


def names(inventory: Inventory, mask: npt.NDArray[np.bool_]) -> set[str]:
    """The devices that a mask takes."""
    return {device.name for device, taken in zip(inventory.devices, mask, strict=True) if taken}


def without(inventory: Inventory, *down: str) -> npt.NDArray[np.bool_]:
    """The mask of devices that are down."""
    return np.array([device.name in down for device in inventory.devices])


def test_columns_are_indices_into_the_inventory() -> None:
    """Parents, sites, ISP links and local uplinks are rows and flags in inventory order."""
    topology = Topology(branch())
    assert topology.site_names == ("a", "b", "c", "empty")
    assert topology.parent.tolist() == [-1, -1, -1, 2, 2, -1, 5, -1, -1]
    assert topology.site.tolist() == [0, 0, 0, 0, 1, 1, 1, 2, -1]
    assert topology.is_isp.tolist() == [True, True, False, False, True, False, False, False, False]
    assert topology.local_uplinks.tolist() == [False, True, False, False]
    assert topology.isp_links.tolist() == [2, 1, 0, 0]
    assert {str(topology.parent.dtype), str(topology.site.dtype)} == {"int32"}


def test_a_site_is_isolated_when_its_last_link_is_down() -> None:
    """One of two links down isolates nobody; both do; a site without links is never isolated."""
    inventory = branch()
    topology = Topology(inventory)
    assert topology.isolated_sites(without(inventory, "a-isp-1")).tolist() == [False] * 4
    assert topology.isolated_sites(without(inventory, "a-isp-1", "a-isp-2")).tolist() == [
        True,
        False,
        False,
        False,
    ]
    assert topology.isolated_sites(np.ones(9, np.bool_)).tolist() == [True, True, False, False]


def test_what_is_behind_a_lost_link_or_parent_is_unreachable() -> None:
    """A parent decides for its children, the links for the rest of the site, unless it has local uplinks."""
    inventory = branch()
    topology = Topology(inventory)

    def behind(*down: str) -> set[str]:
        return names(inventory, topology.unreachable(without(inventory, *down)))

    assert behind() == set()
    assert behind("a-isp-1") == set()
    assert behind("a-isp-1", "a-isp-2") == {"a-rt"}
    assert behind("a-rt") == {"a-sw", "b-isp"}
    assert behind("b-isp") == set()
    assert behind("b-sw") == {"b-atm"}
    assert behind(*(device.name for device in inventory.devices)) == {"a-rt", "a-sw", "b-isp", "b-atm"}


def test_an_empty_inventory_has_an_empty_topology() -> None:
    """No device, no site: the masks are empty and nothing fails."""
    topology = Topology(Inventory(()))
    assert topology.unreachable(np.zeros(0, np.bool_)).tolist() == []
    assert topology.isolated_sites(np.zeros(0, np.bool_)).tolist() == []


def one_by_one(inventory: Inventory, down: set[str]) -> set[str]:
    """The rule as the documentation has it, for one device after the other."""
    found = set()
    for device in inventory.devices:
        site = inventory.sites.get(device.site)
        links = [one.name for one in inventory.devices if one.role == "isp" and one.site == device.site]
        if device.parent:
            lost = device.parent in down
        elif not device.site or device.role == "isp" or (site is not None and site.local_uplinks):
            lost = False
        else:
            lost = bool(links) and all(link in down for link in links)
        if lost:
            found.add(device.name)
    return found


@given(st.data())
def test_any_inventory_agrees_with_the_rule(data: st.DataObject) -> None:
    """For any inventory and any set of devices that are down, the columns and the plain rule agree."""
    count = data.draw(st.integers(1, 12))
    parents = st.sampled_from(["", *(f"d{row}" for row in range(count))])
    devices = tuple(
        Device(
            name=f"d{row}",
            address="x",
            site=data.draw(st.sampled_from(["", "a", "b"])),
            role=data.draw(st.sampled_from(["isp", "switch"])),
            parent=data.draw(parents),
        )
        for row in range(count)
    )
    inventory = Inventory(devices, {"a": Site(name="a", local_uplinks=data.draw(st.booleans()))})
    down = data.draw(st.sets(st.sampled_from([device.name for device in devices])))
    found = names(inventory, Topology(inventory).unreachable(without(inventory, *down)))
    assert found == one_by_one(inventory, down)
