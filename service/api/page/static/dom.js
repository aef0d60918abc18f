// Making elements. Text always goes in as text: nothing of the data is ever read as HTML.

/** Make an element: h("a", {href: "/", class: "x", onclick: f}, "text", child, ...). */
export function h(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** The same for SVG. */
export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

/** Find an element of the document by its id. */
export const at = (id) => document.getElementById(id);

/** A button that stays pressed; `onchange` is told whether it is. */
export function toggle(label, pressed, onchange, attributes = {}) {
  const button = h("button", { type: "button", "aria-pressed": pressed, ...attributes }, ...[label].flat());
  button.addEventListener("click", () => {
    const now = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", now);
    onchange(now);
  });
  return button;
}

/** Buttons of which one is pressed at a time: `options` maps values to labels. */
export function choice(label, options, chosen, onchange) {
  const buttons = Object.entries(options).map(([value, text]) =>
    h("button", { type: "button", "aria-pressed": value === chosen, "data-value": value }, text),
  );
  const group = h("span", { role: "group", "aria-label": label, class: "choices" }, ...buttons);
  group.addEventListener("click", (event) => {
    const value = event.target.closest("button")?.dataset.value;
    if (value === undefined) return;
    for (const button of buttons) button.setAttribute("aria-pressed", button.dataset.value === value);
    onchange(value);
  });
  return group;
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) {
      if (!name.startsWith("aria-") || value !== false) continue;
    }
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, text] of Object.entries(value)) element.style.setProperty(key, text);
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}
