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
  time: { of: (one) => one.last_mjd_tai, descending: true, server: "-last_alert" },
  probability: { of: (one) => one.best_probability, descending: true, server: "-probability" },
  age: { of: (one) => one.age_days, descending: false },
  magnitude: { of: (one) => one.magnitude, descending: false },
  detections: { of: (one) => one.n_detections, descending: true },
};

export class Candidates {
  constructor(table) {
    this.body = table.tBodies[0];
    this.rows = new Map(); // by object id: {summary, row}
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
      const known = this.rows.get(summary.object_id);
      // Alerts may arrive in any order; the table shows an object as of its latest.
      if (known && fresh && known.summary.last_mjd_tai > summary.last_mjd_tai) continue;
      const row = rowOf(summary);
      if (fresh) row.classList.add("fresh");
      known?.row.replaceWith(row);
      this.rows.set(summary.object_id, { summary, row });
    }
  }

  /** Put the rows in order; beyond `most`, those that a search would find last are dropped. */
  arrange(most) {
    for (const { summary, row } of this.sorted(this.base, true).splice(most)) {
      this.rows.delete(summary.object_id);
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

  /** Draw all rows anew, in other colours. */
  redraw() {
    this.put([...this.rows.values()].map((entry) => entry.summary));
  }
}

function rowOf(one) {
  const name = one.object_id.replace(/^[a-z]+:/, "");
  return h(
    "tr",
    { "data-object": one.object_id },
    h("th", { scope: "row" }, h("a", { href: objectPage(one.object_id) }, name), h("span", { class: "narrow" }, [SURVEYS[one.survey], ...(one.age_days === null ? [] : [`${age(one.age_days)} d`]), utcOfText(one.last_time).slice(0, 10)].join(" · "))),
    h("td", { class: "wide" }, SURVEYS[one.survey]),
    h("td", {}, className(one)),
    h("td", {}, probability(one)),
    h("td", { class: "number wide" }, age(one.age_days)),
    h("td", { class: "number" }, ...magnitude(one)),
    h("td", { class: "number wide" }, String(one.n_detections)),
    h("td", { class: "wide" }, utcOfText(one.last_time)),
  );
}

function className(one) {
  if (!one.best_class) return h("span", { class: "dim" }, one.status === "abstained" ? "not classified" : "");
  return h("span", { class: "class-name" }, h("span", { class: "swatch", style: { background: classColour(one.best_class) } }), one.best_class);
}

function probability(one) {
  const value = one.best_probability;
  if (value === null || value === undefined) return "";
  return h(
    "span",
    { class: "probability" },
    h("span", {}, fixed(value, 2)),
    h("span", { class: "bar", "aria-hidden": "true" }, h("i", { style: { width: `${100 * value}%`, background: classColour(one.best_class) } })),
  );
}

function magnitude(one) {
  if (one.magnitude === null || one.magnitude === undefined) return [];
  return [fixed(one.magnitude, 2), " ", h("span", { class: "band", style: { color: bandColour(one.band) } }, one.band)];
}
