// The page of one object.

import { markAlert, showAlerts } from "./alerts.js";
import { ApiError, getJson, objectPath } from "./api.js";
import { TimeSpan } from "./charts.js";
import { showClasses } from "./classbars.js";
import { commandsOf, downloadsOf } from "./commands.js";
import { at, h } from "./dom.js";
import { factsOf } from "./facts.js";
import { LightCurve } from "./lightcurve.js";
import { classColour, onColours } from "./palette.js";
import { fixed } from "./format.js";
import { Probabilities } from "./probabilities.js";
import { installFiles } from "./files.js";
import { installSearch } from "./search.js";
import { skyOf } from "./sky.js";
import { showState } from "./status.js";
import { follow } from "./stream.js";
import { installToken } from "./token.js";

const SURVEYS = { ztf: "ZTF", lsst: "LSST", elasticc: "ELAsTiCC" };
const RADIUS_ARCSEC = 10; // of the stream's filter; an object's own results are chosen by its id
const GATHER_MS = 300; // several alerts of one exposure are fetched at once

const wanted = decodeURIComponent(location.pathname.split("/").pop());
const speak = (text) => (at("spoken").textContent = text);
const span = new TimeSpan();
const curve = new LightCurve(at("curve"), at("curve-choices"), span, speak);
const history = new Probabilities(at("history"), at("history-choices"), span, speak, point);
let shown = null; // latest answers of the API

/** Ask the API for everything and show it. */
async function load() {
  const path = objectPath(wanted);
  const [summary, lightcurve, classifications] = await Promise.all(
    ["", "/lightcurve", "/classifications"].map((what) => getJson(path + what)),
  );
  shown = { summary, lightcurve, classifications };
  show();
}

function show() {
  const { summary, lightcurve, classifications } = shown;
  at("object").hidden = false;
  at("notice").textContent = "";
  heading(summary);
  const times = [...lightcurve.observations, ...classifications.epochs].map((one) => one.mjd_tai);
  if (times.length) span.setFull(Math.min(...times), Math.max(...times));
  curve.setRows(lightcurve.observations);
  history.setEpochs(classifications.epochs);
  showClasses(summary.classification, { latestReason: summary.last_alert_reason });
  at("sky").replaceChildren(...skyOf(summary));
  at("facts").replaceChildren(...factsOf(summary, lightcurve.observations));
  at("commands").replaceChildren(...commandsOf(summary));
  at("downloads").replaceChildren(...downloadsOf(summary));
  showAlerts(classifications, point);
  at("main").setAttribute("aria-busy", "false");
}

function heading(summary) {
  document.title = `${summary.object_id} · nightjar`;
  const { top_class: name, top_class_probability: probability } = summary;
  at("object-heading").replaceChildren(
    h("h1", { id: "object-name" }, summary.object_id),
    h("span", { class: "badge" }, SURVEYS[summary.survey]),
    ...(name
      ? [h("span", { class: "class-name" }, h("span", { class: "swatch", style: { background: classColour(name) } }), `${name} ${fixed(probability, 2)}`)]
      : []),
  );
}

/** Show the class vector of an epoch that is pointed at, or the latest. */
function point(epoch) {
  const { summary } = shown;
  showClasses(epoch?.classifications.length ? epoch : summary.classification, { latestReason: summary.last_alert_reason });
  markAlert(epoch);
}

function fail(error) {
  at("main").setAttribute("aria-busy", "false");
  at("object-name").textContent = wanted;
  const what = error instanceof ApiError && error.status === 404
    ? "This object is not stored: no alert of it has come in yet, or it is forgotten since its last alert was long ago."
    : error.message;
  at("notice").className = "notice fault card";
  at("notice").replaceChildren(what, " ", h("a", { href: "/" }, "All candidates"));
  if (!(error instanceof ApiError)) throw error;
}

/** Fetch again whenever a result of this object comes in. */
function keepUp() {
  const { ra_deg: ra, dec_deg: dec, id } = shown.summary;
  if (ra === null) return;
  let waiting = 0;
  const reload = () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => load().catch(() => showState("lost")), GATHER_MS);
  };
  follow(new URLSearchParams({ ra, dec, radius_arcsec: RADIUS_ARCSEC }), {
    onresult: (result) => result.id === id && reload(),
    onstate: showState,
  });
}

installToken();
installFiles();
installSearch();
onColours(() => shown && show());
load().then(keepUp, fail);
