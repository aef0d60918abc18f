// The stream of classifications. A browser's own EventSource cannot send a token; where there is one, the
// answer is read here.

import { ask, parseJson } from "./api.js";
import { takesToken } from "./token.js";

const RETRY_MS = 3000;

/**
 * Follow the stream; where it is cut it goes on from there. What is not kept any more by then is told by `ongap`.
 * @returns a function that ends it.
 */
export function follow(query, { onresult, onstate, ongap = () => {} }) {
  const on = { open: () => onstate("on"), classification: (event) => onresult(parseJson(event.data)), gap: ongap, error: () => onstate("lost") };
  const ended = new AbortController();
  const path = `/v1/stream?${query}`;
  if (takesToken()) readOn(path, on, ended.signal);
  else listen(path, on, ended.signal);
  return () => ended.abort();
}

/** The browser connects again by itself, from where it was cut. */
function listen(path, on, ended) {
  if (ended.aborted) return;
  if (takesToken()) { // as another request has learned
    readOn(path, on, ended);
    return;
  }
  const source = new EventSource(path);
  for (const [name, react] of Object.entries(on)) source.addEventListener(name, react);
  source.addEventListener("error", () => {
    // A browser gives up where the answer was an error; the server may only be starting.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => listen(path, on, ended), RETRY_MS);
  });
  ended.addEventListener("abort", () => source.close());
}

/** The same with a token. */
async function readOn(path, on, ended) {
  const events = new Events();
  while (!ended.aborted) {
    try {
      const headers = { Accept: "text/event-stream", ...(events.lastId && { "Last-Event-ID": events.lastId }) };
      const response = await ask(path, { headers, signal: ended, cache: "no-store" });
      if (response.ok) {
        on.open();
        await readAnswer(response, events, on);
      }
    } catch (error) {
      if (ended.aborted) return;
      if (!(error instanceof TypeError)) throw error; // that is how a browser tells of a lost connection
    }
    if (ended.aborted) return;
    on.error();
    await new Promise((resolve) => setTimeout(resolve, events.retryMs));
  }
}

async function readAnswer(response, events, on) {
  events.begin();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    for (const event of events.take(piece.value)) on[event.type]?.(event);
  }
}

/** Reads server-sent events from pieces of text, as the standard has it (WHATWG HTML, 9.2.6). */
export class Events {
  lastId = "";
  retryMs = RETRY_MS;

  constructor() {
    this.begin();
  }

  /** Begin an answer; what was incomplete of the last one is dropped. */
  begin() {
    this.rest = "";
    this.id = this.lastId;
    this.type = "";
    this.data = [];
  }

  /** Take a piece, and give the events that it completes. */
  take(piece) {
    const text = this.rest + piece;
    // A line may end with both; whether it does, only the next piece tells.
    const lines = text.split(/\r\n|\n|\r(?!$)/);
    this.rest = lines.pop();
    return lines.map((line) => this.line(line)).filter((event) => event);
  }

  line(line) {
    if (line === "") return this.end();
    const [, field, value] = line.match(/^([^:]*):? ?(.*)$/s);
    if (field === "data") this.data.push(value);
    else if (field === "event") this.type = value;
    else if (field === "id" && !value.includes("\0")) this.id = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.retryMs = Number(value);
    return null;
  }

  end() {
    this.lastId = this.id; // also without an event: a sign of life moves it
    const event = this.data.length ? { type: this.type || "message", data: this.data.join("\n") } : null;
    this.type = "";
    this.data = [];
    return event;
  }
}
