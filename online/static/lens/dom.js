// Elements without markup in strings: nothing that a shop or a shopper wrote is ever parsed as HTML.

/** An element. Keys with a dash, `role`, `part` and `capture` become attributes, `on` holds listeners, the rest are properties. */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  const { on = {}, ...rest } = properties;
  for (const [name, value] of Object.entries(rest)) {
    if (value === undefined || value === null) continue;
    if (name.includes("-") || name === "role" || name === "part" || name === "capture") element.setAttribute(name, value);
    else element[name] = value;
  }
  for (const [event, listener] of Object.entries(on)) element.addEventListener(event, listener);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

const SHAPES = {
  camera: "M9 4 7.2 6H4a2 2 0 0 0-2 2v10a2 2 0 0 0 2 2h16a2 2 0 0 0 2-2V8a2 2 0 0 0-2-2h-3.2L15 4H9Zm3 4.5a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9Zm0 2a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5Z",
  picture: "M4 4h16a2 2 0 0 1 2 2v12a2 2 0 0 1-2 2H4a2 2 0 0 1-2-2V6c0-1.1.9-2 2-2Zm3.5 4a1.5 1.5 0 1 0 0 3 1.5 1.5 0 0 0 0-3ZM4.5 18h15l-4.8-6.4-3.7 4.9-2.5-3L4.5 18Z",
  plus: "M11 5h2v6h6v2h-6v6h-2v-6H5v-2h6V5Z",
  minus: "M5 11h14v2H5v-2Z",
  close: "m6.4 5 5.6 5.6L17.6 5 19 6.4 13.4 12l5.6 5.6-1.4 1.4-5.6-5.6L6.4 19 5 17.6l5.6-5.6L5 6.4 6.4 5Z",
};

/** A drawing beside a label, which a screen reader leaves out. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "icon");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", SHAPES[name]);
  path.setAttribute("fill", "currentColor");
  svg.append(path);
  return svg;
}

export function sentence(text) {
  const line = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(line) ? line : `${line}.`;
}

export function price(result) {
  if (result.price === null || result.price === undefined) return "";
  try {
    return new Intl.NumberFormat(undefined, { style: "currency", currency: result.currency }).format(result.price);
  } catch {
    return `${result.price.toFixed(2)} ${result.currency || ""}`.trim();
  }
}

export function titleOf(result) {
  return result.title || result.product_id;
}
