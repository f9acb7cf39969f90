// What stands around the transcript: the notice while the panel waits or has lost its kernel, the questions that wait,
// the line of usage, and what an empty panel offers.

import { button, h } from "./dom.js";

export class Notice {
  #talk;
  #root;
  #text = h("span");

  constructor(talk, root) {
    this.#talk = talk;
    this.#root = root;
    this.element = h("div", { class: "kp-notice", role: "status", hidden: true }, this.#text);
    this.show();
  }

  show() {
    const { attached, unheard } = this.#talk;
    const status = this.#talk.get("status");
    const text = !attached
      ? "This panel has lost its kernel. Run its cell again to go on."
      : unheard ? "The notebook is busy; this is taken up when the running cell ends." : status.trouble || status.busy || "";
    this.#root.classList.toggle("kp-detached", !attached);
    this.element.hidden = !text;
    if (this.#text.textContent !== text) this.#text.textContent = text;
  }
}

export class Queue {
  #talk;

  constructor(talk) {
    this.#talk = talk;
    this.element = h("ol", { class: "kp-queue", aria: { label: "Questions that wait" } });
    this.show();
  }

  show() {
    const waiting = this.#talk.get("status").queue || [];
    this.element.hidden = !waiting.length;
    this.element.replaceChildren(...waiting.map(({ id, text, reason }) => h(
      "li",
      { title: reason || null },
      h("small", {}, reason || "Waiting:"),
      h("span", {}, text),
      button("close", `Take back: ${text.slice(0, 60)}`, () => this.#talk.send({ type: "stop", id })),
    )));
  }
}

export class Usage {
  #talk;
  #meter = h("meter", { min: "0", max: "1", low: "0.7", high: "0.9", optimum: "0", aria: { label: "Window used" } });
  #text = h("span");
  #badges = h("span");

  constructor(talk) {
    this.#talk = talk;
    this.element = h("div", { class: "kp-usage" }, this.#meter, this.#text, this.#badges);
    this.show();
  }

  show() {
    const { window: room, text = "", warn = false } = this.#talk.get("usage");
    const { badges = [] } = this.#talk.get("status");
    this.#meter.hidden = !room?.text;
    if (room) {
      this.#meter.value = room.share;
      this.#meter.title = room.text;
    }
    this.#text.textContent = text;
    this.element.classList.toggle("kp-warned", warn);
    this.#badges.textContent = badges.join(" · ");
  }
}

// What an empty panel says: that it can be asked, and what, here and now, is worth asking.
export function empty(talk, fill) {
  const list = h("ul");
  const element = h(
    "div",
    { class: "kp-empty" },
    h("h2", {}, "Ask about your notebook"),
    h("p", {}, "Kimi shares this conversation with the cells: what is asked there stands here, and the other way round."),
    list,
  );
  const show = () => list.replaceChildren(...(talk.get("suggestions") || []).map(({ label, text }) => h(
    "li",
    {},
    h("button", { type: "button", class: "kp-button kp-suggestion", onclick: () => fill(text) }, label),
  )));
  show();
  return { element, show };
}
