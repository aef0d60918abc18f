// The token of the operator's, where reading takes one: asked for once per tab, and sent with every request.

import { at } from "./dom.js";

const NAME = "nightjar-token";
const REFUSED = "The server does not take this token.";

let needed = document.documentElement.dataset.access === "token";
let token = needed ? read() : "";
let asking = null; // one dialog for all requests that wait

/** Whether requests carry a token. */
export const takesToken = () => needed;

/** The headers of a request; waits until a person has given the token. */
export async function tokenHeaders() {
  if (!needed) return {};
  if (!token) await ask("");
  return { Authorization: `Bearer ${token}` };
}

/** Take back what was refused, if it is still what would be sent. */
export function refuse(headers) {
  needed = true;
  if (headers.Authorization && headers.Authorization !== `Bearer ${token}`) return Promise.resolve();
  keep("");
  return ask(headers.Authorization ? REFUSED : "");
}

/** Make the button at the top work, and the dialog. */
export function installToken() {
  at("token-button").hidden = !needed;
  at("token-button").addEventListener("click", () => ask(""));
}

function ask(fault) {
  if (fault || !asking) at("token-fault").textContent = fault;
  asking ??= new Promise((resolve) => {
    at("token-form").addEventListener("submit", (event) => {
      event.preventDefault(); // it goes nowhere but into the headers
      keep(at("token-text").value.trim());
      at("token-text").value = "";
      at("token").close();
      asking = null;
      resolve();
    }, { once: true });
  });
  at("token-button").hidden = false;
  if (!at("token").open) at("token").showModal();
  return asking;
}

function read() {
  try {
    return sessionStorage.getItem(NAME) ?? "";
  } catch {
    return ""; // a browser may forbid storage; the token then lasts as long as the page
  }
}

function keep(text) {
  token = text;
  try {
    if (text) sessionStorage.setItem(NAME, text);
    else sessionStorage.removeItem(NAME);
  } catch {
    // As above.
  }
}
