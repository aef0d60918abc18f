// The alerts of an object, the latest first.

import { at, h } from "./dom.js";
import { fixed, utcOfText } from "./format.js";
import { reasonText } from "./classbars.js";
import { classColour } from "./palette.js";

/** List epochs; `onchoose` is told the one that a person wants to see. */
export function showAlerts(history, onchoose) {
  const epochs = [...history.epochs].reverse();
  at("alerts-note").textContent = note(history);
  const heads = ["Time, UTC", "MJD (TAI)", "Alert", "Detections", "Result", "Probability", "Model", "Processed, UTC"];
  const body = h("tbody", {}, ...epochs.map((epoch) => row(epoch, onchoose)));
  at("alerts").replaceChildren(
    h("table", { class: "alerts" }, h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col" }, head)))), body),
  );
}

/** Mark the alert that the charts point at. */
export function markAlert(epoch) {
  for (const marked of document.querySelectorAll("#alerts tr[aria-current]")) marked.removeAttribute("aria-current");
  if (epoch) document.querySelector(`#alerts tr[data-alert="${epoch.alert_id}"]`)?.setAttribute("aria-current", "true");
}

function row(epoch, onchoose) {
  const isClassified = epoch.status === "classified";
  const name = epoch.top_class ?? "";
  const result = isClassified
    ? h("span", { class: "class-name" }, h("span", { class: "swatch", style: { background: classColour(name) } }), name)
    : h("span", { class: "dim" }, `not classified: ${reasonText(epoch.reason)}`);
  return h(
    "tr",
    { "data-alert": epoch.alert_id, onpointerenter: () => onchoose(epoch), onpointerleave: () => onchoose(null) },
    h("td", {}, utcOfText(epoch.utc)),
    h("td", {}, epoch.mjd_tai.toFixed(5)),
    h("td", { class: "mono" }, String(epoch.alert_id)),
    h("td", {}, String(epoch.n_detections)),
    h("td", {}, result),
    h("td", {}, isClassified ? fixed(epoch.top_class_probability, 3) : ""),
    h("td", {}, epoch.classifier ? `${epoch.classifier.name} ${epoch.classifier.version}` : ""),
    h("td", {}, utcOfText(epoch.classified_utc)),
  );
}

function note({ n_epochs: count, history_limit: limit }) {
  return count < limit ? `${count}` : `the last ${count}; no more are kept of an object`;
}
