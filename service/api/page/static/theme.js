// Runs before anything is drawn, so that no page flashes in the wrong colours; therefore not a module.
"use strict";
{
  const NAMES = { auto: "as the system has them", light: "light", dark: "dark" };
  const ORDER = ["auto", "light", "dark"];
  const root = document.documentElement;

  const chosen = () => {
    try {
      const name = localStorage.getItem("nightjar-theme");
      return ORDER.includes(name) ? name : "auto";
    } catch {
      return "auto"; // a browser may forbid storage
    }
  };

  const apply = (name) => {
    if (name === "auto") delete root.dataset.theme;
    else root.dataset.theme = name;
    document.getElementById("theme")?.setAttribute("aria-label", `Colours: ${NAMES[name]}`);
    document.dispatchEvent(new Event("nightjar-theme"));
  };

  apply(chosen());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => apply(chosen()));
  document.addEventListener("DOMContentLoaded", () => {
    apply(chosen());
    document.getElementById("theme").addEventListener("click", () => {
      const next = ORDER[(ORDER.indexOf(chosen()) + 1) % ORDER.length];
      try {
        localStorage.setItem("nightjar-theme", next);
      } catch {
        // The choice then lasts as long as the page.
      }
      apply(next);
    });
  });
}
