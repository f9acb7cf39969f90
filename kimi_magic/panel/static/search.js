// Search in the transcript, earlier turns included: what matches is marked without touching the page's elements.

import { button, h } from "./dom.js";

const PAUSE = 150;  // ms
const MOST = 1000;  // matches that are marked
const SKIP = "summary, button, .kp-foot, .kp-origin, .kp-code-head, .kp-status, details:not([open]) > :not(summary)";
const MARKS = globalThis.CSS?.highlights;

export class Search {
  #transcript;
  #talk;
  #say;
  #found = [];
  #at = -1;
  #timer = 0;
  #back = null;

  constructor(transcript, talk, say) {
    this.#transcript = transcript;
    this.#talk = talk;
    this.#say = say;
    this.input = h("input", { type: "search", placeholder: "Search", aria: { label: "Search the transcript" }, oninput: () => this.look() });
    this.count = h("output", {});
    this.element = h(
      "div",
      { class: "kp-find", role: "search", hidden: true },
      this.input,
      this.count,
      button("up", "Previous match", () => this.#go(-1)),
      button("under", "Next match", () => this.#go(1)),
      button("close", "Close the search", () => this.hide()),
    );
    this.element.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.hide();
      else if (event.key === "Enter") this.#go(event.shiftKey ? -1 : 1);
      else return;
      event.preventDefault();
    });
  }

  open() {
    this.#back = document.activeElement;
    this.element.hidden = false;
    this.input.focus();
    this.input.select();
    if (this.#talk.earlier) this.#talk.send({ type: "more", count: this.#talk.earlier });
    this.look();
  }

  hide() {
    this.element.hidden = true;
    this.#mark([]);
    this.#back?.focus?.();
  }

  // Look again: the words or the transcript have changed.
  look() {
    if (this.element.hidden) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#search(), PAUSE);
  }

  close() {
    clearTimeout(this.#timer);
    this.#mark([]);
  }

  #search() {
    const words = this.input.value.toLocaleLowerCase();
    const before = this.#found[this.#at];
    this.#mark(words ? matches(this.#transcript.list, words) : []);
    this.#at = -1;
    this.count.textContent = words && !this.#found.length ? "no match" : "";
    if (!this.#found.length) return;
    const same = this.#found.findIndex((range) => before && range.startContainer === before.startContainer && range.startOffset === before.startOffset);
    this.#at = same >= 0 ? same - 1 : this.#found.length - 2;
    this.#go(1, same < 0);
  }

  #go(step, move = true) {
    if (!this.#found.length) return;
    this.#at = (this.#at + step + this.#found.length) % this.#found.length;
    const here = this.#found[this.#at];
    this.count.textContent = `${this.#at + 1} of ${this.#found.length}${this.#found.length === MOST ? "+" : ""}`;
    this.#say(`Match ${this.count.textContent}`);
    MARKS?.set("kimi-here", new Highlight(here));
    if (!move) return;
    this.#transcript.follower.release();
    here.startContainer.parentElement.scrollIntoView({ block: "center" });
    if (!MARKS) getSelection().setBaseAndExtent(here.startContainer, here.startOffset, here.endContainer, here.endOffset);
  }

  #mark(ranges) {
    this.#found = ranges;
    if (!MARKS) return;
    if (ranges.length) MARKS.set("kimi-found", new Highlight(...ranges));
    else ["kimi-found", "kimi-here"].forEach((name) => MARKS.delete(name));
  }
}

// All places of a text, in order of the page. A match lies within one block's text, over its coloured pieces.
function matches(root, words) {
  const found = [];
  const blocks = root.querySelectorAll(".kp-bubble, .kp-reply :is(p, li, pre, td, th, h1, h2, h3, h4, h5, h6, blockquote), .kp-thinking > div");
  for (const block of blocks) {
    if (block.closest(SKIP) || block.querySelector("p, li, pre")) continue;
    const nodes = [];
    const walker = document.createTreeWalker(block, NodeFilter.SHOW_TEXT);
    for (let length = 0; walker.nextNode(); length += walker.currentNode.data.length) nodes.push([length, walker.currentNode]);
    const text = nodes.map(([, { data }]) => data).join("").toLocaleLowerCase();
    for (let at = text.indexOf(words); at >= 0 && found.length < MOST; at = text.indexOf(words, at + words.length)) {
      found.push(rangeOf(nodes, at, at + words.length));
    }
  }
  return found;
}

function rangeOf(nodes, start, end) {
  const range = document.createRange();
  const place = (offset) => nodes.findLast(([from]) => from <= offset);
  const [from, first] = place(start);
  const [to, last] = place(end - 1);
  range.setStart(first, Math.min(start - from, first.data.length));
  range.setEnd(last, Math.min(end - to, last.data.length));
  return range;
}
