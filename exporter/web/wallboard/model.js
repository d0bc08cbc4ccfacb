// What is known of the network: the snapshot, and every change and figure since.

import { STATES } from "./text.js";

const FLAGS = ["flapping", "maintenance", "shadowed", "mass_outage"];
const VERDICTS = ["unknown", "up", "down"];
const MOST_EVENTS = 200;

function shortName(device) {
  const { name, site } = device;
  return site && name.startsWith(site) && name.length > site.length + 1 ? name.slice(site.length + 1) : name;
}

// What the board shows a device as: each has one of STATES.
function stateOf(verdict, suppressed) {
  if (verdict === "unknown") return "unknown";
  const explained = suppressed.some((reason) => reason !== "flapping");
  if (explained && (verdict === "down" || suppressed.includes("maintenance"))) return "suppressed";
  if (suppressed.includes("flapping")) return "flapping";
  return verdict;
}

export class Model {
  constructor() {
    this.devices = [];
    this.sites = [];
    this.byName = new Map();
    this.events = [];
    // Names of sites.
    this.cutOff = new Set();
    this.massOutage = false;
    this.problem = "";
    this.version = "";
    this.interval = 1;
    this.ahead = 0;
  }

  // The exporter's clock, which need not be this machine's.
  now() {
    return Date.now() / 1000 + this.ahead;
  }

  load(snapshot) {
    this.version = snapshot.version;
    this.interval = snapshot.interval;
    this.devices = snapshot.devices.map((facts, row) => {
      const device = { ...facts, row, isp: facts.role === "isp", rtt: null, loss: null };
      device.short = shortName(device);
      device.words = [facts.name, facts.address, facts.site, facts.role, facts.provider].join(" ").toLowerCase();
      return device;
    });
    this.byName = new Map(this.devices.map((device) => [device.name, device]));
    const facts = new Map(snapshot.sites.map((site) => [site.name, site]));
    const sites = new Map();
    for (const device of this.devices) {
      const name = device.site || "no site";
      if (!sites.has(name)) sites.set(name, { name, region: "", local_uplinks: false, ...facts.get(name), devices: [] });
      sites.get(name).devices.push(device);
    }
    this.sites = [...sites.values()].sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
    for (const site of this.sites) site.devices.sort((a, b) => b.isp - a.isp || a.row - b.row);
    this.events = [];
    this.apply(snapshot);
  }

  // The devices whose state has changed.
  apply(change) {
    this.ahead = change.at - Date.now() / 1000;
    this.massOutage = change.mass_outage;
    this.problem = change.problem;
    this.events = [...change.events.reverse(), ...this.events].slice(0, MOST_EVENTS);
    const changed = change.states.map(([row, verdict, since, flags, reason]) => {
      const device = this.devices[row];
      device.verdict = VERDICTS[verdict];
      device.since = since;
      device.suppressed = FLAGS.filter((_, bit) => flags & (1 << bit));
      device.reason = reason;
      device.state = stateOf(device.verdict, device.suppressed);
      return device;
    });
    const isolated = new Set(change.isolated);
    this.cutOff = new Set(this.sites.filter((site) => isolated.has(site.name) && isCutOff(site)).map((site) => site.name));
    return changed;
  }

  figures({ rtt, loss }) {
    for (const device of this.devices) {
      device.rtt = rtt[device.row];
      device.loss = loss[device.row];
    }
  }

  totals() {
    const counts = Object.fromEntries(STATES.map((state) => [state, 0]));
    let ispDown = 0;
    for (const device of this.devices) {
      counts[device.state] += 1;
      if (device.isp && device.verdict === "down" && !device.suppressed.includes("maintenance")) ispDown += 1;
    }
    return { ...counts, all: this.devices.length, ispDown, isolated: this.cutOff.size };
  }
}

// All ISP links of the site are down. It is no news where nothing depends on them, nor where each is explained.
function isCutOff(site) {
  const open = site.devices.some((device) => device.isp && ["down", "flapping"].includes(device.state));
  return open && !site.local_uplinks;
}

// A device is reached late, or loses much, although it is up.
export function isSlow(device) {
  return device.rtt !== null && device.rtt > device.rtt_limit;
}

export function isLossy(device) {
  return device.loss !== null && device.loss > device.loss_limit;
}
