// Numbers, times and states as words, and the one way to make an element.

export const STATES = ["down", "flapping", "suppressed", "unknown", "up"];

const REASONS = {
  timeout: "no reply",
  dns: "name not found",
  host_unreachable: "host unreachable",
  net_unreachable: "network unreachable",
  admin_prohibited: "prohibited by a filter",
  ttl_exceeded: "TTL exceeded",
  send_error: "cannot send",
};
const WHY = {
  shadowed: "what it is reached through is down",
  mass_outage: "more than half of all devices are down",
  maintenance: "in maintenance",
  flapping: "it has changed too often of late",
};

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// Writing the same text again costs a layout.
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function mark(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

export function hide(node, hidden) {
  if (node.hidden !== hidden) node.hidden = hidden;
}

// Puts `rows` into `list` in this order, and takes out all others. What has the keyboard keeps it; from a row that
// goes it passes to the one that takes its place.
export function arrange(list, rows) {
  const focused = list.contains(document.activeElement) ? document.activeElement : null;
  const place = [...list.children].findIndex((row) => row.contains(focused));
  const staying = new Set(rows);
  for (const row of [...list.children]) if (!staying.has(row)) row.remove();
  rows.forEach((row, number) => {
    if (list.children[number] !== row) list.insertBefore(row, list.children[number] ?? null);
  });
  if (!focused || document.activeElement === focused) return;
  const heir = list.contains(focused) ? focused : rows[Math.min(place, rows.length - 1)]?.querySelector("a");
  (heir ?? document.getElementById("main")).focus({ preventScroll: true });
}

export function reasonText(reason) {
  return REASONS[reason] ?? reason.replaceAll("_", " ");
}

export function whyText(reason) {
  return WHY[reason] ?? reason;
}

export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  const days = Math.floor(hours / 24);
  return hours % 24 ? `${days} d ${hours % 24} h` : `${days} d`;
}

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

export function clock(at) {
  const date = new Date(at * 1000);
  const today = date.toDateString() === new Date().toDateString();
  return today ? CLOCK.format(date) : `${DAY.format(date)} ${CLOCK.format(date)}`;
}

export function milliseconds(rtt) {
  if (rtt === null || rtt === undefined) return "–";
  if (rtt < 0.0995) return `${Math.round(rtt * 1000)} µs`;
  return `${rtt < 0.995 ? rtt.toFixed(2) : rtt < 9.95 ? rtt.toFixed(1) : Math.round(rtt)} ms`;
}

export function percent(ratio) {
  if (ratio === null || ratio === undefined) return "–";
  const hundred = ratio * 100;
  return `${hundred >= 9.95 ? Math.round(hundred) : Number(hundred.toFixed(1))} %`;
}

export function devicePath(name) {
  return `/device/${name.split("/").map(encodeURIComponent).join("/")}`;
}
