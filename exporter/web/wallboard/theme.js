// Before the first paint, so a plain script and not a module.
"use strict";
(() => {
  const KEY = "ward-theme";
  const NEXT = { auto: "dark", dark: "light", light: "auto" };
  const root = document.documentElement;
  const read = () => {
    try {
      return localStorage.getItem(KEY) ?? "auto";
    } catch {
      return "auto"; // a browser that keeps nothing for a page
    }
  };
  root.dataset.theme = read() in NEXT ? read() : "auto";
  addEventListener("ward-theme", () => {
    root.dataset.theme = NEXT[root.dataset.theme];
    try {
      localStorage.setItem(KEY, root.dataset.theme);
    } catch {
      // It holds until the page is loaded again.
    }
  });
})();
