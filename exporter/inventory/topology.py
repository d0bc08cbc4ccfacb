"""Who is reached through whom: parents and site uplinks as numpy columns, a row a device in its order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from exporter.inventory.device import Inventory

Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int32]

ISP_ROLE = "isp"


class Topology:
    """The inventory as indices.

    By device: `parent` and `site` (int32 row or -1), `is_isp` (bool). By site: `site_names` (those that a
    device names or the inventory declares, sorted), `local_uplinks` (bool), `isp_links` (how many; int32).
    What is beyond the inventory is a parent, and of no site.
    """

    def __init__(self, inventory: Inventory) -> None:
        devices = inventory.devices
        names = {device.site for device in devices if device.site} | set(inventory.sites)
        self.site_names: tuple[str, ...] = tuple(sorted(names))
        site_row = {name: row for row, name in enumerate(self.site_names)}
        device_row = {device.name: row for row, device in enumerate(inventory.probed)}
        count, sites = len(devices), len(self.site_names)
        self.parent: Rows = np.fromiter((device_row.get(one.parent, -1) for one in devices), np.int32, count)
        self.site: Rows = np.fromiter((site_row.get(one.site, -1) for one in devices), np.int32, count)
        self.is_isp: Mask = np.fromiter((one.role == ISP_ROLE for one in devices), np.bool_, count)
        self.local_uplinks: Mask = np.fromiter(
            (name in inventory.sites and inventory.sites[name].local_uplinks for name in self.site_names),
            np.bool_,
            sites,
        )
        self._isp_rows = np.flatnonzero(self.is_isp & (self.site >= 0))
        self._isp_sites = self.site[self._isp_rows]
        self.isp_links: Rows = np.bincount(self._isp_sites, minlength=sites).astype(np.int32)
        # One more entry than there are sites, so that the index -1 (no site) finds a False of its own.
        depends = np.append((self.isp_links > 0) & ~self.local_uplinks, False)
        self._through_site: Mask = depends[self.site] & (self.parent < 0) & ~self.is_isp

    def isolated_sites(self, down: Mask) -> Mask:
        """By site: it has ISP links and all of them are down. `down` has one bool a row that is probed."""
        lost = np.bincount(self._isp_sites[down[self._isp_rows]], minlength=len(self.site_names))
        isolated: Mask = (self.isp_links > 0) & (lost == self.isp_links)
        return isolated

    def unreachable(self, down: Mask) -> Mask:
        """By device: what it is reached through exists and is all down; its own state does not matter.

        That is its parent if it has one, else its site's ISP links, unless the site has local uplinks.
        """
        through_parent: Mask = np.append(down, False)[self.parent]
        isolated = np.append(self.isolated_sites(down), False)
        through_site: Mask = isolated[self.site] & self._through_site
        return through_parent | through_site
