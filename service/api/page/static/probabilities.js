// How the class probabilities went from alert to alert, on the time axis of the light curve.

import { makeChart } from "./charts.js";
import { h, toggle } from "./dom.js";
import { fixed, utcOfText } from "./format.js";
import { classColour, token } from "./palette.js";

const uPlot = globalThis.uPlot;

const HEIGHT_PX = 290;
const TOLD_CLASSES = 3;

export class Probabilities {
  /** `onepoch` is told the epoch that is pointed at, or null. */
  constructor(host, choices, span, speak, onepoch) {
    Object.assign(this, { host, choices, span, speak, onepoch });
    this.epochs = [];
    this.hidden = new Set();
    this.raw = false;
    this.made = null;
    host.tabIndex = 0;
    host.setAttribute("role", "group");
  }

  /** Show the epochs of an object, by time, abstentions among them. */
  setEpochs(epochs) {
    this.epochs = epochs.filter((epoch) => epoch.classifications.length);
    this.abstained = epochs.filter((epoch) => !epoch.classifications.length);
    this.classes = ranked(this.epochs);
    this.choices.replaceChildren(...this.buttons());
    this.host.setAttribute("aria-label", `Class probabilities as of ${this.epochs.length} alerts, latest ${summary(this.epochs.at(-1))}`);
    this.draw();
  }

  draw() {
    this.made?.destroy();
    this.made = null;
    if (!this.epochs.length) {
      this.host.replaceChildren(h("p", { class: "dim" }, "No alert of this object was classified."));
      return;
    }
    this.host.querySelector("p")?.remove();
    const shown = this.classes.filter((name) => !this.hidden.has(name));
    const kinds = this.raw ? ["probability", "raw_probability"] : ["probability"];
    this.made = makeChart(this.host, this.span, {
      height: HEIGHT_PX,
      data: [this.epochs.map((epoch) => epoch.mjd_tai), ...kinds.flatMap((kind) => shown.map((name) => this.column(name, kind)))],
      series: kinds.flatMap((kind) => shown.map((name) => line(name, kind))),
      y: { range: () => [-0.02, 1.02] },
      yAxis: { label: "Probability", splits: () => [0, 0.2, 0.4, 0.6, 0.8, 1], values: (_, splits) => splits.map((value) => value.toFixed(1)) },
      dates: false,
      times: true,
      draw: (chart) => this.paint(chart),
      points: () => this.epochs.map((epoch) => ({ x: epoch.mjd_tai, y: null, text: describe(epoch) })),
      onpoint: (index) => {
        const epoch = index === null ? null : this.epochs[index];
        if (epoch) this.speak(describe(epoch).join(", "));
        this.onepoch(epoch);
      },
    });
    this.host.dataset.epochs = this.epochs.length;
  }

  column(name, kind) {
    return this.epochs.map((epoch) => epoch.classifications.find((one) => one.class_name === name)?.[kind] ?? null);
  }

  buttons() {
    const ofClass = (name) => [h("span", { class: "swatch", style: { background: classColour(name) } }), name ?? "unnamed"];
    const classes = this.classes.map((name) =>
      toggle(ofClass(name), !this.hidden.has(name), (shown) => {
        this.hidden[shown ? "delete" : "add"](name);
        this.draw();
      }, { class: "class-choice" }),
    );
    const raw = toggle("Raw", this.raw, (shown) => {
      this.raw = shown;
      this.draw();
    }, { title: "Dashed: as the network gave them, before calibration" });
    return classes.length ? [...classes, h("span", { class: "gap" }), raw] : [];
  }

  /** Mark alerts that were not classified, and changes of the model. */
  paint(chart) {
    const { ctx, bbox } = chart;
    ctx.save();
    ctx.lineWidth = devicePixelRatio;
    ctx.strokeStyle = token("dim");
    const vertical = (mjd, height, dash) => {
      const x = chart.valToPos(mjd, "x", true);
      if (x < bbox.left || x > bbox.left + bbox.width) return;
      ctx.setLineDash(dash);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top + bbox.height);
      ctx.lineTo(x, bbox.top + bbox.height - height);
      ctx.stroke();
    };
    for (const epoch of this.abstained) vertical(epoch.mjd_tai, 8 * devicePixelRatio, []);
    const dash = [2 * devicePixelRatio, 4 * devicePixelRatio];
    for (const [index, epoch] of this.epochs.entries()) {
      const before = this.epochs[index - 1];
      if (before && before.classifier?.digest !== epoch.classifier?.digest) vertical(epoch.mjd_tai, bbox.height, dash);
    }
    ctx.restore();
  }
}

/** The classes of all epochs, those that are or were most probable first. */
function ranked(epochs) {
  const latest = new Map();
  for (const epoch of epochs) for (const one of epoch.classifications) latest.set(one.class_name, one.probability);
  return [...latest.keys()].sort((a, b) => latest.get(b) - latest.get(a));
}

function line(name, kind) {
  const isRaw = kind === "raw_probability";
  const colour = classColour(name);
  return {
    stroke: colour,
    width: isRaw ? 1 : 2,
    dash: isRaw ? [4, 4] : undefined,
    alpha: isRaw ? 0.8 : 1,
    // What is known after an alert holds until the next.
    paths: uPlot.paths.stepped({ align: 1 }),
    points: { show: !isRaw, size: 6, stroke: colour, fill: colour },
  };
}

const best = (epoch) => [...epoch.classifications].sort((a, b) => b.probability - a.probability);
const summary = (epoch) => (epoch ? `${best(epoch)[0].class_name} ${fixed(best(epoch)[0].probability, 2)}` : "none");

function describe(epoch) {
  return [
    ...best(epoch).slice(0, TOLD_CLASSES).map((one) => `${one.class_name} ${fixed(one.probability, 2)}`),
    `${epoch.n_detections} detections`,
    `${utcOfText(epoch.utc)} UTC`,
  ];
}
