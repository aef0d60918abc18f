// The class vector as of one alert.

import { at, h } from "./dom.js";
import { fixed, utcOfText } from "./format.js";
import { classColour } from "./palette.js";

const REASONS = {
  solar_system: "it is a known body of the solar system",
  no_photometry: "its packet has no usable photometry",
  too_few_detections: "there are too few detections yet",
  outside_time_window: "it lies outside of the time the model looks at",
  low_real_bogus: "its real-bogus score is low",
  star: "it coincides with a star",
  no_model: "there is no model for its survey",
};

/** Say why an alert was not classified. */
export const reasonText = (reason) => REASONS[reason] ?? reason?.replaceAll("_", " ") ?? "";

/** Show an epoch; null where no alert of the object was classified. */
export function showClasses(epoch, { latestReason }) {
  at("bars").replaceChildren(...(epoch ? rows(epoch) : [h("p", { class: "dim" }, nothing(latestReason))]));
  at("class-time").textContent = epoch ? `as of ${utcOfText(epoch.utc)} UTC` : "";
  at("calibration").replaceChildren(...(epoch ? note(epoch) : []));
}

function rows(epoch) {
  const ordered = [...epoch.classifications].sort((a, b) => b.probability - a.probability);
  return ordered.map(({ class_name: name, class_id: id, probability, raw_probability: raw }) =>
    h(
      "div",
      { class: "class-row", title: `DESC taxonomy ${id ?? "unknown"}; before calibration ${fixed(raw, 3)}` },
      h("span", { class: "class-name" }, h("span", { class: "swatch", style: { background: classColour(name) } }), name ?? "unnamed"),
      h(
        "span",
        { class: "bar", "aria-hidden": "true" },
        h("i", { style: { width: `${100 * probability}%`, background: classColour(name) } }),
        h("span", { class: "raw", style: { left: `${100 * raw}%` } }),
      ),
      h("span", { class: "number" }, fixed(probability, 3)),
    ),
  );
}

function nothing(reason) {
  return reason ? `Not classified: ${reasonText(reason)}.` : "Not classified yet.";
}

function note(epoch) {
  const { name, version } = epoch.classifier ?? {};
  return [
    "Calibrated on light curves held out of training: of all alerts with 0.80 for a class, about 80 in 100 are of it, " +
      "as far as the sky is like the training set. The thin mark is the network's own value, before calibration. Model ",
    name ? h("a", { href: "/v1/models" }, `${name} ${version}`) : "no longer registered",
    `, ${epoch.n_detections} detections.`,
  ];
}
