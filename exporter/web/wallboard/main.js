// Puts the parts together: what the stream tells goes into the model, and once a frame onto the screen.

import { Board } from "./board.js";
import { DevicePage } from "./device.js";
import { Events } from "./events.js";
import { Filters } from "./filters.js";
import { Keys } from "./keys.js";
import { Model } from "./model.js";
import { Stream } from "./stream.js";
import { Trouble } from "./trouble.js";
import { STATES, clock, duration, element, mark, write } from "./text.js";

const byId = (id) => document.getElementById(id);
const ROUTE = /^\/device\/(.+)$/;
const FLASH_MS = 2500;
const TITLES = { down: "Down", flapping: "Flapping", suppressed: "Suppressed", unknown: "Unknown", up: "Up" };

const model = new Model();
const board = new Board(byId("sites"));
const trouble = new Trouble();
const events = new Events();
const device = new DevicePage(byId("device"), model);
const filters = new Filters(() => show());
const help = byId("help");
const keys = new Keys(byId("sites"), { filters, help, isDevicePage: () => device.name !== null, toBoard });
const totals = makeTotals();

let loaded = false;
let lost = null;
let leaving = false;
let trail = filters.address;
// What has come since the last frame.
let fresh = { all: false, devices: new Set(), rest: false, figures: false };
let frame = 0;
const flashing = new Map();

function makeTotals() {
  const made = {};
  const add = (name, title, node) => {
    const count = element("b", {}, "–");
    node.append(count, ` ${title}`);
    made[name] = { count, node };
    byId("totals").append(element("li", { "data-state": name }, node));
  };
  add("all", "Devices", element("span"));
  add("ispDown", "ISP links down", element("span"));
  add("isolated", "Sites cut off", element("span"));
  STATES.forEach((state, number) => {
    const attributes = { type: "button", "aria-pressed": "false", title: `Only ${state} (${number + 1})` };
    const button = element("button", { ...attributes, "data-state": state });
    button.addEventListener("click", () => filters.toggleState(state));
    add(state, TITLES[state], button);
  });
  return made;
}

// The stream.

const stream = new Stream(
  (kind, data) => {
    if (leaving) return;
    if (kind === "snapshot" && model.version && data.version !== model.version) {
      // Another exporter has taken its place, and this script is of the former one.
      leaving = true;
      location.reload();
      return;
    }
    if (kind === "snapshot") {
      model.load(data);
      fresh.all = true;
    } else if (kind === "change") {
      for (const changed of model.apply(data)) fresh.devices.add(changed);
      fresh.rest = true;
    } else if (kind === "figures") {
      model.figures(data);
      fresh.figures = true;
    }
    lost = null;
    frame ||= requestAnimationFrame(draw);
  },
  (since, why) => {
    lost ??= { since, why };
    lost.why = why;
    alarms();
  },
);

function draw() {
  const start = performance.now();
  frame = 0;
  const { all, devices, rest, figures } = fresh;
  fresh = { all: false, devices: new Set(), rest: false, figures: false };
  if (all) {
    board.build(model);
    board.states(model.devices);
    const roles = [...new Set(model.devices.map((one) => one.role))].sort((a, b) => (b === "isp") - (a === "isp"));
    filters.offer(model.sites.filter((site) => site.devices[0].site).map((site) => site.name), roles);
    write(byId("version"), ` ${model.version}`);
    loaded = true;
    route();
  } else if (devices.size || rest) {
    board.states(devices);
    board.isolation();
    if (filters.states.size) choose();
    summarise();
    flash(devices);
    device.touch([...devices]);
  }
  if (figures && loaded) board.write(model.devices);
  alarms();
  // The last one alone is kept: a board stays open for months.
  performance.clearMeasures("ward-update");
  performance.measure("ward-update", { start, detail: { all, devices: devices.size, figures } });
}

// A ring for a while. One that fades would be painted sixty times a second, and hold up the next change.
function flash(devices) {
  if (devices.size > 50) return;
  for (const changed of devices) {
    const { link } = board.parts.get(changed);
    link.classList.add("changed");
    clearTimeout(flashing.get(link));
    const end = () => flashing.delete(link) && link.classList.remove("changed");
    flashing.set(link, setTimeout(end, FLASH_MS));
  }
}

// What is shown.

function show() {
  if (!loaded) return;
  if (device.name === null) trail = filters.address;
  board.view(filters.values.view === "detail");
  choose();
  summarise();
}

function choose() {
  const shown = board.filter(filters);
  const all = model.devices.length;
  write(byId("shown"), filters.narrow ? `${shown} of ${all} devices` : `${all} devices`);
  byId("nothing").hidden = shown > 0;
  byId("clear").hidden = !filters.narrow;
  keys.settle();
}

// All but the tiles.
function summarise() {
  trouble.show(model, filters);
  events.show(model, filters);
  const counts = model.totals();
  for (const [name, { count, node }] of Object.entries(totals)) {
    write(count, String(counts[name]));
    mark(node, "data-zero", String(counts[name] === 0));
    if (STATES.includes(name)) mark(node, "aria-pressed", String(filters.states.has(name)));
  }
  const title = device.name ?? "ward wallboard";
  document.title = `${lost ? "lost, " : ""}${counts.down ? `${counts.down} down, ` : ""}${title}`;
}

function alarms() {
  const words = [];
  if (lost) {
    words.push(`Lost the exporter at ${clock(lost.since)}: ${lost.why}. What you see is from then; trying again.`);
  } else {
    if (model.problem) words.push(`The exporter does not probe: ${model.problem}.`);
    if (model.massOutage) words.push("Mass outage: more than half of all devices are down. Look at our own side first.");
  }
  const box = byId("alarms");
  if ([...box.children].map((one) => one.textContent).join() !== words.join()) {
    box.replaceChildren(...words.map((text) => element("p", {}, text)));
  }
  document.body.classList.toggle("lost", lost !== null);
  mark(byId("connection").parentElement, "data-is", lost ? "lost" : loaded ? "live" : "waiting");
  write(byId("connection"), lost ? "lost" : loaded ? "live" : "connecting");
  // Outside of what is read aloud when it changes.
  write(byId("ago"), lost ? ` ${duration(Date.now() / 1000 - lost.since)} ago` : "");
}

function tick() {
  const now = Date.now() / 1000;
  write(byId("clock"), clock(now));
  if (lost) alarms();
  if (!loaded || lost) return;
  trouble.tick(model.now());
  device.tick();
  board.write(model.devices.filter((one) => one.state !== "up"));
}

// Addresses: the board with its filters, and a page for each device.

function route() {
  const found = ROUTE.exec(location.pathname);
  const name = found ? found[1].split("/").map(decoded).join("/") : null;
  byId("board").hidden = name !== null;
  if (device.name !== name) device.open(name);
  if (name === null) filters.read();
  show();
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // typed by hand, with a percent sign that means itself
  }
}

function go(address) {
  history.pushState(null, "", address);
  route();
  if (device.name === null) (keys.current ?? byId("main")).focus();
  else byId("device").querySelector("h2").focus();
  if (device.name !== null) scrollTo(0, 0);
}

function toBoard() {
  go(trail);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const { origin, pathname, search } = new URL(link.href);
  if (origin !== location.origin || !loaded || link.hash) return;
  if (pathname !== "/" && !ROUTE.test(pathname)) return;
  event.preventDefault();
  if (link.dataset.back === undefined) go(pathname + search);
  else toBoard();
});
addEventListener("popstate", route);
byId("theme").addEventListener("click", () => dispatchEvent(new Event("ward-theme")));
byId("help-button").addEventListener("click", () => help.showModal());
setInterval(tick, 1000);
tick();
stream.start();
