// Follows the end of a growing list, and lets go as soon as the reader looks elsewhere.

import { button } from "./dom.js";

const NEAR = 32;  // pixels from the end that count as the end

export class Follower {
  #list;
  #following = true;
  #at = 0;
  #hidden = false;

  constructor(list, inner) {
    this.#list = list;
    this.button = button("down", "Go to the end", () => this.follow(), { text: "", class: "kp-button kp-latest", hidden: true });
    list.addEventListener("scroll", () => this.#look(), { passive: true });
    this.observer = new ResizeObserver(() => this.stay());
    this.observer.observe(inner);
    this.observer.observe(list);
  }

  // Go to the end and stay there.
  follow() {
    this.#following = true;
    this.stay();
  }

  // Stay where the reader is now.
  release() {
    this.#following = false;
  }

  #look() {
    if (!this.#list.clientHeight) return;  // not on the page: JupyterLab takes cells out that are far from view
    const { scrollTop, scrollHeight, clientHeight } = this.#list;
    const atEnd = scrollHeight - scrollTop - clientHeight < NEAR;
    if (atEnd) this.#following = true;
    else if (scrollTop < this.#at) this.#following = false;  // only a reader scrolls up
    this.#at = scrollTop;
    this.button.hidden = this.#following;
  }

  // Go to the end again where it has moved on.
  stay() {
    if (this.#following) this.#list.scrollTop = this.#list.scrollHeight;
    else if (this.#hidden) this.#list.scrollTop = this.#at;  // it came back with its place forgotten
    this.#hidden = !this.#list.clientHeight;
    this.#look();
  }

  stop() {
    this.observer.disconnect();
  }
}
