// The card of a tool call: what was called with what, what came of it, and, where it is asked for, allow and refuse.
// Names, arguments and results were written by the model or by a tool: text, all of them.

import { h, icon, safe } from "./dom.js";

const GOOD = new Set(["done"]);
const OPEN = new Set(["asking", "running"]);

const choice = (text, onclick, kind = "kp-plain") => h("button", { type: "button", class: `kp-button ${kind}`, onclick }, text);

export class CallPiece {
  constructor(context) {
    this.context = context;
    this.#mark = h("span", { class: "kp-mark", aria: { hidden: "true" } });
    this.#name = h("b");
    this.#brief = h("span", { class: "kp-brief" });
    this.#state = h("span", { class: "kp-state" });
    this.#inside = h("div");
    this.#wanted = h("div", { class: "kp-approval", role: "group", hidden: true });
    this.#fold = h("details", {}, h("summary", {}, icon("fold"), this.#mark, this.#name, this.#brief, this.#state), this.#inside);
    this.element = h("div", { class: "kp-card kp-piece mathjax_ignore tex2jax_ignore" }, this.#fold, this.#wanted);
  }

  #mark;
  #name;
  #brief;
  #state;
  #inside;
  #wanted;
  #fold;

  show(piece) {
    const { state } = piece;
    this.#mark.textContent = OPEN.has(state) ? "…" : GOOD.has(state) ? "✓" : "✗";
    this.#mark.className = `kp-mark ${OPEN.has(state) ? "" : GOOD.has(state) ? "kp-mark-good" : "kp-mark-bad"}`;
    this.#name.textContent = piece.name;
    this.#brief.textContent = piece.brief;
    this.#state.textContent = piece.facts || (state === "asking" ? "wants to run" : state);
    this.#inside.replaceChildren(...inside(piece));
    this.#ask(piece);
  }

  #ask({ state, call, name, always }) {
    const asking = state === "asking";
    if (asking === !this.#wanted.hidden) return;
    this.#wanted.hidden = !asking;
    this.#fold.open = asking;  // what shall be agreed to has to be seen
    if (!asking) return;
    const answer = (agreed, forAll) => () => {
      this.context.answer(call, agreed, forAll);
      for (const each of this.#wanted.querySelectorAll("button")) each.disabled = true;
    };
    const words = h("span", {}, "Run ", h("b", {}, name), "?");
    this.#wanted.setAttribute("aria-label", `Run ${name}?`);
    this.#wanted.replaceChildren(
      words,
      choice("Allow", answer(true, false), "kp-primary"),
      always && choice("Allow for this reply", answer(true, true)) || "",
      choice("Refuse", answer(false, false)),
    );
  }
}

function inside({ arguments: given, result, html }) {
  const block = (title, text) => [h("p", { class: "kp-title", aria: { hidden: "true" } }, title), h("pre", { tabindex: "0", role: "group", aria: { label: title } }, text)];
  const pictures = h("div");
  if (html) pictures.append(safe(html));
  return [...block("Arguments", given), ...(result === null || result === undefined ? [] : block("Result", result)), pictures];
}
