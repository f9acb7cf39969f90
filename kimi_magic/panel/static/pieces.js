// The pieces of a reply, in order of arrival: thinking, text, a value, a call. Each knows how to show itself whole and
// how to grow; finished blocks of a text are put into the page once and never touched again.

import { headCode } from "./code.js";
import { CallPiece } from "./call.js";
import { h, icon, safe } from "./dom.js";

class TextPiece {
  #shown = 0;
  #tail = h("div", { class: "kp-tail" });

  constructor(context) {
    this.context = context;
    this.element = h("div", { class: "kimi kp-piece" }, this.#tail);
  }

  show({ blocks, tail }) {
    if (blocks.length < this.#shown) this.#clear();
    for (const block of blocks.slice(this.#shown)) this.#freeze(block);
    this.#shown = blocks.length;
    this.#tail.replaceChildren(safe(tail.html));
    headCode(this.#tail, tail.source, { ...this.context, live: true });
  }

  #clear() {
    this.element.replaceChildren(this.#tail);
    this.#shown = 0;
  }

  #freeze({ html, source }) {
    const block = h("div", { class: "kp-block" });
    block.append(safe(html));
    headCode(block, source, this.context);
    this.#tail.before(block);
    this.context.hear?.(`${block.textContent}\n`);
    this.context.place.typeset(block);
  }
}

class ThinkingPiece {
  #label = h("span");
  #text = h("div", { tabindex: "0", role: "group", aria: { label: "Thinking" }, class: "mathjax_ignore tex2jax_ignore" });

  constructor() {
    this.element = h("details", { class: "kp-thinking kp-piece" }, h("summary", {}, icon("fold"), this.#label), this.#text);
  }

  show({ text, label }) {
    this.#label.textContent = label;
    const seen = this.#text.textContent.length;
    const atEnd = this.#text.scrollHeight - this.#text.scrollTop - this.#text.clientHeight < 24;
    if (text.length < seen) this.#text.textContent = text;
    else if (text.length > seen) this.#text.append(text.slice(seen));
    if (atEnd && this.element.open) this.#text.scrollTop = this.#text.scrollHeight;
  }
}

class ValuePiece {
  constructor(context) {
    this.context = context;
    this.element = h("div", { class: "kimi kp-piece" });
  }

  show({ html, source }) {
    this.element.replaceChildren(safe(html));
    headCode(this.element, source, this.context);
    this.context.place.typeset(this.element);
  }
}

const KINDS = { text: TextPiece, thinking: ThinkingPiece, value: ValuePiece, call: CallPiece };

export function pieceView(piece, context) {
  return new KINDS[piece.kind](context);
}

// What a piece says, as it was written: for copying.
export function written(piece) {
  if (piece.kind === "text") return piece.blocks.map(({ source }) => source).join("") + piece.tail.source;
  return piece.kind === "value" ? piece.source : "";
}
