// What to type elsewhere to get what the page shows.

import { h } from "./dom.js";
import { objectPath } from "./api.js";
import { takesToken } from "./token.js";

const DEFAULT_TOPIC = "nightjar.classifications";
const COPIED_MS = 1500;

/** The commands for an object. */
export function commandsOf({ id, object_id: name }) {
  const { brokers, topic } = document.documentElement.dataset;
  const where = [...(brokers ? ["--brokers", brokers] : []), ...(topic !== DEFAULT_TOPIC ? ["--topic", topic] : [])];
  const url = location.origin;
  const [header, token] = takesToken() ? ['-H "Authorization: Bearer TOKEN" ', ', token="TOKEN"'] : ["", ""];
  return [
    command("Its probability history, over the API", `curl ${header}${url}${objectPath(id)}/classifications`),
    command("Its alerts as they come, from Kafka", ["nightjar listen", ...where, "--object", name].join(" ")),
    command("In Python", `from nightjar_client import Nightjar\nhistory = Nightjar("${url}"${token}).history("${id}")`),
  ];
}

/** Links to an object's tables as files. */
export function downloadsOf({ id }) {
  const tables = { lightcurve: "Light curve", classifications: "History" };
  const formats = { csv: "CSV", parquet: "Parquet" };
  return Object.entries(tables).flatMap(([table, name]) =>
    Object.entries(formats).map(([format, label]) =>
      h("a", { href: `${objectPath(id)}/${table}?format=${format}`, download: "" }, `${name}, ${label}`),
    ),
  );
}

function command(what, text) {
  const pre = h("pre", { tabindex: 0, "aria-label": what }, h("code", {}, text));
  const button = h("button", { type: "button", "aria-label": `Copy: ${what}` }, "Copy");
  button.addEventListener("click", async () => {
    button.textContent = (await copy(text, pre)) ? "Copied" : "Press Ctrl+C";
    setTimeout(() => (button.textContent = "Copy"), COPIED_MS);
  });
  return h("div", { class: "command" }, h("div", { class: "command-head" }, h("span", {}, what), button), pre);
}

/** Copy; where a browser does not let us, as on plain HTTP from afar, the text is selected instead. */
async function copy(text, element) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    getSelection().selectAllChildren(element);
    return false;
  }
}
