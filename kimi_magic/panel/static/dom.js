// Elements from plain data. Every string becomes text, but for one function: `safe`, which takes the HTML that Python made.

const SVG = "http://www.w3.org/2000/svg";

// h("button", {class: "x", onclick, aria: {label: "Send"}}, "text", child, …); what is null or false is left out.
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "aria") for (const [key, said] of Object.entries(value)) element.setAttribute(`aria-${key}`, said);
    else if (name === "data") Object.assign(element.dataset, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// The only place where a string becomes HTML. It comes from kimi_magic.markdown, which has sanitised it; the template
// keeps anything from loading or running before it stands in the page.
export function safe(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

const ICONS = {  // 16 × 16, strokes
  send: "M8 13V3M3.5 7.5 8 3l4.5 4.5",
  stop: "M4.5 4.5h7v7h-7z",
  attach: "M13 7.5 8 12.4a3 3 0 0 1-4.3-4.2l5.4-5.4a2 2 0 0 1 2.9 2.9L6.7 11a1 1 0 0 1-1.4-1.4l4.8-4.9",
  object: "M6 2.5c-2 0-2 .8-2 2.2S4 7 2.5 8C4 9 4 9.600 4 11.300s0 2.200 2 2.200M10 2.500c2 0 2 .8 2 2.200S12 7 13.500 8C12 9 12 9.600 12 11.300s0 2.200-2 2.200",
  eye: "M1.5 8S4 3.500 8 3.500 14.500 8 14.500 8 12 12.500 8 12.500 1.500 8 1.500 8zM8 10a2 2 0 1 0 0-4 2 2 0 0 0 0 4z",
  later: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 4.500V8l2.500 1.500",
  search: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10zM10.700 10.700 14 14",
  copy: "M5.500 5.500v-3h8v8h-3M2.500 5.500h8v8h-8z",
  check: "M3 8.500 6.500 12 13 4.500",
  insert: "M2.500 2.500h11v4h-11zM8 9v5M5.500 11.500h5",
  edit: "M10.500 3 13 5.500 5.500 13H3v-2.500z",
  again: "M13 8a5 5 0 1 1-1.600-3.700M13 2v3h-3",
  left: "M10 3 5 8l5 5",
  right: "M6 3l5 5-5 5",
  up: "M3 10l5-5 5 5",
  under: "M3 6l5 5 5-5",
  down: "M8 3v10M3.500 8.500 8 13l4.500-4.500",
  close: "M3.500 3.500l9 9M12.500 3.500l-9 9",
  fold: "M6 4l4 4-4 4",
  more: "M3 8h.01M8 8h.01M13 8h.01",
  new: "M8 3v10M3 8h10",
  tool: "M9.500 6.500 3 13M13.500 4.500a3 3 0 0 1-4.200 3.200A3 3 0 0 1 11.500 2.500L10 4l.5 1.500L12 6z",
};

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 16 16", "aria-hidden": "true", class: `kp-icon kp-icon-${name}` })) {
    svg.setAttribute(key, value);
  }
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

// A button that shows an icon and is named by its label; `text` is shown beside it.
export function button(name, label, onclick, { text = "", ...more } = {}) {
  const shown = text ? { title: label === text ? null : label } : { title: label };
  const aria = text && label === text ? {} : { label };
  return h("button", { type: "button", class: "kp-button", ...shown, onclick, ...more, aria: { ...aria, ...more.aria } }, icon(name), text || null);
}
