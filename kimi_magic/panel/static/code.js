// A head above each block of code: its language, copy, and insert where the place has cells.

import { button, h } from "./dom.js";

const FENCE = /^[ \t>]*(?:[-*+]|\d+[.)])?[ \t>]*(`{3,}|~{3,})[ \t]*([^\s`{]*)/;

// The languages of the fences of a Markdown text, in order.
function languages(source) {
  const found = [];
  let open = "";
  for (const line of source.split("\n")) {
    const fence = FENCE.exec(line);
    if (!fence) continue;
    if (!open) {
      found.push(fence[2]);
      open = fence[1];
    } else if (fence[1].startsWith(open) && !fence[2]) open = "";
  }
  return found;
}

// Put heads on the code inside `node`, made from `source`; a block that still grows gets one without buttons.
export function headCode(node, source, { place, say, live = false }) {
  const blocks = [...node.querySelectorAll("div.highlight")];
  if (!blocks.length) return;
  const names = languages(source);
  blocks.forEach((block, n) => {
    const name = names.length === blocks.length && names[n] ? names[n] : "code";
    const head = h("div", { class: "kp-code-head" }, h("span", {}, name));
    if (!live) {
      const text = () => block.querySelector("pre").textContent;
      head.append(copyButton(`Copy code (${name})`, text, say));
      if (place.cells) head.append(button("insert", `Put code (${name}) into a cell below`, () => say(place.insert(text().replace(/\n$/, "")))));
    }
    const box = h("div", { class: "kp-code" }, head);
    block.replaceWith(box);
    box.append(block);
    const pre = block.querySelector("pre");
    pre.tabIndex = 0;  // it scrolls sideways, and that has to be possible by keyboard
    pre.setAttribute("role", "group");
    pre.setAttribute("aria-label", `Code (${name})`);
  });
}

export function copyButton(label, text, say) {
  const it = button("copy", label, async () => {
    const copied = await copy(text());
    say(copied ? "Copied." : "The browser refused to copy.");
    if (!copied) return;
    it.classList.add("kp-done");
    setTimeout(() => it.classList.remove("kp-done"), 1500);
  });
  return it;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {  // no permission, or no secure context: the old way
    const area = h("textarea", { class: "kp-unseen", aria: { hidden: "true" } });
    const before = document.activeElement;
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    before?.focus();
    return done;
  }
}
