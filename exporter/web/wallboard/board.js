// Sites as tiles with their devices. An element is made once for each device; after that only what has changed is
// written, so that a change costs the same among ten devices and among ten thousand.

import { isLossy, isSlow } from "./model.js";
import { STATES, devicePath, duration, element, hide, mark, milliseconds, percent, reasonText, write } from "./text.js";

const LARGE = 40;

export class Board {
  constructor(root) {
    this.root = root;
    this.tiles = [];
    this.parts = new Map();
    this.detail = false;
  }

  build(model) {
    this.model = model;
    this.parts.clear();
    this.tiles = model.sites.map((site) => this.#tile(site));
    this.root.replaceChildren(...this.tiles.map((tile) => tile.root));
  }

  #tile(site) {
    const list = element("ul");
    for (const device of site.devices) list.append(this.#item(device));
    const known = site.devices[0].site !== "";
    const name = known ? element("a", { href: `/?site=${encodeURIComponent(site.name)}` }, site.name) : site.name;
    const summary = element("span", { class: "summary" });
    const note = element("p", { class: "note mark", "data-state": "suppressed" });
    const region = element("span", { class: "region" }, site.region);
    const size = site.devices.length > LARGE ? "site large" : "site";
    const root = element("article", { class: size }, element("h3", {}, name, region, summary), list, note);
    return { site, root, summary, note };
  }

  #item(device) {
    const parts = {};
    for (const name of ["name", "what", "rtt", "loss"]) parts[name] = element("span", { class: name });
    parts.name.textContent = device.short;
    parts.link = element("a", { class: "device", href: devicePath(device.name), tabindex: "-1" });
    parts.link.append(...["name", "what", "rtt", "loss"].map((name) => parts[name]));
    parts.item = element("li", {}, parts.link);
    if (device.isp) parts.item.className = "isp";
    this.parts.set(device, parts);
    return parts.item;
  }

  // These devices have another state.
  states(devices) {
    const sites = new Set();
    for (const device of devices) {
      const { item, link } = this.parts.get(device);
      mark(item, "data-state", device.state);
      mark(link, "data-state", device.state);
      mark(link, "aria-label", `${device.name}, ${stateWords(device)}`);
      mark(link, "title", `${device.name} ${device.address}\n${stateWords(device)}`);
      sites.add(device.site);
    }
    for (const tile of this.tiles) if (sites.has(tile.site.devices[0].site)) this.#summary(tile);
    this.write(devices);
  }

  #summary(tile) {
    const { site, root, summary, note } = tile;
    const counts = Object.fromEntries(STATES.map((state) => [state, 0]));
    for (const device of site.devices) counts[device.state] += 1;
    const isolated = (tile.isolated = this.model.cutOff.has(site.name));
    mark(root, "data-worst", isolated ? "isolated" : STATES.find((state) => counts[state]));
    const bad = ["down", "flapping"].filter((state) => counts[state]).map((state) => `${counts[state]} ${state}`);
    const words = [...(isolated ? ["cut off"] : []), ...bad];
    write(summary, words.length ? words.join(", ") : counts.up ? `${counts.up} up` : "");
    const suppressed = site.devices.filter((device) => device.state === "suppressed");
    const reasons = [...new Set(suppressed.map(reasonOf))];
    write(note, suppressed.length ? `${suppressed.length} suppressed: ${reasons.join(", ")}` : "");
    hide(note, !suppressed.length);
  }

  // Other sites may be cut off than before.
  isolation() {
    for (const tile of this.tiles) {
      if (tile.isolated !== this.model.cutOff.has(tile.site.name)) this.#summary(tile);
    }
  }

  // Figures and times, of those that show any.
  write(devices) {
    const now = this.model.now();
    for (const device of devices) {
      const { link, what, rtt, loss } = this.parts.get(device);
      mark(link, "data-over", String(device.verdict === "up" && (isSlow(device) || isLossy(device))));
      if (!this.detail && !device.isp && (device.state === "up" || device.state === "suppressed")) continue;
      write(what, whatWords(device, now));
      write(rtt, device.verdict === "down" ? "" : milliseconds(device.rtt));
      write(loss, percent(device.loss));
      mark(rtt, "data-over", String(device.verdict !== "down" && isSlow(device)));
      mark(loss, "data-over", String(device.verdict !== "down" && isLossy(device)));
    }
  }

  view(detail) {
    this.detail = detail;
    this.root.classList.toggle("detail", detail);
    this.write(this.model.devices);
  }

  // Returns how many devices are shown.
  filter(filters) {
    let shown = 0;
    for (const { site, root } of this.tiles) {
      let some = false;
      for (const device of site.devices) {
        const fits = filters.fits(device);
        hide(this.parts.get(device).item, !fits);
        some ||= fits;
        shown += fits;
      }
      hide(root, !some);
    }
    return shown;
  }
}

// In a row, beside the name.
function whatWords(device, now) {
  const since = device.since ? ` ${duration(now - device.since)}` : "";
  if (device.state === "up") return device.provider || since.trim();
  if (device.state === "suppressed") return device.verdict === "down" ? `${reasonOf(device)}${since}` : reasonOf(device);
  if (device.state === "flapping") return `flaps, ${device.verdict}`;
  if (device.state === "unknown") return "not known yet";
  return `down${since}`;
}

function reasonOf(device) {
  return device.suppressed.find((reason) => reason !== "flapping").replace("_", " ");
}

// For those who hear or point at it.
export function stateWords(device) {
  const why = device.verdict === "down" ? ` (${reasonText(device.reason)})` : "";
  const noise = device.suppressed.length ? `, ${device.suppressed.join(", ").replaceAll("_", " ")}` : "";
  return `${device.verdict}${why}${noise}`;
}
