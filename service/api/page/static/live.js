// The live page: what matches the filters now, and what comes in.

import { ApiError, getJson } from "./api.js";
import { Candidates, SORTS } from "./candidates.js";
import { at } from "./dom.js";
import { Filters } from "./filters.js";
import { onColours } from "./palette.js";
import { installFiles } from "./files.js";
import { installSearch } from "./search.js";
import { showState } from "./status.js";
import { follow } from "./stream.js";
import { installToken } from "./token.js";

const PAGE_SIZE = 50;
const REDRAW_MS = 250; // a person does not read faster, and a phone's battery lasts longer
const RATE_S = 60;
const MOST_IN_FILE = 1000; // as many as the API gives at once
const REFRESH_MS = 60_000;
const RETRY_MS = 3000;

const table = at("candidates");
const candidates = new Candidates(table);
const filters = new Filters(restart);

let cursor = null;
let wantedRows = PAGE_SIZE;
let paused = false;
let pointedAt = false;
let searching = false;
let connection = "off";
let endStream = () => {};
let abort = new AbortController();
let redraw = 0;
let pending = new Map(); // results by object, until they are drawn
let arrivals = []; // when results came in, milliseconds

/** Repeat the search, and follow what matches from then on. */
async function restart() {
  abort.abort();
  abort = new AbortController();
  endStream();
  pending.clear();
  wantedRows = PAGE_SIZE;
  const { signal } = abort;
  const query = filters.query();
  remember(query);
  // The stream comes first: what comes in while the search runs is drawn after its answer, and not missed.
  searching = true;
  endStream = follow(query, { onresult: receive, onstate: setConnection, ongap: restart });
  try {
    const answer = await search(query, null, signal);
    candidates.clear();
    take(answer);
  } catch (error) {
    if (error.name !== "AbortError") fail(error, signal);
  }
  if (!signal.aborted) {
    searching = false;
    drawPending();
  }
}

/** Search again: what once passed the filters may not do so any more, and the stream says only what does. */
async function refresh() {
  if (isHeld() || document.hidden || !filters.query().size || wantedRows > PAGE_SIZE) return;
  const { signal } = abort;
  try {
    const answer = await search(filters.query(), null, signal);
    candidates.clear();
    take(answer);
  } catch (error) {
    if (!(error instanceof ApiError) && error.name !== "AbortError") throw error; // the next one may succeed
  }
}

function search(query, from, signal) {
  const full = new URLSearchParams(query);
  full.set("sort", SORTS[candidates.base].server);
  full.set("limit", PAGE_SIZE);
  if (from) full.set("cursor", from);
  return getJson(`/v1/objects?${full}`, { signal });
}

function take(answer) {
  filters.fault("");
  cursor = answer.next_cursor;
  candidates.put(answer.objects);
  show();
}

async function more() {
  at("more").disabled = true;
  try {
    const answer = await search(filters.query(), cursor, abort.signal);
    wantedRows += PAGE_SIZE;
    take(answer);
  } catch (error) {
    if (error.name !== "AbortError") fail(error, abort.signal);
  } finally {
    at("more").disabled = false;
  }
}

function receive(result) {
  arrivals.push(Date.now());
  // Alerts of an object may be answered in another order than that of their times.
  const known = pending.get(result.id);
  if (!known || known.last_alert_mjd_tai <= result.last_alert_mjd_tai) pending.set(result.id, result);
  if (!redraw && !isHeld()) redraw = setTimeout(drawPending, REDRAW_MS);
  if (isHeld()) showConnection();
}

/** While a person points at the table nothing moves away below the pointer. */
const isHeld = () => paused || pointedAt || searching;

function drawPending() {
  redraw = 0;
  if (isHeld() || !pending.size) return;
  candidates.put(pending.values(), { fresh: true });
  pending.clear();
  show();
}

function show() {
  candidates.arrange(wantedRows);
  at("more").hidden = cursor === null;
  at("empty").hidden = candidates.size > 0;
  at("empty").textContent = filters.query().size ? "No candidate matches these filters." : "No alert has been classified yet. New ones appear here by themselves.";
  table.hidden = candidates.size === 0;
  const count = `${candidates.size}${cursor === null ? "" : "+"} ${candidates.size === 1 ? "object" : "objects"}`;
  if (at("summary").textContent !== count) at("summary").textContent = count;
}

function fail(error, signal) {
  if (!(error instanceof ApiError)) throw error;
  if (error.status >= 400 && error.status < 500) {
    filters.fault(error.message);
    return;
  }
  at("empty").hidden = false;
  at("empty").textContent = error.status === 503 ? "The store of objects does not answer at the moment; trying again." : error.message;
  setTimeout(() => !signal.aborted && restart(), RETRY_MS);
}

function setConnection(state) {
  connection = state;
  showConnection();
}

function showConnection() {
  arrivals = arrivals.filter((time) => time > Date.now() - RATE_S * 1000);
  if (connection !== "on") showState(connection);
  else if (isHeld() && pending.size) showState("held", `held · ${pending.size} new`);
  else showState(paused ? "held" : "on", `live · ${arrivals.length}/min`);
}

/** Keep what is searched for in the page's address, and offer it as a file. */
function remember(query) {
  const file = new URLSearchParams(query);
  file.set("sort", SORTS[candidates.base].server);
  file.set("limit", MOST_IN_FILE);
  file.set("format", "csv");
  at("download").href = `/v1/objects?${file}`;
  const address = new URLSearchParams(query);
  if (candidates.sort !== "time" || !candidates.descending) address.set("sort", `${candidates.descending ? "-" : ""}${candidates.sort}`);
  history.replaceState(null, "", address.size ? `/?${address}` : "/");
}

function markSort() {
  for (const head of table.tHead.querySelectorAll("[data-sort]")) {
    if (head.dataset.sort === candidates.sort) head.setAttribute("aria-sort", candidates.descending ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
}

/** Repeat the search where the order needs other objects; else sort those shown. */
function resort() {
  const { sort, descending, base } = candidates;
  if (SORTS[sort].server && descending && sort !== base) {
    candidates.base = sort;
    restart();
    return;
  }
  remember(filters.query());
  show();
}

function installTable() {
  table.tHead.addEventListener("click", (event) => {
    const name = event.target.closest("[data-sort]")?.dataset.sort;
    if (!name) return;
    candidates.descending = name === candidates.sort ? !candidates.descending : SORTS[name].descending;
    candidates.sort = name;
    markSort();
    resort();
  });
  const hold = (held) => () => {
    pointedAt = held;
    drawPending();
    showConnection();
  };
  // A finger that touched the table does not hover over it.
  table.tBodies[0].addEventListener("pointerenter", (event) => event.pointerType === "mouse" && hold(true)());
  table.tBodies[0].addEventListener("pointerleave", hold(false));
  table.tBodies[0].addEventListener("focusin", hold(true));
  table.tBodies[0].addEventListener("focusout", hold(false));
  at("more").addEventListener("click", more);
  at("pause").addEventListener("click", () => {
    paused = !paused;
    at("pause").setAttribute("aria-pressed", paused);
    drawPending();
    showConnection();
  });
}

async function installFilters() {
  const query = new URLSearchParams(location.search);
  filters.read(query);
  const sort = (query.get("sort") ?? "-time").match(/^(-?)([a-z]+)$/);
  if (sort && SORTS[sort[2]]) [candidates.descending, candidates.sort] = [sort[1] === "-", sort[2]];
  if (SORTS[candidates.sort].server) candidates.base = candidates.sort;
  markSort();
  try {
    const { models } = await getJson("/v1/models");
    filters.setClasses([...new Set(models.flatMap((model) => model.classes.map((one) => one.class_name)))]);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error; // without them the filter offers no class
  }
}

installToken();
installFiles();
installSearch();
installTable();
installFilters();
onColours(() => candidates.redraw());
setInterval(showConnection, 5000);
setInterval(refresh, REFRESH_MS);
restart();
