// One turn: the question with its branches and attachments, and the reply piece by piece. Or a note, which a slash
// command told. What streams is painted piece by piece; the rest of a turn is small and is made anew.

import { copyButton } from "./code.js";
import { button, h, safe } from "./dom.js";
import { pieceView, written } from "./pieces.js";

const ASKED = ["question", "branch", "turn", "dropped"];  // fields that the upper part shows
const LONG = 1200;  // characters of a question that are shown before it folds
const LINES = 14;
const WORDS = { queued: "Waiting for its turn", looking: "Looking at what goes along …", waiting: "Waiting for the first word …", thinking: "Thinking …", writing: "", calling: "A tool is running …", asking: "Waiting for your answer" };

export const runs = (entry) => entry.kind === "turn" && entry.state in WORDS;

export class Turn {
  #context;
  #question = h("div", { class: "kp-question" });
  #head = h("div");
  #pieces = h("div", { class: "kp-pieces" });
  #below = h("div");
  #status = h("div", { class: "kp-status" });
  #views = [];
  #saw = null;
  #ran = false;  // whether it came while we looked: only then is it read aloud

  constructor(entry, context) {
    this.#context = { ...context, hear: (text) => this.#ran && context.hear(text), answer: (call, agreed, always) => context.talk.send({ type: "approve", id: this.entry.id, call, agreed, always }) };
    this.element = h("article", { class: "kp-turn", data: { id: entry.id } });
    this.show(entry);
  }

  // Show an entry whole; pieces that are on the page already are kept.
  show(entry) {
    this.entry = entry;
    if (entry.kind === "note") return this.#note(entry);
    this.element.setAttribute("aria-label", `Question: ${entry.question.text.slice(0, 80)}`);
    if (!this.#question.parentNode) {
      const reply = h("div", { class: "kp-reply" }, this.#head, this.#pieces, this.#below);
      this.element.replaceChildren(this.#question, reply);
    }
    this.#frame(entry);
    this.#paint(entry.pieces.keys());
  }

  // Take what a delta changed: the pieces of these indexes, and the fields around them.
  grow(touched, fields) {
    if (Object.keys(fields).length) this.#frame(fields);
    this.#paint(touched);
  }

  #paint(touched) {
    const { pieces } = this.entry;
    while (this.#views.length > pieces.length) this.#views.pop().view.element.remove();
    for (const at of touched) {
      const piece = pieces[at];
      if (this.#views[at]?.kind !== piece.kind) {
        const view = pieceView(piece, this.#context);
        if (this.#views[at]) this.#views[at].view.element.replaceWith(view.element);
        else this.#pieces.append(view.element);
        this.#views[at] = { kind: piece.kind, view };
      }
      this.#views[at].view.show(piece);
    }
  }

  #note({ title, html, text, error }) {
    this.element.setAttribute("aria-label", title);
    const inside = h("div", { class: "kimi" });
    if (html) inside.append(safe(html));
    else inside.append(h("pre", { tabindex: "0", class: "kp-note-text" }, text));
    this.element.replaceChildren(h("div", { class: `kp-reply kp-note ${error ? "kp-error" : ""}` }, h("strong", {}, title), inside));
  }

  #asked({ question, branch, turn, dropped }) {
    const { text, origin, chips = [] } = question;
    const bubble = h("div", { class: "kp-bubble mathjax_ignore tex2jax_ignore" }, text);
    const long = text.length > LONG || text.split("\n").length > LINES;
    bubble.classList.toggle("kp-folded", long);
    const foot = h("div", { class: "kp-foot" });
    if (long) foot.append(this.#unfold(bubble));
    if (branch) foot.append(this.#branches(branch));
    if (turn) foot.append(button("edit", "Edit this question and ask from here", () => this.#context.edit(this.entry)));
    return [
      origin && origin !== "panel" ? h("div", { class: "kp-origin" }, dropped ? `${origin} · dropped` : origin) : "",
      bubble,
      chips.length ? h("ul", { class: "kp-attached kp-chips", aria: { label: "Attached" } }, chips.map(chip)) : "",
      foot,
    ];
  }

  #unfold(bubble) {
    const it = h("button", { type: "button", class: "kp-button", aria: { expanded: "false" }, onclick: () => {
      const folded = bubble.classList.toggle("kp-folded");
      it.setAttribute("aria-expanded", String(!folded));
      it.textContent = folded ? "Show all" : "Show less";
    } }, "Show all");
    return it;
  }

  #branches({ at, of, turns }) {
    const go = (to) => () => this.#context.branch(turns[to - 1], this.element);
    return h(
      "span",
      { class: "kp-branches", role: "group", aria: { label: `Version ${at} of ${of}` } },
      button("left", "Earlier version", go(at - 1), { disabled: at <= 1 }),
      h("span", {}, `${at}/${of}`),
      button("right", "Later version", go(at + 1), { disabled: at >= of }),
    );
  }

  #frame(changed) {
    const { remark, notice, error, state, line } = this.entry;
    if (ASKED.some((field) => field in changed)) this.#question.replaceChildren(...this.#asked(this.entry));
    this.#ran ||= runs(this.entry);
    this.element.hidden = state === "queued";
    this.element.classList.toggle("kp-live", runs(this.entry));
    this.#head.replaceChildren(remark ? h("p", { class: "kp-remark" }, remark) : "");
    const below = [];
    if (error) below.push(h("div", { class: "kp-error" }, h("strong", {}, error.message), error.hint || ""));
    if (notice && !(error && !this.entry.pieces.length)) below.push(h("p", { class: "kp-remark" }, notice));
    const words = runs(this.entry) ? line || WORDS[state] : "";
    if (words) below.push(this.#status);
    this.#status.textContent = words;
    if (!runs(this.entry)) below.push(this.#foot(), this.#saw || "");
    this.#below.replaceChildren(...below);
  }

  #foot() {
    const { pieces, facts = [], badges = [], turn, state } = this.entry;
    const text = () => this.entry.pieces.map(written).join("\n\n").trim();
    const foot = h("div", { class: "kp-foot" });
    if (pieces.some(written)) foot.append(copyButton("Copy this reply", text, this.#context.say));
    if (turn || state !== "done") foot.append(button("again", "Ask again", () => this.#context.again(this.entry)));
    if (turn && state !== "failed") foot.append(button("eye", "What Kimi saw", () => this.#toggleSaw(foot), { aria: { expanded: String(Boolean(this.#saw)) } }));
    foot.append(...badges.map((badge) => h("span", { class: "kp-badge" }, badge)));
    if (facts.length) foot.append(h("span", { class: "kp-facts" }, facts.join(" · ")));
    return foot;
  }

  #toggleSaw(foot) {
    const { id, html } = this.entry;
    if (this.#saw) {
      this.#saw.remove();
      this.#saw = null;
    } else {
      this.#saw = h("div", { class: "kp-saw kimi", tabindex: "0", role: "group", aria: { label: "What Kimi saw" } }, html ? safe(html) : "…");
      foot.after(this.#saw);
      if (!html) this.#context.talk.send({ type: "saw", id });
    }
    foot.querySelector("[aria-expanded]")?.setAttribute("aria-expanded", String(Boolean(this.#saw)));
  }

  // The answer to what was asked when that fold opened.
  saw(html) {
    this.entry.html = html;
    this.#saw?.replaceChildren(html ? safe(html) : "Nothing is known of what was sent.");
  }
}

export function chip({ name, detail = "", html = "" }) {
  const picture = h("span", { class: "kp-thumbnail" });
  if (html) picture.append(safe(html));
  return h("li", { class: "kp-chip", title: detail }, html ? picture : "", h("span", {}, name), detail ? h("small", {}, detail) : "");
}
