// What a person should look at first: what is down and not explained by something else, ISP links before all.

import { devicePath, arrange, clock, duration, element, hide, mark, reasonText, write } from "./text.js";

const MOST = 12;

export class Trouble {
  constructor() {
    this.list = document.getElementById("trouble-list");
    this.rest = document.getElementById("trouble-rest");
    // By address: one that stays stays as it is, and what has the keyboard keeps it.
    this.rows = new Map();
  }

  show(model, filters) {
    const fits = model.devices.filter((device) => filters.fitsButState(device));
    const open = fits.filter((device) => device.state === "down" || device.state === "flapping");
    // One row for a site and its links, unless these flap: then the links say more.
    const flapping = new Set(open.filter((device) => device.isp && device.state === "flapping").map((device) => device.site));
    const cutOff = (site) => model.cutOff.has(site) && !flapping.has(site);
    open.sort((a, b) => rank(a) - rank(b) || b.since - a.since || a.row - b.row);
    const sites = model.sites.filter((site) => cutOff(site.name) && site.devices.some((one) => filters.fitsButState(one)));
    const others = open.filter((device) => !(device.isp && cutOff(device.site)));
    const all = [...sites.map(siteWords), ...others.map(deviceWords)];
    const former = this.rows;
    this.rows = new Map(all.slice(0, MOST).map((words) => [words.href, former.get(words.href) ?? makeRow(words)]));
    for (const words of all.slice(0, MOST)) fillRow(this.rows.get(words.href), words);
    arrange(this.list, [...this.rows.values()].map((row) => row.root));
    this.list.hidden = !all.length;
    write(this.rest, restWords(fits, all.length, model.problem));
    hide(this.list.parentElement, !all.length && this.rest.textContent === "");
    this.tick(model.now());
  }

  tick(now) {
    for (const { age, at } of this.rows.values()) write(age, duration(now - at));
  }
}

function siteWords(site) {
  const links = site.devices.filter((device) => device.isp);
  const behind = site.devices.filter((device) => !device.isp && device.verdict === "down").length;
  const names = links.map((device) => element("bdi", {}, device.provider ? `${device.short} (${device.provider})` : device.short));
  const what = [...names.flatMap((name, number) => (number ? [", ", name] : [name])), ` down, and ${behind} behind`];
  const since = Math.max(...links.map((device) => device.since));
  return { state: "isolated", word: "cut off", href: `/?site=${encodeURIComponent(site.name)}`, name: site.name, what, since };
}

function deviceWords(device) {
  const { state, name, since } = device;
  const kind = device.isp ? ["ISP link", ...(device.provider ? [", ", element("bdi", {}, device.provider)] : [])] : [element("bdi", {}, device.role)];
  const what = [...kind, `: ${device.verdict === "down" ? reasonText(device.reason) : "up at the moment"}`];
  return { state, word: state, href: devicePath(name), name, what, since };
}

function makeRow({ href, name }) {
  const [word, what, since, age] = ["mark", "what", "since", "age"].map((part) => element("span", { class: part }));
  const root = element("li", {}, word, element("a", { href, class: "name" }, name), what, since, age);
  return { root, word, what, since, age, at: 0 };
}

function fillRow(row, { state, word, what, since }) {
  mark(row.root, "data-state", state);
  mark(row.word, "data-state", state);
  write(row.word, word);
  if (row.what.textContent !== element("span", {}, ...what).textContent) row.what.replaceChildren(...what);
  row.at = since;
  write(row.since, `since ${clock(since)}`);
}

function rank(device) {
  return (device.state === "flapping" ? 1 : 0) + (device.isp ? 0 : 2);
}

function restWords(devices, rows, problem) {
  const count = (state) => devices.filter((device) => device.state === state).length;
  const [suppressed, unknown, up] = ["suppressed", "unknown", "up"].map(count);
  const words = [];
  if (rows > MOST) words.push(`${rows - MOST} more.`);
  if (!rows && devices.length && !problem) {
    if (unknown === devices.length) words.push("Nothing is known yet.");
    else words.push(up === devices.length ? "All is well." : "Nothing.");
  }
  if (suppressed) words.push(`${suppressed} suppressed: explained by something else.`);
  if (unknown && unknown < devices.length) words.push(`${unknown} not known yet.`);
  return words.join(" ");
}
