// What the page asks of the API.

/** An answer that is a problem document, or no answer at all (status 0). */
export class ApiError extends Error {
  constructor(status, title, detail) {
    super(detail || title);
    this.status = status;
    this.title = title;
  }
}

/** Fetch a JSON answer. */
export async function getJson(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: { Accept: "application/json" } });
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

/**
 * Follow the stream of classifications; the browser connects again by itself, from where it was cut. What is
 * not kept any more by then is told by `ongap`.
 * @returns a function that ends it.
 */
export function follow(query, { onresult, onstate, ongap = () => {} }) {
  let source = null;
  let retry = 0;
  const open = () => {
    source = new EventSource(`/v1/stream?${query}`);
    source.addEventListener("open", () => onstate("on"));
    source.addEventListener("classification", (event) => onresult(parseJson(event.data)));
    source.addEventListener("gap", ongap);
    source.addEventListener("error", () => {
      onstate("lost");
      // A browser gives up where the answer was an error; the server may only be starting.
      if (source.readyState === EventSource.CLOSED) retry = setTimeout(open, 3000);
    });
  };
  open();
  return () => {
    clearTimeout(retry);
    source.close();
  };
}

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
