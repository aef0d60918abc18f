// The table of candidates: one row per object, kept in order as results come in.

import { objectPage } from "./api.js";
import { h } from "./dom.js";
import { age, fixed, utcOfText } from "./format.js";
import { bandColour, classColour } from "./palette.js";

const SURVEYS = { ztf: "ZTF", lsst: "LSST", elasticc: "ELAsTiCC" };

/**
 * What each column sorts by; `descending` is the order in which one wants to see it first. By those with a
 * `server` name all objects are searched, the greatest first; by the others those shown are put in order.
 */
export const SORTS = {
  time: { of: (object) => object.last_alert_mjd_tai, descending: true, server: "-last_alert" },
  probability: { of: (object) => object.top_class_probability, descending: true, server: "-probability" },
  age: { of: (object) => object.age_days, descending: false },
  magnitude: { of: (object) => object.last_detection_mag, descending: false },
  detections: { of: (object) => object.n_detections, descending: true },
};

export class Candidates {
  constructor(table) {
    this.body = table.tBodies[0];
    this.rows = new Map(); // by qualified id: {summary, row}
    this.sort = "time";
    this.descending = true;
    this.base = "time"; // by which the objects shown were found
  }

  get size() {
    return this.rows.size;
  }

  clear() {
    this.rows.clear();
    this.body.replaceChildren();
  }

  /** Take over results; `fresh` ones are marked for a moment. */
  put(summaries, { fresh = false } = {}) {
    for (const summary of summaries) {
      const known = this.rows.get(summary.id);
      // Alerts may arrive in any order; the table shows an object as of its latest.
      if (known && fresh && known.summary.last_alert_mjd_tai > summary.last_alert_mjd_tai) continue;
      const row = rowOf(summary);
      if (fresh) row.classList.add("fresh");
      known?.row.replaceWith(row);
      this.rows.set(summary.id, { summary, row });
    }
  }

  /** Put the rows in order; beyond `most`, those that a search would find last are dropped. */
  arrange(most) {
    for (const { summary, row } of this.sorted(this.base, true).splice(most)) {
      this.rows.delete(summary.id);
      row.remove();
    }
    for (const [index, { row }] of this.sorted(this.sort, this.descending).entries()) {
      if (this.body.rows[index] !== row) this.body.insertBefore(row, this.body.rows[index] ?? null);
    }
  }

  sorted(name, descending) {
    const { of } = SORTS[name];
    const sign = descending ? -1 : 1;
    const value = (entry) => of(entry.summary) ?? (descending ? -Infinity : Infinity); // what is not known comes last
    return [...this.rows.values()].sort((a, b) => sign * (value(a) - value(b)) || 0);
  }

  /** Redraw all rows, in other colours. */
  redraw() {
    this.put([...this.rows.values()].map((entry) => entry.summary));
  }
}

function rowOf(object) {
  return h(
    "tr",
    { "data-object": object.id },
    h("th", { scope: "row" }, h("a", { href: objectPage(object.id) }, object.object_id), h("span", { class: "narrow" }, [SURVEYS[object.survey], ...(object.age_days === null ? [] : [`${age(object.age_days)} d`]), utcOfText(object.last_alert_utc).slice(0, 10)].join(" · "))),
    h("td", { class: "wide" }, SURVEYS[object.survey]),
    h("td", {}, className(object)),
    h("td", {}, probability(object)),
    h("td", { class: "number wide" }, age(object.age_days)),
    h("td", { class: "number" }, ...magnitude(object)),
    h("td", { class: "number wide" }, String(object.n_detections)),
    h("td", { class: "wide" }, utcOfText(object.last_alert_utc)),
  );
}

function className(object) {
  if (!object.top_class) return h("span", { class: "dim" }, object.last_alert_status === "abstained" ? "not classified" : "");
  return h("span", { class: "class-name" }, h("span", { class: "swatch", style: { background: classColour(object.top_class) } }), object.top_class);
}

function probability(object) {
  const value = object.top_class_probability;
  if (value === null || value === undefined) return "";
  return h(
    "span",
    { class: "probability" },
    h("span", {}, fixed(value, 2)),
    h("span", { class: "bar", "aria-hidden": "true" }, h("i", { style: { width: `${100 * value}%`, background: classColour(object.top_class) } })),
  );
}

function magnitude(object) {
  const { last_detection_mag: mag, last_detection_band: band } = object;
  if (mag === null || mag === undefined) return [];
  return [fixed(mag, 2), " ", h("span", { class: "band", style: { color: bandColour(band) } }, band)];
}
