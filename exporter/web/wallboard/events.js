// The last events, as a list.

import { arrange, clock, devicePath, duration, element, reasonText, write } from "./text.js";

const MOST = 60;
const STATE_OF = { down: "down", up: "up", flapping: "flapping", steady: "up", isolated: "isolated", connected: "up" };

export function eventRow(event, { named = true, words = WORDS } = {}) {
  const { kind, subject, reason, lasted } = event;
  const state = STATE_OF[kind] ?? (kind === "mass_outage" ? "isolated" : "up");
  const row = element("li", { "data-state": state }, element("time", {}, clock(event.at)));
  row.append(element("span", { class: "mark", "data-state": state }, words[kind] ?? kind));
  if (named && subject) {
    const site = kind === "isolated" || kind === "connected";
    const href = site ? `/?site=${encodeURIComponent(subject)}` : devicePath(subject);
    row.append(element("a", { href }, subject));
  }
  const after = lasted ? `after ${duration(lasted)}` : "";
  const what = kind === "down" ? [reasonText(reason), after && `${after} up`] : [after && `${after} down`];
  row.append(element("span", { class: "what" }, what.filter(Boolean).join(", ")));
  return row;
}

const WORDS = {
  down: "down",
  up: "up",
  flapping: "flapping",
  steady: "steady",
  isolated: "cut off",
  connected: "reached again",
  mass_outage: "mass outage",
  mass_outage_over: "mass outage over",
};
// Of a site that is reached without its links, too.
const LINK_WORDS = { isolated: "links down", connected: "links up" };

export class Events {
  constructor() {
    this.list = document.getElementById("event-list");
    this.none = element("li", { class: "none" }, "None that are remembered.");
    // One that stays stays as it is, and what has the keyboard keeps it.
    this.rows = new WeakMap();
  }

  show(model, filters) {
    const sites = new Map(model.sites.map((site) => [site.name, site]));
    const fits = (event) => {
      const device = model.byName.get(event.subject);
      if (device) return filters.fitsButState(device);
      const site = sites.get(event.subject);
      return site ? site.devices.some((one) => filters.fitsButState(one)) : !filters.narrow;
    };
    const rows = model.events.filter(fits).slice(0, MOST).map((event) => {
      const words = sites.get(event.subject)?.local_uplinks ? { ...WORDS, ...LINK_WORDS } : WORDS;
      const row = this.rows.get(event) ?? eventRow(event, { words });
      this.rows.set(event, row);
      // What was today is yesterday after midnight.
      write(row.firstChild, clock(event.at));
      return row;
    });
    arrange(this.list, rows.length ? rows : [this.none]);
  }
}
