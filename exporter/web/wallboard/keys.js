// The keyboard. Among the devices one is reached by Tab, the others from there by the arrows.

import { STATES } from "./text.js";

export class Keys {
  constructor(sites, { filters, isDevicePage, toBoard, help }) {
    this.sites = sites;
    this.filters = filters;
    this.help = help;
    this.isDevicePage = isDevicePage;
    this.toBoard = toBoard;
    this.current = null;
    sites.addEventListener("focusin", (event) => {
      const link = event.target.closest("a.device");
      if (link) this.#reach(link);
    });
    document.addEventListener("keydown", (event) => this.#press(event));
  }

  // After what is shown has changed: some device must be within reach of Tab.
  settle() {
    // A device's page leads back to where one was.
    if (this.isDevicePage() || (this.current?.isConnected && !this.current.closest("[hidden]"))) return;
    const first = this.#visible()[0];
    if (first) this.#reach(first);
  }

  #reach(link) {
    if (this.current) this.current.tabIndex = -1;
    this.current = link;
    link.tabIndex = 0;
  }

  #visible() {
    return [...this.sites.querySelectorAll(".site:not([hidden]) li:not([hidden]) > a.device")];
  }

  #press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || this.help.open) return;
    const typing = event.target.closest("input, select, textarea");
    if (event.key === "Escape") this.#escape(typing);
    else if (typing || !this.#act(event.key)) return;
    event.preventDefault();
  }

  #escape(typing) {
    if (typing) {
      typing.blur();
      this.current?.focus();
    } else if (this.isDevicePage()) {
      this.toBoard();
    }
  }

  #act(key) {
    if (key === "t") dispatchEvent(new Event("ward-theme"));
    else if (key === "?") this.help.showModal();
    else if (this.isDevicePage()) return false;
    else if (key === "/") this.filters.inputs.q.focus();
    else if (key === "v") this.filters.toggleView();
    else if (key === "0") this.filters.clear();
    else if (key >= "1" && key <= "5") this.filters.toggleState(STATES[key - 1]);
    else return this.#move(key);
    return true;
  }

  #move(key) {
    const within = document.activeElement?.closest("a.device");
    const steps = { ArrowLeft: -1, ArrowRight: 1, j: 1, k: -1 };
    if (key in steps) {
      const links = this.#visible();
      const at = within ? links.indexOf(within) + steps[key] : links.indexOf(this.current);
      this.#focus(links[at]);
      return true;
    }
    if ((key === "ArrowUp" || key === "ArrowDown") && within) {
      const sites = [...this.sites.querySelectorAll(".site:not([hidden])")];
      const next = sites[sites.indexOf(within.closest(".site")) + (key === "ArrowUp" ? -1 : 1)];
      this.#focus(next?.querySelector("li:not([hidden]) > a.device"));
      return true;
    }
    return false;
  }

  #focus(link) {
    link?.focus();
    link?.scrollIntoView({ block: "nearest" });
  }
}
