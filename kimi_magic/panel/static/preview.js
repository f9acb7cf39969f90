// What would go along with the question as it stands, and about how many tokens: asked of the kernel when typing pauses.

import { button, h } from "./dom.js";

const PAUSE = 500;  // ms

export class Preview {
  #talk;
  #draft;
  #timer = 0;
  #asking = false;
  #again = false;

  constructor(talk, draft) {
    this.#talk = talk;
    this.#draft = draft;
    this.estimate = h("output", { class: "kp-estimate kp-narrow-out", aria: { live: "off", label: "Estimate" } });
    this.element = h("section", { class: "kp-preview", hidden: true, tabindex: "0", aria: { label: "Preview" } });
    this.toggle = button("eye", "What goes along", () => this.#toggle(), { aria: { expanded: "false" } });
  }

  // The question has changed.
  look() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), PAUSE);
  }

  // The question has been sent.
  clear() {
    clearTimeout(this.#timer);
    this.estimate.textContent = "";
    if (!this.element.hidden) this.#toggle();
  }

  stop() {
    clearTimeout(this.#timer);
  }

  #toggle() {
    this.element.hidden = !this.element.hidden;
    this.toggle.setAttribute("aria-expanded", String(!this.element.hidden));
    if (!this.element.hidden) {
      this.element.replaceChildren(h("p", {}, "Looking …"));
      this.#ask();
    }
  }

  async #ask() {
    if (this.#asking) {
      this.#again = true;  // one at a time: a kernel that is busy shall not find a heap of these
      return;
    }
    const { text, attachments } = this.#draft();
    if (!text.trim() || /^\/[a-z]*$/.test(text)) {  // a command is being written
      this.#show({ parts: [], text: "", tokens: 0 });
      return;
    }
    this.#asking = true;
    this.#show(await this.#talk.ask({ type: "preview", text, attachments }, { quiet: true }));
    this.#asking = false;
    if (this.#again) {
      this.#again = false;
      this.look();
    }
  }

  #show({ parts, text, error }) {
    const empty = !this.#draft().text.trim();
    this.estimate.textContent = empty ? "" : error ? "!" : text;
    this.estimate.title = error || "";
    if (this.element.hidden) return;
    const lines = (parts || []).map(({ name, kind, tokens, notes }) => h(
      "li",
      {},
      h("span", {}, h("strong", {}, name), kind && name.split(" ")[0] !== kind ? ` ${kind}` : "", notes?.length ? ` · ${[notes].flat().join(" · ")}` : ""),
      h("span", {}, `≈ ${Number(tokens).toLocaleString("en")} tokens`),
    ));
    this.element.replaceChildren(
      h("header", {}, h("span", {}, "What goes along"), button("close", "Close", () => this.#toggle())),
      lines.length ? h("ul", {}, lines) : h("p", {}, error ? "" : "Nothing yet: write a question."),
      error ? h("p", { class: "kp-error" }, error) : h("p", {}, text || ""),
    );
  }
}
