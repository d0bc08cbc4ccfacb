// The last events, as a list.

import { clock, devicePath, duration, element, reasonText } from "./text.js";

const MOST = 60;
const STATE_OF = { down: "down", up: "up", flapping: "flapping", steady: "up", isolated: "isolated", connected: "up" };

export function eventRow(event, { named = true } = {}) {
  const { kind, subject, reason, lasted } = event;
  const state = STATE_OF[kind] ?? (kind === "mass_outage" ? "isolated" : "up");
  const row = element("li", { "data-state": state }, element("time", {}, clock(event.at)));
  row.append(element("span", { class: "mark", "data-state": state }, WORDS[kind] ?? kind));
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

export class Events {
  constructor() {
    this.list = document.getElementById("event-list");
  }

  show(model, filters) {
    const fits = (event) => {
      const device = model.byName.get(event.subject);
      if (device) return filters.fitsButState(device);
      const site = model.sites.find((one) => one.name === event.subject);
      return site ? site.devices.some((one) => filters.fitsButState(one)) : !filters.narrow;
    };
    const rows = model.events.filter(fits).slice(0, MOST).map((event) => eventRow(event));
    this.list.replaceChildren(...(rows.length ? rows : [element("li", { class: "none" }, "None that are remembered.")]));
  }
}
