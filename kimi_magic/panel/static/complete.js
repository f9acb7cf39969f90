// Completion in the input: after "/" at its start and inside "{{". The kernel knows the words; here stands the list.

import { h } from "./dom.js";

const SLASH = /^\/[^\s]*$/;
const OBJECT = /\{\{[^{}\n]*$/;
let lists = 0;

export class Completion {
  #input;
  #talk;
  #say;
  #items = [];
  #range = [0, 0];
  #at = 0;
  #serial = 0;

  constructor(input, talk, say) {
    this.#input = input;
    this.#talk = talk;
    this.#say = say;
    lists += 1;
    this.element = h("div", { class: "kp-menu", role: "listbox", id: `kp-menu-${lists}`, hidden: true, aria: { label: "Completions" } });
    this.element.addEventListener("mousedown", (event) => {
      event.preventDefault();  // the input keeps the focus
      const option = event.target.closest(".kp-option");
      if (option) this.#take(Number(option.dataset.at));
    });
    input.setAttribute("aria-controls", this.element.id);
    input.setAttribute("aria-autocomplete", "list");
  }

  get open() {
    return !this.element.hidden;
  }

  // Look whether there is something to complete where the cursor stands.
  async look() {
    const { value, selectionStart: cursor } = this.#input;
    const before = value.slice(0, cursor);
    this.#serial += 1;
    if (!SLASH.test(before) && !OBJECT.test(before)) return this.close();
    const mine = this.#serial;
    const { items, start, end } = await this.#talk.ask({ type: "complete", text: value, cursor }, { quiet: true });
    if (mine !== this.#serial || this.#input.value !== value) return undefined;
    this.#range = [start, end];
    return this.#show(items);
  }

  close() {
    this.#serial += 1;
    if (!this.open) return;
    this.element.hidden = true;
    this.#input.removeAttribute("aria-activedescendant");
  }

  // Take a key while the list is open; gives whether it was meant for the list.
  key({ key }) {
    if (!this.open) return false;
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 6, PageUp: -6 }[key];
    if (step) {
      const last = this.#items.length - 1;
      const to = this.#at + step;
      this.#mark(Math.abs(step) === 1 ? (to + last + 1) % (last + 1) : Math.min(last, Math.max(0, to)));
    } else if (key === "Enter" && this.#stands()) {
      this.close();
      return false;  // nothing is left to complete: it is sent
    } else if (key === "Enter" || key === "Tab") this.#take(this.#at);
    else if (key === "Escape") this.close();
    else return false;
    return true;
  }

  #show(items) {
    this.#items = items;
    if (!items.length) return this.close();
    this.element.replaceChildren(...items.map(({ label, detail, kind, text }, at) => h(
      "div",
      { class: "kp-option", role: "option", id: `${this.element.id}-${at}`, data: { at, kind } },
      h("code", {}, label || text),
      h("span", {}, detail || ""),
    )));
    this.element.hidden = false;
    this.#mark(0);
    this.#say(items.length === 1 ? "1 completion" : `${items.length} completions`);
    return undefined;
  }

  #mark(at) {
    this.#at = at;
    [...this.element.children].forEach((option, n) => option.setAttribute("aria-selected", String(n === at)));
    const chosen = this.element.children[at];
    this.#input.setAttribute("aria-activedescendant", chosen.id);
    chosen.scrollIntoView({ block: "nearest" });
  }

  // Whether the chosen item stands there already, and nothing of it is missing.
  #stands() {
    const [start, end] = this.#range;
    const item = this.#items[this.#at];
    return item.text.trim() === this.#input.value.slice(start, end).trim() && !this.#closing(item);
  }

  // The braces that an object still lacks behind it, so that who types on is outside of them.
  #closing({ kind }) {
    return kind === "object" && !/^[^{\n]*\}\}/.test(this.#input.value.slice(this.#range[1])) ? " }} " : "";
  }

  #take(at) {
    const item = this.#items[at];
    const [start, end] = this.#range;
    const text = item.text + this.#closing(item);
    this.close();
    this.#input.setRangeText(text, start, end, "end");
    this.#input.dispatchEvent(new Event("input", { bubbles: true }));
    this.#input.focus();
  }
}
