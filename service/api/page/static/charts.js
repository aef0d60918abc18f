// What both charts of an object share: axes, colours, one span of time, a pointer and the keyboard.

import { h } from "./dom.js";
import { dateOfMjd } from "./format.js";
import { token } from "./palette.js";

const uPlot = globalThis.uPlot;

const DAYS = [1 / 96, 1 / 48, 1 / 24, 1 / 12, 1 / 8, 1 / 4, 1 / 2, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];
const LEFT_AXIS_PX = 58; // the same in both charts, so that a time stands above itself
const RIGHT_PX = 12;
const REACH_PX = 36; // a point this near to the pointer is meant
const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Charts over the same time: each shows the stretch that any of them was set to. */
export class TimeSpan {
  constructor() {
    this.charts = new Set();
    this.full = [0, 1];
    this.shown = null;
  }

  /** Say from when to when there is anything; what a person chose to see stays. */
  setFull(first, last) {
    const padding = Math.max(0.5, 0.03 * (last - first));
    this.full = [first - padding, last + padding];
    this.show(this.shown);
  }

  /** Show a stretch, null for all. */
  show(stretch) {
    this.shown = stretch;
    const [min, max] = stretch ?? this.full;
    for (const chart of this.charts) {
      const { x } = chart.scales;
      if (x.min !== min || x.max !== max) chart.setScale("x", { min, max });
    }
  }
}

/**
 * Make a chart.
 * @param {HTMLElement} host where it goes; its name for screen readers is its aria-label.
 * @param {TimeSpan} span
 * @param {object} options
 *   height, data, series, y (a scale), yAxis, dates (dates above), times (MJD below), draw(chart),
 *   points(): {x, y, text: string[]}[] that the pointer and the keyboard find, y as null for any height,
 *   onpoint(index or null).
 */
export function makeChart(host, span, options) {
  const chart = new uPlot(
    {
      width: Math.max(host.clientWidth, 240),
      height: options.height,
      padding: [options.dates ? 0 : 8, RIGHT_PX, options.times ? 0 : 8, 0],
      legend: { show: false },
      cursor: {
        y: false,
        points: { show: false },
        drag: { x: true, y: false, dist: 6 },
        sync: { key: "object", setSeries: false },
        bind: { dblclick: () => () => span.show(null) },
      },
      scales: { x: { time: false, auto: false, range: (_, min, max) => [min, max] }, y: options.y },
      series: [{}, ...options.series],
      axes: axes(options),
      hooks: {
        draw: [options.draw],
        setScale: [(made, key) => key === "x" && span.charts.has(made) && noteZoom(made, span)],
      },
    },
    options.data,
    host,
  );
  chart.root.setAttribute("aria-hidden", "true"); // its name and its points are told by the host
  span.charts.add(chart);
  span.show(span.shown);
  const detach = installPointer(host, chart, options);
  const observer = new ResizeObserver(() => {
    const width = Math.max(host.clientWidth, 240);
    if (width !== chart.width) chart.setSize({ width, height: options.height });
  });
  observer.observe(host);
  return {
    chart,
    redraw: () => {
      chart.redraw(false, true);
      span.show(span.shown);
    },
    destroy() {
      observer.disconnect();
      detach();
      span.charts.delete(chart);
      chart.destroy();
    },
  };
}

function noteZoom(chart, span) {
  const { min, max } = chart.scales.x;
  const [first, last] = span.full;
  span.show(min === first && max === last ? null : [min, max]);
}

function axes({ yAxis, dates, times }) {
  const common = { stroke: token("dim"), font: FONT, grid: { stroke: token("grid"), width: 1 }, ticks: { stroke: token("line"), size: 5 } };
  const mjd = {
    ...common,
    incrs: DAYS,
    space: 64,
    size: times ? 26 : 10,
    label: times ? "MJD (TAI)" : null,
    labelFont: FONT,
    labelSize: 16,
    labelGap: 0,
    values: (_, splits) => splits.map((value) => (times ? String(Number(value.toFixed(3))) : "")),
  };
  const date = {
    ...common,
    scale: "x",
    side: 0,
    incrs: DAYS,
    space: 84,
    size: 26,
    grid: { show: false },
    values: (_, splits, _axis, _space, step) => splits.map((value) => dateText(value, step)),
  };
  return [mjd, { ...common, size: LEFT_AXIS_PX, labelFont: FONT, labelSize: 18, labelGap: 0, ...yAxis }, ...(dates ? [date] : [])];
}

function dateText(mjd, step) {
  const date = dateOfMjd(mjd + 0.5 / 1440);
  const day = `${MONTHS[date.getUTCMonth()]} ${date.getUTCDate()}`;
  if (step >= 100) return `${date.getUTCFullYear()} ${MONTHS[date.getUTCMonth()]}`;
  return step >= 1 ? day : `${day} ${date.toISOString().slice(11, 16)}`;
}

/** Find points by pointer and by keyboard, and tell about them in a small box. */
function installPointer(host, chart, { points, onpoint }) {
  const tip = h("div", { class: "tip", hidden: true });
  host.append(tip);
  let current = null;

  const show = (index) => {
    if (index === current) return;
    current = index;
    tip.hidden = index === null;
    if (index !== null) place(tip, host, chart, points()[index]);
    onpoint(index);
  };
  const onMove = (event) => {
    const box = chart.over.getBoundingClientRect();
    show(nearest(chart, points(), event.clientX - box.left, event.clientY - box.top));
  };
  const onLeave = () => show(null);
  const onKey = (event) => {
    const shown = points();
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === "Escape") show(null);
    if (!step || !shown.length) return;
    event.preventDefault();
    const from = current ?? (step > 0 ? -1 : shown.length);
    show(Math.min(Math.max(from + step, 0), shown.length - 1));
  };
  chart.over.addEventListener("pointermove", onMove);
  chart.over.addEventListener("pointerdown", onMove);
  chart.over.addEventListener("pointerleave", onLeave);
  host.addEventListener("keydown", onKey);
  host.addEventListener("blur", onLeave);
  return () => {
    host.removeEventListener("keydown", onKey);
    host.removeEventListener("blur", onLeave);
    tip.remove();
  };
}

function nearest(chart, points, left, top) {
  let best = null;
  let least = REACH_PX ** 2;
  for (const [index, point] of points.entries()) {
    const dx = chart.valToPos(point.x, "x") - left;
    const dy = point.y === null ? 0 : chart.valToPos(point.y, "y") - top;
    const distance = dx * dx + dy * dy;
    if (distance <= least) [best, least] = [index, distance];
  }
  return best;
}

function place(tip, host, chart, point) {
  const [first, ...others] = point.text;
  tip.replaceChildren(h("b", {}, first), ...others.flatMap((line) => [h("br"), line]));
  const over = chart.over.getBoundingClientRect();
  const box = host.getBoundingClientRect();
  const x = over.left - box.left + chart.valToPos(point.x, "x");
  const y = over.top - box.top + (point.y === null ? 0 : chart.valToPos(point.y, "y"));
  const left = x + 14 + tip.offsetWidth > box.width ? x - 14 - tip.offsetWidth : x + 14;
  tip.style.left = `${Math.max(0, left)}px`;
  tip.style.top = `${Math.min(Math.max(0, y - tip.offsetHeight / 2), box.height - tip.offsetHeight)}px`;
}
