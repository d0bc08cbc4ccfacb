// The page of one device: its state, its last hundred probes as a strip, its figures and its events.

import { eventRow } from "./events.js";
import { clock, devicePath, duration, element, milliseconds, percent, reasonText, whyText, write } from "./text.js";

const REFRESH_MS = 2000;
const SVG = "http://www.w3.org/2000/svg";
const PROBES = 100;
const HIGH = 100;

function svg(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function facts(pairs) {
  const list = element("dl");
  for (const [name, value] of pairs) {
    if (value === "" || value === null || value === undefined) continue;
    list.append(element("div", {}, element("dt", {}, name), element("dd", {}, value)));
  }
  return list;
}

export class DevicePage {
  constructor(root, model) {
    this.root = root;
    this.model = model;
    this.name = null;
    this.timer = 0;
  }

  // `null` closes it.
  open(name) {
    clearTimeout(this.timer);
    this.name = name;
    this.root.hidden = name === null;
    if (name === null) {
      this.root.replaceChildren();
      return;
    }
    this.state = element("p", { class: "state" }, "Asking the exporter …");
    this.sections = element("div", { class: "sections" });
    const back = element("a", { href: "/", class: "back", "data-back": "" }, "← Board");
    const top = element("header", {}, back, element("h2", { tabindex: "-1" }, name), this.state);
    this.root.replaceChildren(top, this.sections);
    this.refresh();
  }

  async refresh() {
    clearTimeout(this.timer);
    const name = this.name;
    if (name === null) return;
    try {
      const answer = await fetch(`/api/v1/devices${devicePath(name).slice("/device".length)}`, { cache: "no-store" });
      const found = await answer.json();
      if (name !== this.name) return;
      if (answer.ok) this.#show(found);
      else this.state.replaceChildren("No device is called ", element("bdi", {}, name), ".");
    } catch {
      // The banner says that the exporter is lost; what was known stays.
    }
    if (name !== this.name) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.refresh(), REFRESH_MS);
  }

  // Its state has changed, or a second has passed.
  touch(devices) {
    if (this.name !== null && devices.some((device) => device.name === this.name)) this.refresh();
  }

  tick() {
    const device = this.model.byName.get(this.name);
    const age = this.root.querySelector(".age");
    if (age && device?.since) write(age, duration(this.model.now() - device.since));
  }

  #show(found) {
    const focused = document.activeElement?.closest(".sections [href]")?.getAttribute("href");
    const { state } = this.model.byName.get(found.name) ?? found;
    this.state.replaceChildren(element("span", { class: "mark", "data-state": state }, state), ...this.#state(found));
    this.sections.replaceChildren(
      section("Last probes", strip(found), stripWords(found)),
      section("Over the window", facts(figures(found))),
      section("Inventory", facts(inventory(found))),
      section("Since the start", facts(counters(found))),
      section("Events", this.#events(found)),
    );
    if (focused) this.sections.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
  }

  #state(found) {
    if (found.state === "unknown") return ["The first probes are under way."];
    const why = found.reason ? `: ${reasonText(found.reason)}` : "";
    const age = element("span", { class: "age" }, duration(this.model.now() - found.since));
    const words = [`${found.state} since ${clock(found.since)} (`, age, `)${why}`];
    for (const reason of found.suppressed) {
      words.push(element("span", { class: "why" }, `${reason.replaceAll("_", " ")}: ${whyText(reason)}`));
    }
    return words;
  }

  #events(found) {
    const rows = found.events.reverse().map((event) => eventRow(event, { named: false }));
    return element("ol", { class: "event-list" }, ...(rows.length ? rows : [element("li", {}, "None remembered.")]));
  }
}

function section(title, ...children) {
  return element("section", {}, element("h3", {}, title), ...children);
}

// A bar a probe, newest at the right: its height is the RTT; a lost one is a cross over the whole height.
function strip({ strip: probes, limits }) {
  const answered = probes.filter((rtt) => rtt !== null);
  const limit = limits.rtt_seconds;
  const highest = Math.max(...answered, 1e-6);
  const top = highest * 1.15 > limit / 2 ? Math.max(highest * 1.15, limit * 1.05) : highest * 1.15;
  const drawn = svg("svg", { viewBox: `0 0 ${PROBES * 10} ${HIGH}`, preserveAspectRatio: "none", role: "img" });
  drawn.setAttribute("aria-label", summary(probes));
  probes.forEach((rtt, number) => {
    const x = (PROBES - probes.length + number) * 10 + 1;
    const group = svg("g", { class: rtt === null ? "lost" : rtt > limit ? "slow" : "answered" });
    const words = svg("title", {});
    words.textContent = rtt === null ? "lost" : milliseconds(rtt * 1000);
    group.append(words);
    if (rtt === null) {
      group.append(svg("rect", { x, y: 0, width: 8, height: HIGH }));
      group.append(svg("path", { d: `M${x} 3l8 10m0 -10l-8 10` }));
    } else {
      const height = Math.max(2, (rtt / top) * HIGH);
      group.append(svg("rect", { x, y: HIGH - height, width: 8, height }));
    }
    drawn.append(group);
  });
  if (limit < top) {
    const y = HIGH - (limit / top) * HIGH;
    drawn.append(svg("path", { class: "limit", d: `M0 ${y}H${PROBES * 10}` }));
  }
  const scale = element("p", { class: "scale" }, element("span", {}, milliseconds(top * 1000)), element("span", {}, "0"));
  const ends = [`${PROBES} probes ago`, "now"].map((words) => element("span", {}, words));
  return element("div", { class: "strip" }, scale, drawn, element("p", { class: "ends" }, ...ends));
}

function summary(probes) {
  const answered = probes.filter((rtt) => rtt !== null);
  const lost = probes.length - answered.length;
  if (!probes.length) return "No probe has come to an end yet.";
  const range = answered.length
    ? `, ${milliseconds(Math.min(...answered) * 1000)} to ${milliseconds(Math.max(...answered) * 1000)}`
    : "";
  return `Of the last ${probes.length} probes ${answered.length} were answered${range}, ${lost} lost.`;
}

function stripWords({ strip: probes, limits }) {
  const limit = milliseconds(limits.rtt_seconds * 1000);
  return element("p", { class: "words" }, `${summary(probes)} The limit is ${limit}; a crossed bar is a lost probe.`);
}

function over(value, limit, words) {
  return value !== null && value > limit ? element("span", { class: "value", "data-over": "true" }, words) : words;
}

function figures(found) {
  const ms = (seconds) => milliseconds(seconds === null ? null : seconds * 1000);
  const { rtt_seconds: rtt, packet_loss_ratio: loss, limits } = found;
  return [
    ["RTT, mean", over(rtt, limits.rtt_seconds, ms(rtt))],
    ["RTT, least", ms(found.rtt_min_seconds)],
    ["RTT, greatest", ms(found.rtt_max_seconds)],
    ["Jitter", ms(found.jitter_seconds)],
    ["Loss", over(loss, limits.packet_loss_ratio, percent(loss))],
    ["Limits", `${ms(limits.rtt_seconds)}, ${percent(limits.packet_loss_ratio)}`],
    ["Last reply", found.last_reply === null ? "never" : clock(found.last_reply)],
    ["TTL of replies", found.reply_ttl === null ? null : String(found.reply_ttl)],
  ];
}

function inventory(found) {
  const link = (href, words) => element("a", { href }, words);
  const place = found.latitude === null ? null : `${found.latitude}, ${found.longitude}`;
  return [
    ["Address", found.address],
    ["Host name", found.hostname],
    ["Site", found.site && link(`/?site=${encodeURIComponent(found.site)}`, found.site)],
    ["Region", found.region],
    ["Role", link(`/?role=${encodeURIComponent(found.role)}`, found.role)],
    ["Priority", String(found.priority)],
    ["Provider", found.provider],
    ["Reached through", found.parent && link(devicePath(found.parent), found.parent)],
    ["Vendor", found.vendor],
    ["Model", found.model],
    ["Place", place],
    ...Object.entries(found.labels),
    ["As JSON", link(`/api/v1/devices${devicePath(found.name).slice("/device".length)}`, "/api/v1/devices/…")],
  ];
}

function counters(found) {
  const counts = {
    "Probes sent": found.probes_sent,
    Replies: found.replies,
    "Late replies": found.late_replies,
    "Duplicate replies": found.duplicate_replies,
    "Changes of state": found.status_changes,
    "Changes of path": found.path_changes,
  };
  return Object.entries(counts).map(([name, count]) => [name, count.toLocaleString("en-GB")]);
}
