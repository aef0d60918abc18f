// The light curve: detections, forced photometry and upper limits, as magnitudes or as fluxes.

import { makeChart } from "./charts.js";
import { choice, h, svg, toggle } from "./dom.js";
import { fixed, significant, utcOfText } from "./format.js";
import { bandColour, token } from "./palette.js";

const HEIGHT_PX = 400;
const LEAST_SIGMAS = 3; // fainter forced photometry is shown as a limit where magnitudes are
const LIMIT_SIGMAS = 5; // of the limits that the API gives
const AB_ZERO_POINT = 31.4; // of nJy, as the API has it
// Later layers are drawn on top: detections over ZTF's forced photometry of the same exposure.
const LAYERS = ["upper_limit", "forced", "detection"];
const KIND_NAMES = { detection: "Detection", forced: "Forced photometry", upper_limit: "Upper limit" };

export class LightCurve {
  /**
   * @param {HTMLElement} host
   * @param {HTMLElement} choices where its buttons go
   * @param {import("./charts.js").TimeSpan} span
   */
  constructor(host, choices, span, speak) {
    Object.assign(this, { host, choices, span, speak });
    this.rows = [];
    this.mode = "magnitude";
    this.hidden = new Set(); // bands, and kinds, that are not shown
    this.made = null;
    host.tabIndex = 0;
    host.setAttribute("role", "group");
    host.after(legend());
  }

  /** Show the observations of an object. */
  setRows(rows) {
    this.rows = rows;
    if (!this.isChosen) this.mode = mostlyNegative(rows) ? "flux" : "magnitude";
    const bands = [..."ugrizy"].filter((band) => rows.some((row) => row.band === band));
    this.choices.replaceChildren(...this.buttons(bands));
    const counts = Object.keys(KIND_NAMES).map((kind) => `${rows.filter((row) => row.kind === kind).length} ${kind}`);
    this.host.setAttribute("aria-label", `Light curve in ${bands.join(", ")}: ${counts.join(", ").replaceAll("_", " ")}`);
    this.draw();
  }

  /** Redraw in the chosen colours and scale. */
  draw() {
    this.made?.destroy();
    this.made = null;
    if (!this.rows.length) return;
    this.marks = this.rows.map((row) => mark(row, this.mode));
    const micro = this.mode === "flux" && Math.max(...this.marks.map((one) => Math.abs(one.y))) > 10_000;
    this.made = makeChart(this.host, this.span, {
      height: HEIGHT_PX,
      data: [this.rows.map((row) => row.mjd_tai), this.marks.map((one) => one.y)],
      series: [{ paths: () => null, points: { show: false } }],
      y: { dir: this.mode === "magnitude" ? -1 : 1, range: (chart) => this.heights(chart) },
      yAxis: {
        label: this.mode === "magnitude" ? "AB magnitude" : `Difference flux, ${micro ? "µJy" : "nJy"}`,
        values: (_, splits) => splits.map((value) => (value === null ? "" : fixedTick(micro ? value / 1000 : value))),
      },
      dates: true,
      times: false,
      draw: (chart) => this.paint(chart),
      points: () => this.shown().map((one) => ({ x: one.row.mjd_tai, y: one.y, text: describe(one) })),
      onpoint: (index) => index !== null && this.speak(describe(this.shown()[index]).join(", ")),
    });
  }

  buttons(bands) {
    const count = (band) => this.rows.filter((row) => row.band === band).length;
    const change = (name) => (shown) => {
      this.hidden[shown ? "delete" : "add"](name);
      this.made?.redraw();
    };
    const ofBand = (band) => [h("span", { class: "swatch", style: { background: bandColour(band) } }), `${band} ${count(band)}`];
    const kinds = ["forced", "upper_limit"].filter((kind) => this.rows.some((row) => row.kind === kind));
    return [
      choice("Scale", { magnitude: "Magnitude", flux: "Flux" }, this.mode, (mode) => {
        this.mode = mode;
        this.isChosen = true;
        this.draw();
      }),
      h("span", { class: "gap" }),
      ...bands.map((band) => toggle(ofBand(band), !this.hidden.has(band), change(band), { class: "band-choice", "aria-label": `Band ${band}, ${count(band)} observations` })),
      ...kinds.map((kind) => toggle(kind === "forced" ? "Forced" : "Limits", !this.hidden.has(kind), change(kind), { class: "band-choice" })),
    ];
  }

  shown() {
    return this.marks.filter(({ row }) => !this.hidden.has(row.band) && !this.hidden.has(row.kind));
  }

  layered() {
    return this.shown().sort((a, b) => LAYERS.indexOf(a.row.kind) - LAYERS.indexOf(b.row.kind));
  }

  /** The span of heights of what is shown between the times that are shown. */
  heights(chart) {
    const { min, max } = chart.scales.x;
    const within = this.shown().filter(({ row }) => row.mjd_tai >= min && row.mjd_tai <= max);
    const rows = within.length ? within : this.marks;
    // An error bar that is longer than all the rest must not squeeze the rest.
    const lows = rows.map((one) => one.y - Math.min(one.error ?? 0, Math.abs(one.y) || 1));
    const highs = rows.map((one) => one.y + Math.min(one.error ?? 0, Math.abs(one.y) || 1));
    const [low, high] = [Math.min(...lows), Math.max(...highs)];
    const padding = 0.06 * (high - low) || 0.5;
    return [low - padding, high + padding];
  }

  paint(chart) {
    const { ctx, bbox } = chart;
    const scale = devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    if (this.mode === "flux") zeroLine(chart);
    let plotted = 0;
    for (const one of this.layered()) {
      const x = chart.valToPos(one.row.mjd_tai, "x", true);
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.strokeStyle = ctx.fillStyle = bandColour(one.row.band);
      ctx.lineWidth = 1.3 * scale;
      paintError(chart, one, x);
      paintMark(ctx, one, x, chart.valToPos(one.y, "y", true), scale);
      plotted += 1;
    }
    ctx.restore();
    this.host.dataset.plotted = plotted;
  }
}

/** Where a row stands, and as what it is drawn: a point with its error, or a limit. */
function mark(row, mode) {
  const error = row.flux_err_njy;
  const isLimit = row.kind === "upper_limit";
  if (mode === "flux") {
    return isLimit ? { row, y: LIMIT_SIGMAS * (error ?? 0), limit: true } : { row, y: row.flux_njy ?? 0, error, limit: false };
  }
  const size = Math.abs(row.flux_njy ?? 0);
  const isFaint = size === 0 || (row.kind === "forced" && size < LEAST_SIGMAS * error);
  if (isLimit || isFaint) return { row, y: row.limiting_mag ?? 0, limit: true };
  // Fainter than in the reference image: shown by its size, and marked as such.
  const isNegative = row.flux_njy < 0;
  return { row, y: AB_ZERO_POINT - 2.5 * Math.log10(size), error: (2.5 / Math.LN10) * (error / size), isNegative };
}

/** Whether magnitudes would say little: an object that is fainter than it was in the reference image. */
function mostlyNegative(rows) {
  const detections = rows.filter((row) => row.kind === "detection");
  return detections.filter((row) => row.mag === null).length > detections.length / 2;
}

function describe({ row, y, limit, isNegative }) {
  const isMagnitude = row.mag !== null && row.kind !== "upper_limit";
  return [
    `${KIND_NAMES[row.kind]}, ${row.band}`,
    ...(isNegative ? [`fainter than the reference by ${fixed(y, 2)} mag`] : []),
    ...(isMagnitude ? [`${fixed(row.mag, 2)} ± ${fixed(row.mag_err, 2)} mag`] : []),
    ...(row.kind === "upper_limit" ? [] : [`${significant(row.flux_njy)} ± ${significant(row.flux_err_njy)} nJy`]),
    ...(limit && row.limiting_mag !== null ? [`limit ${fixed(row.limiting_mag, 2)} mag (5σ)`] : []),
    `MJD ${row.mjd_tai.toFixed(4)}`,
    `${utcOfText(row.utc)} UTC`,
  ];
}

function paintError(chart, one, x) {
  if (!one.error) return;
  const { ctx } = chart;
  ctx.beginPath();
  ctx.moveTo(x, chart.valToPos(one.y - one.error, "y", true));
  ctx.lineTo(x, chart.valToPos(one.y + one.error, "y", true));
  ctx.stroke();
}

function paintMark(ctx, one, x, y, scale) {
  ctx.beginPath();
  if (one.limit) {
    const size = (one.row.kind === "upper_limit" ? 4.2 : 3.2) * scale;
    ctx.moveTo(x - size, y - size / 2);
    ctx.lineTo(x + size, y - size / 2);
    ctx.lineTo(x, y + size);
    ctx.closePath();
    ctx.globalAlpha = 0.75;
    ctx.stroke();
    ctx.globalAlpha = 1;
  } else if (one.isNegative) {
    const size = 3.4 * scale;
    ctx.moveTo(x - size, y - size);
    ctx.lineTo(x + size, y - size);
    ctx.lineTo(x + size, y + size);
    ctx.lineTo(x - size, y + size);
    ctx.closePath();
    if (one.row.kind === "detection") ctx.fill();
    else ctx.stroke();
  } else if (one.row.kind === "detection") {
    ctx.arc(x, y, 4 * scale, 0, 2 * Math.PI);
    ctx.fill();
  } else {
    ctx.arc(x, y, 3.2 * scale, 0, 2 * Math.PI);
    ctx.fillStyle = token("card");
    ctx.fill();
    ctx.stroke();
  }
}

function zeroLine(chart) {
  const { ctx, bbox } = chart;
  const y = chart.valToPos(0, "y", true);
  ctx.strokeStyle = token("dim");
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.setLineDash([]);
}

const fixedTick = (value) => String(Number(value.toPrecision(6))).replace("-", "−");

function legend() {
  const symbol = (...shapes) => svg("svg", { width: 12, height: 12, viewBox: "0 0 12 12", "aria-hidden": "true" }, ...shapes);
  return h(
    "p",
    { class: "legend" },
    h("span", {}, symbol(svg("circle", { cx: 6, cy: 6, r: 4, class: "solid" })), "detection"),
    h("span", {}, symbol(svg("circle", { cx: 6, cy: 6, r: 3.5 })), "forced photometry"),
    h("span", {}, symbol(svg("path", { d: "M2.5 2.5 H9.5 V9.5 H2.5 Z" })), "negative, by its size"),
    h("span", {}, symbol(svg("path", { d: "M2 4 L10 4 L6 10 Z" })), `upper limit (5σ); for magnitudes also forced photometry within ${LEAST_SIGMAS}σ`),
  );
}
