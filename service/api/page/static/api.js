// What the page asks of the API.

import { refuse, tokenHeaders } from "./token.js";

/** An answer that is a problem document, or no answer at all (status 0). */
export class ApiError extends Error {
  constructor(status, title, detail) {
    super(detail || title);
    this.status = status;
    this.title = title;
  }
}

/** Fetch an answer, with a token where the server wants one. */
export async function ask(path, options = {}) {
  for (;;) {
    const token = await tokenHeaders();
    const response = await fetch(path, { ...options, headers: { ...options.headers, ...token } });
    if (response.status !== 401) return response;
    await refuse(token);
  }
}

/** Fetch a JSON answer. */
export async function getJson(path, options = {}) {
  let response;
  try {
    response = await ask(path, { ...options, headers: { Accept: "application/json" } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "No answer", "The server does not answer.");
  }
  const text = await response.text();
  if (!response.ok) throw problem(response.status, text);
  return parseJson(text);
}

/** Read JSON with the ids of alerts, 64-bit integers, as text: a JavaScript number would round them. */
export function parseJson(text) {
  return JSON.parse(text.replace(/([:[,]\s*)(\d{16,20})(?=\s*[,\]}])/g, '$1"$2"'));
}

/** The address of an object's page. */
export const objectPage = (id) => `/objects/${encodeURIComponent(id).replaceAll("%3A", ":")}`;

/** The path of an object in the API. */
export const objectPath = (id) => `/v1/objects/${encodeURIComponent(id).replaceAll("%3A", ":")}`;

function problem(status, text) {
  let document = {};
  try {
    document = JSON.parse(text);
  } catch {
    // A proxy's own error page.
  }
  const faults = (document.errors ?? []).map((fault) => `${fault.location.split(".").pop()}: ${fault.message}`);
  const detail = faults.length ? faults.join("; ") : document.detail;
  return new ApiError(status, document.title ?? `Status ${status}`, detail);
}
