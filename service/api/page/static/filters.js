// The filters: a form, the address of the page, and the query of the API say the same.

import { at } from "./dom.js";
import { parsePosition } from "./format.js";

const DEFAULT_RADIUS_ARCSEC = 60;
const PLAIN = ["survey", "class", "min_detections", "max_mag"];
const DAYS = ["since", "until"];

/** What the form says. */
export class Filters {
  /** `onchange` is called when a person changed something that can be searched for. */
  constructor(onchange) {
    this.form = at("filters");
    this.onchange = onchange;
    this.fields = this.form.elements;
    const wide = matchMedia("(min-width: 46.01rem)");
    at("filter-box").open = wide.matches;
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", () => this.changed(250));
    this.form.addEventListener("change", () => this.changed(0));
    this.form.addEventListener("reset", () => setTimeout(() => this.changed(0)));
  }

  changed(delayMs) {
    this.describe();
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.check() && this.onchange(), delayMs);
  }

  /** Offer the classes of all models. */
  setClasses(names) {
    const chosen = this.fields.class.value || this.wantedClass;
    for (const name of names) this.fields.class.add(new Option(name, name));
    if (chosen) this.fields.class.value = chosen;
  }

  /** Take over what the page's address asks for. */
  read(query) {
    for (const name of PLAIN) this.fields[name].value = query.get(name) ?? "";
    // The names of classes come later than the page.
    this.wantedClass = query.get("class");
    if (this.wantedClass && !this.fields.class.value) {
      this.fields.class.add(new Option(this.wantedClass, this.wantedClass));
      this.fields.class.value = this.wantedClass;
    }
    this.fields.min_probability.value = query.get("min_probability") ?? 0;
    for (const name of DAYS) this.fields[name].value = (query.get(name) ?? "").slice(0, 10);
    this.fields.position.value = query.has("ra") ? `${query.get("ra")} ${query.get("dec")}` : "";
    this.fields.radius_arcsec.value = query.get("radius_arcsec") ?? "";
    this.describe();
    this.check();
  }

  /** The same as a query, of what is set only. */
  query() {
    const query = new URLSearchParams();
    for (const name of PLAIN) if (this.fields[name].value) query.set(name, this.fields[name].value);
    if (Number(this.fields.min_probability.value) > 0) query.set("min_probability", this.fields.min_probability.value);
    if (this.fields.since.value) query.set("since", `${this.fields.since.value}T00:00:00Z`);
    if (this.fields.until.value) query.set("until", `${this.fields.until.value}T23:59:59.999Z`);
    const position = parsePosition(this.fields.position.value);
    if (position) {
      query.set("ra", position.ra);
      query.set("dec", position.dec);
      query.set("radius_arcsec", this.fields.radius_arcsec.value || DEFAULT_RADIUS_ARCSEC);
    }
    return query;
  }

  /** Say what cannot be searched for. */
  check() {
    const { position, radius_arcsec: radius, min_detections: detections, max_mag: magnitude } = this.fields;
    const isWrong = position.value.trim() && !parsePosition(position.value);
    const faults = [
      isWrong && "The position is not one: write RA and Dec in degrees, or as h m s and ° ′ ″.",
      !radius.validity.valid && "The radius is between 0.1 and 36000 arcsec.",
      !detections.validity.valid && "The number of detections is a whole number from 1 on.",
      !magnitude.validity.valid && "The magnitude is a number.",
    ].filter(Boolean);
    position.setAttribute("aria-invalid", Boolean(isWrong));
    at("filter-fault").textContent = faults.join(" ");
    return faults.length === 0;
  }

  /** Show another fault: the API's own. */
  fault(text) {
    at("filter-fault").textContent = text;
  }

  describe() {
    const { min_probability: range } = this.fields;
    const value = Number(range.value);
    range.nextElementSibling.textContent = value ? value.toFixed(2) : "any";
    const count = new Set([...this.query().keys()].map((name) => (/^(ra|dec|radius_arcsec)$/.test(name) ? "position" : name))).size;
    at("filter-count").textContent = count ? `· ${count} set` : "";
  }
}
