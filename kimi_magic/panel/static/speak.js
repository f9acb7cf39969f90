// A live region that says sentences. Screen readers hear what happened and the reply as it comes, never half a word.

import { h } from "./dom.js";

const PAUSE = 1500;  // ms between two things said while a reply comes
const SENTENCE = /[^]*?[.!?…。！？:](?=[\s"')\]]|$)|[^]*?\n/y;

export class Speaker {
  #node = h("div", { class: "kp-unseen", role: "status", aria: { live: "polite" } });
  #rest = "";
  #ready = [];
  #timer = 0;

  get element() {
    return this.#node;
  }

  // Say one thing that has happened, now.
  say(text) {
    this.#node.replaceChildren(h("p", {}, text));
  }

  // Take the next text of a reply; its whole sentences are said in turn.
  hear(text) {
    this.#rest += text;
    for (;;) {
      SENTENCE.lastIndex = 0;
      const found = SENTENCE.exec(this.#rest);
      if (!found || !found[0] || (found[0].length === this.#rest.length && !found[0].endsWith("\n"))) break;
      this.#rest = this.#rest.slice(found[0].length);
      if (found[0].trim()) this.#ready.push(found[0].trim());
    }
    if (this.#ready.length && !this.#timer) this.#timer = setTimeout(() => this.#flush(), PAUSE);
  }

  // The reply has ended: say the rest of it.
  finish(ending) {
    if (this.#rest.trim()) this.#ready.push(this.#rest.trim());
    this.#rest = "";
    this.#ready.push(ending);
    this.#flush();
  }

  close() {
    clearTimeout(this.#timer);
  }

  #flush() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    if (this.#ready.length) this.say(this.#ready.splice(0).join(" "));
  }
}
