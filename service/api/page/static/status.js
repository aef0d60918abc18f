// The mark at the top that says whether new results come in.

import { at } from "./dom.js";

const TEXTS = { on: "live", held: "held", lost: "connecting …", off: "not connected" };

/** Show a state: on, held, lost or off; `text` instead of its own. */
export function showState(state, text = TEXTS[state]) {
  const mark = at("live");
  mark.dataset.state = state;
  if (mark.textContent !== text) mark.textContent = text;
}
