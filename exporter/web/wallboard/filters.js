// What is chosen to be seen; it lives in the address of the page, so that it can be kept and passed on.

import { STATES, element } from "./text.js";

const NAMES = ["q", "site", "role", "view"];

export class Filters {
  constructor(onChange) {
    this.onChange = onChange;
    this.values = { q: "", site: "", role: "", view: "" };
    this.states = new Set();
    this.inputs = Object.fromEntries(NAMES.map((name) => [name, document.getElementById(name)]));
    for (const [name, input] of Object.entries(this.inputs)) {
      input.addEventListener(name === "q" ? "input" : "change", () => {
        this.values[name] = name === "q" ? input.value.trim() : input.value;
        this.#changed(name !== "q");
      });
    }
    document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
    for (const id of ["clear", "clear-too"]) document.getElementById(id).addEventListener("click", () => this.clear());
    this.read();
  }

  // From the address.
  read() {
    const query = new URLSearchParams(location.search);
    for (const name of NAMES) this.values[name] = query.get(name) ?? "";
    this.states = new Set((query.get("state") ?? "").split(",").filter((state) => STATES.includes(state)));
    this.show();
  }

  // In the form. A site that the inventory does not have stays in the address, and nothing fits it.
  show() {
    for (const [name, input] of Object.entries(this.inputs)) {
      if (document.activeElement !== input) input.value = this.values[name];
    }
  }

  offer(sites, roles) {
    for (const [name, options] of [["site", sites], ["role", roles]]) {
      const made = options.map((option) => element("option", { value: option }, option));
      this.inputs[name].replaceChildren(element("option", { value: "" }, "all"), ...made);
    }
    this.show();
  }

  get address() {
    const query = new URLSearchParams();
    for (const name of NAMES) if (this.values[name]) query.set(name, this.values[name]);
    if (this.states.size) query.set("state", STATES.filter((state) => this.states.has(state)).join(","));
    const text = query.toString().replaceAll("%2C", ",");
    return text ? `/?${text}` : "/";
  }

  get narrow() {
    const { q, site, role } = this.values;
    return Boolean(q || site || role || this.states.size);
  }

  toggleState(state) {
    if (!this.states.delete(state)) this.states.add(state);
    this.#changed(true);
  }

  toggleView() {
    this.values.view = this.values.view === "detail" ? "" : "detail";
    this.show();
    this.#changed(true);
  }

  clear() {
    for (const name of ["q", "site", "role"]) {
      this.values[name] = "";
      this.inputs[name].value = "";
    }
    this.states.clear();
    this.#changed(true);
  }

  fits(device) {
    return this.fitsButState(device) && (!this.states.size || this.states.has(device.state));
  }

  fitsButState(device) {
    const { q, site, role } = this.values;
    if (site && device.site !== site) return false;
    if (role && device.role !== role) return false;
    return !q || q.toLowerCase().split(/\s+/).every((word) => device.words.includes(word));
  }

  #changed(step) {
    history[step ? "pushState" : "replaceState"](null, "", this.address);
    this.onChange();
  }
}
