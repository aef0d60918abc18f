// What is known of an object, as a list.

import { h } from "./dom.js";
import { age, fixed, utcOfText } from "./format.js";

/** Describe an object's observations. */
export function factsOf(summary, rows) {
  const brightest = rows
    .filter((row) => row.kind === "detection" && row.mag !== null)
    .reduce((best, row) => (best === null || row.mag < best.mag ? row : best), null);
  const facts = {
    Detections: String(summary.n_detections),
    "Forced photometry": String(summary.n_forced),
    "Upper limits": String(summary.n_upper_limits),
    Bands: summary.bands.join(" "),
    "First detection": utcOfText(summary.first_detection_utc).slice(0, 16),
    "Last detection": utcOfText(summary.last_detection_utc).slice(0, 16),
    Age: summary.age_days === null ? "" : `${age(summary.age_days)} d`,
    Brightest: brightest ? `${fixed(brightest.mag, 2)} ± ${fixed(brightest.mag_err, 2)} ${brightest.band}` : "",
    "Host redshift": summary.redshift === null ? "" : `${fixed(summary.redshift, 4)}${summary.redshift_err ? ` ± ${fixed(summary.redshift_err, 4)}` : ""}`,
    "E(B−V)": fixed(summary.mwebv, 3),
  };
  return Object.entries(facts)
    .filter(([, value]) => value)
    .flatMap(([term, value]) => [h("dt", {}, term), h("dd", {}, value)]);
}
