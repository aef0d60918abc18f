// The field at the top of every page: an object's id, or a position.

import { ApiError, getJson, objectPage, objectPath } from "./api.js";
import { at } from "./dom.js";
import { parsePosition } from "./format.js";

const RADIUS_ARCSEC = 5; // a little more than the surveys' own radius of association

/** Make the field work. */
export function installSearch() {
  const note = at("search-note");
  at("search").addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = at("search-text").value.trim();
    if (!text) return;
    const position = parsePosition(text);
    if (position) {
      location.href = `/?ra=${position.ra}&dec=${position.dec}&radius_arcsec=${RADIUS_ARCSEC}`;
      return;
    }
    note.textContent = "";
    try {
      location.href = objectPage((await getJson(objectPath(text))).id);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      note.textContent = error.status === 404 ? `No object ${text} is known.` : error.message;
    }
  });
  at("search-text").addEventListener("input", () => (note.textContent = ""));
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.closest("input, select, textarea")) {
      event.preventDefault();
      at("search-text").focus();
    }
  });
}
