// What a person should look at first: what is down and not explained by something else, ISP links before all.

import { devicePath, clock, duration, element, reasonText, write } from "./text.js";

const MOST = 12;

export class Trouble {
  constructor() {
    this.list = document.getElementById("trouble-list");
    this.rest = document.getElementById("trouble-rest");
    this.ages = [];
  }

  show(model, filters) {
    const fits = model.devices.filter((device) => filters.fitsButState(device));
    const open = fits.filter((device) => device.state === "down" || device.state === "flapping");
    // One row for a site and its links, unless these flap: then the links say more.
    const flapping = new Set(open.filter((device) => device.isp && device.state === "flapping").map((device) => device.site));
    const cutOff = (site) => model.isolated.has(site) && !flapping.has(site);
    open.sort((a, b) => rank(a) - rank(b) || b.since - a.since || a.row - b.row);
    const sites = model.sites.filter((site) => cutOff(site.name) && site.devices.some((one) => filters.fitsButState(one)));
    const others = open.filter((device) => !(device.isp && cutOff(device.site)));
    this.ages = [];
    const rows = [...sites.map((site) => this.#site(site)), ...others.map((device) => this.#device(device))];
    this.list.replaceChildren(...rows.slice(0, MOST));
    this.list.hidden = !rows.length;
    write(this.rest, restWords(fits, rows.length));
    this.tick(model.now());
  }

  tick(now) {
    for (const { node, since } of this.ages) write(node, duration(now - since));
  }

  #site(site) {
    const links = site.devices.filter((device) => device.isp);
    const behind = site.devices.filter((device) => !device.isp && device.verdict === "down").length;
    const names = links.map((device) => (device.provider ? `${device.short} (${device.provider})` : device.short));
    const what = `${names.join(", ")} down, and ${behind} behind`;
    const since = Math.max(...links.map((device) => device.since));
    return this.#row("isolated", "cut off", `/?site=${encodeURIComponent(site.name)}`, site.name, what, since);
  }

  #device(device) {
    const kind = device.isp ? `ISP link${device.provider ? `, ${device.provider}` : ""}` : device.role;
    const what = `${kind}: ${device.verdict === "down" ? reasonText(device.reason) : "up at the moment"}`;
    return this.#row(device.state, device.state, devicePath(device.name), device.name, what, device.since);
  }

  #row(state, word, href, name, what, since) {
    const age = element("span", { class: "age" });
    this.ages.push({ node: age, since });
    const cells = [
      element("span", { class: "mark", "data-state": state }, word),
      element("a", { href, class: "name" }, name),
      element("span", { class: "what" }, what),
      element("span", { class: "since" }, `since ${clock(since)}`),
      age,
    ];
    return element("li", { "data-state": state }, ...cells);
  }
}

function rank(device) {
  return (device.state === "flapping" ? 1 : 0) + (device.isp ? 0 : 2);
}

function restWords(devices, rows) {
  const suppressed = devices.filter((device) => device.state === "suppressed").length;
  const unknown = devices.filter((device) => device.state === "unknown").length;
  const words = [];
  if (rows > MOST) words.push(`${rows - MOST} more.`);
  if (!rows) words.push(unknown === devices.length ? "Nothing is known yet." : "Nothing that is not explained.");
  if (suppressed) words.push(`${suppressed} suppressed: explained by something else.`);
  if (unknown && unknown < devices.length) words.push(`${unknown} not known yet.`);
  return words.join(" ");
}
