// The list of turns: keeps the page like the talk's copy, follows the end, loads earlier turns when the reader comes near.

import { h } from "./dom.js";
import { Follower } from "./scroll.js";
import { Turn, runs } from "./turn.js";

const CHUNK = 60;  // earlier entries that are asked for at once
const REST = 3;  // a paint is followed by a pause of so many times what it took

export class Transcript {
  #context;
  #talk;
  #turns = new Map();
  #dirty = new Map();  // turn → {pieces: set of indexes, fields: what else changed}
  #scheduled = false;
  #rested = 0;
  #list = h("div", { class: "kp-turns" });
  #sentinel = h("div", { class: "kp-earlier", hidden: true });
  #asked = false;

  constructor(context, empty) {
    this.#context = context;
    this.#talk = context.talk;
    this.empty = empty;
    this.#sentinel.append(h("button", { type: "button", class: "kp-button", onclick: () => this.more() }, "Earlier turns"));
    const inner = h("div", {}, this.#sentinel, this.#list);
    this.log = h("div", { class: "kp-log", tabindex: "0", role: "region", aria: { label: "Transcript" } }, inner, empty);
    this.follower = new Follower(this.log, inner);
    this.element = h("div", { class: "kp-body" }, this.log, this.follower.button);
    this.near = new IntersectionObserver(([{ isIntersecting }]) => isIntersecting && this.more(), { root: this.log, rootMargin: "600px 0px" });
    this.reset();
  }

  get list() {
    return this.#list;
  }

  turn(id) {
    return this.#turns.get(id);
  }

  // Show the talk's copy, all of it. Turns that stay are kept, so that nothing jumps.
  reset() {
    const kept = this.#turns;
    this.#turns = new Map();
    const elements = this.#talk.entries.map((entry) => {
      const turn = kept.get(entry.id);
      if (turn) turn.show(entry);
      this.#turns.set(entry.id, turn || new Turn(entry, this.#context));
      return this.#turns.get(entry.id).element;
    });
    this.#dirty.clear();
    this.#list.replaceChildren(...elements);
    this.#edges();
    this.follower.follow();
  }

  put({ entry, before, fresh }) {
    const turn = this.#turns.get(entry.id);
    if (!turn) {
      this.#turns.set(entry.id, new Turn(entry, this.#context));
      this.#list.insertBefore(this.#turns.get(entry.id).element, this.#turns.get(before)?.element ?? null);
    } else {
      this.#dirty.delete(turn);
      turn.show(entry);
    }
    this.#edges();
    if (fresh) this.follower.follow();
  }

  remove({ id }) {
    this.#turns.get(id)?.element.remove();
    this.#turns.delete(id);
    this.#edges();
  }

  // Note what a delta changed; it is painted with the next frame, or after a pause where painting is dear.
  grow({ entry, delta }) {
    const turn = this.#turns.get(entry.id);
    if (!turn) return;
    const dirty = this.#dirty.get(turn) || { pieces: new Set(), fields: {} };
    for (const { at } of delta.pieces || []) dirty.pieces.add(at);
    Object.assign(dirty.fields, delta.set);
    this.#dirty.set(turn, dirty);
    if (this.#scheduled) return;
    this.#scheduled = true;
    const wait = this.#rested - performance.now();
    if (wait > 16) setTimeout(() => requestAnimationFrame(() => this.#paint()), wait);
    else requestAnimationFrame(() => this.#paint());
  }

  // Paint now what waits for a frame.
  flush() {
    if (this.#dirty.size) this.#paint();
  }

  #paint() {
    const start = performance.now();
    this.#scheduled = false;
    for (const [turn, { pieces, fields }] of this.#dirty) turn.grow(pieces, fields);
    this.#dirty.clear();
    this.follower.stay();
    const end = performance.now();
    this.#rested = end + REST * (end - start);
  }

  more() {
    if (!this.#talk.earlier || this.#asked) return;
    this.#asked = true;
    this.#talk.send({ type: "more", count: CHUNK });
  }

  // Put earlier turns above, and leave the reader where they are.
  before({ entries }) {
    this.#asked = false;
    const fresh = entries.map((entry) => {
      const turn = new Turn(entry, this.#context);
      this.#turns.set(entry.id, turn);
      return turn.element;
    });
    const first = this.#list.firstElementChild;
    const stood = first?.getBoundingClientRect().top;
    this.log.style.overflowAnchor = "none";
    this.#list.prepend(...fresh);
    this.#edges();
    if (first) this.log.scrollTop += first.getBoundingClientRect().top - stood;
    requestAnimationFrame(() => { this.log.style.overflowAnchor = ""; });
  }

  // A newly loaded chunk may leave the reader near the beginning still: look again.
  #edges() {
    this.#sentinel.hidden = !this.#talk.earlier;
    this.near.unobserve(this.#sentinel);
    if (this.#talk.earlier) this.near.observe(this.#sentinel);
    this.empty.hidden = this.#talk.entries.length > 0 || this.#talk.earlier > 0;
  }

  get running() {
    return this.#talk.entries.some((entry) => runs(entry) && entry.state !== "queued");
  }

  close() {
    this.near.disconnect();
    this.follower.stop();
  }
}
