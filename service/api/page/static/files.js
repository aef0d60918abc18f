// Links to answers of the API, which a browser follows without a token.

import { ask } from "./api.js";
import { takesToken } from "./token.js";

const NAMED = /filename="?([^";]+)/;

/** Where there is a token, fetch what a link names, and save it. */
export function installFiles() {
  document.addEventListener("click", async (event) => {
    const link = event.target.closest('a[href^="/v1/"]');
    if (!link || !takesToken()) return;
    event.preventDefault();
    const path = link.getAttribute("href");
    const response = await ask(path);
    if (response.ok) save(await response.blob(), nameOf(response, path));
  });
}

function nameOf(response, path) {
  const named = response.headers.get("Content-Disposition")?.match(NAMED)?.[1];
  return named ?? `${path.split("?")[0].split("/").pop()}.json`;
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
