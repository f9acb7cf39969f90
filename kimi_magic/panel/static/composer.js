// Where a question is written. Enter sends and Shift+Enter breaks the line, but not while an input method composes; Up in
// an empty input brings back what was asked before. What was not acknowledged is never lost: it comes back as a draft.

import { Attachments } from "./attach.js";
import { Completion } from "./complete.js";
import { button, h } from "./dom.js";
import { Preview } from "./preview.js";

const GROWS = CSS.supports("field-sizing", "content");

export class Composer {
  #talk;
  #say;
  #sent;
  #past = -1;  // how far back in the questions asked before
  #kept = "";  // what stood in the input before going there
  #editing = null;

  constructor(context, sent) {
    this.#talk = context.talk;
    this.#say = context.say;
    this.#sent = sent;
    this.input = h("textarea", { rows: "1", placeholder: "Ask about your notebook. {{ for objects, / for commands", aria: { label: "Question" }, title: "Enter sends, Shift+Enter breaks the line, Up brings back the last question" });
    this.attachments = new Attachments(this.#talk, this.#say, () => this.#changed());
    this.preview = new Preview(this.#talk, () => ({ text: this.input.value, attachments: this.attachments.keys }));
    this.completion = new Completion(this.input, this.#talk, this.#say);
    this.sendButton = button("send", "Send", () => this.send(), { class: "kp-button kp-primary kp-round" });
    this.stopButton = button("stop", "Stop the reply", () => this.stop(), { class: "kp-button kp-plain kp-round", hidden: true });
    this.laterButton = button("later", "Ask later, as a job", () => this.send("later"), { hidden: true });
    this.editBar = h("div", { class: "kp-editing", hidden: true }, h("span", {}, "Ask from here again: later turns stay on their own branch."), button("close", "Cancel the edit", () => this.#cancel()));
    this.box = h("div", { class: "kp-box" }, this.completion.element, this.editBar, this.attachments.element, this.input, this.#tools());
    this.element = h("form", { class: "kp-composer", onsubmit: (event) => event.preventDefault() }, this.preview.element, this.box);
    this.#listen();
    this.show();
  }

  // Follow the talk: whether something runs, whether jobs are offered, whether there is a kernel.
  show() {
    const { attached } = this.#talk;
    this.stopButton.hidden = !(attached && this.#talk.get("status").running);
    this.laterButton.hidden = !this.#talk.get("later");
    this.input.disabled = !attached;
    for (const each of this.element.querySelectorAll(".kp-tools button")) each.disabled = !attached;
    this.#changed({ quiet: true });
  }

  fill(text) {
    this.input.value = text;
    this.input.focus();
    this.input.setSelectionRange(text.length, text.length);
    this.#changed();
  }

  // Take back a question that could not be asked, unless another one is being written.
  refill({ text, attachments = [] }) {
    if (this.input.value.trim()) return;
    this.fill(text);
    this.attachments.restore(attachments);
  }

  edit(entry) {
    this.#editing = entry.turn;
    this.editBar.hidden = false;
    this.fill(entry.question.edit ?? entry.question.text);
    this.#say("Editing a question. Escape goes back.");
  }

  stop() {
    this.#talk.send({ type: "stop" });
    this.stopButton.disabled = true;
    setTimeout(() => { this.stopButton.disabled = false; }, 1000);
  }

  async send(type = "ask") {
    const text = this.input.value;
    const attachments = this.attachments.keys;
    if (!this.#talk.attached || !text.trim()) return;
    if (this.attachments.waiting) return void this.#say("A file is on its way still.");
    const message = this.#editing && type === "ask" ? { type: "edit", turn: this.#editing } : { type };
    this.#cancel();
    this.#past = -1;
    this.attachments.clear();
    this.preview.clear();
    this.completion.close();
    this.fill("");
    this.#sent(text);
    const answer = await this.#talk.ask({ ...message, text, attachments });
    if (answer.type === "done") this.#say(answer.text);
  }

  close() {
    this.preview.stop();
  }

  #tools() {
    const { picker } = this.attachments;
    return h(
      "div",
      { class: "kp-tools" },
      picker,
      button("attach", "Attach files", () => picker.click()),
      button("object", "Insert a live object", () => this.#object()),
      this.preview.toggle,
      h("span", { class: "kp-space" }),
      this.preview.estimate,
      this.laterButton,
      this.stopButton,
      this.sendButton,
    );
  }

  #listen() {
    this.input.addEventListener("input", () => {
      this.#past = -1;
      this.#changed();
      this.completion.look();
    });
    this.input.addEventListener("keydown", (event) => this.#key(event));
    this.input.addEventListener("blur", () => this.completion.close());
    this.input.addEventListener("paste", (event) => {
      const { files } = event.clipboardData;
      if (!files.length) return;
      event.preventDefault();
      this.attachments.add(files);
    });
    const drag = (dropping) => (event) => {
      if (![...event.dataTransfer.types].includes("Files")) return;
      event.preventDefault();
      event.stopPropagation();
      this.box.classList.toggle("kp-dropping", dropping);
    };
    this.element.addEventListener("dragover", drag(true));
    this.element.addEventListener("dragleave", drag(false));
    this.element.addEventListener("drop", (event) => {
      drag(false)(event);
      this.attachments.add(event.dataTransfer.files);
    });
  }

  #key(event) {
    if (event.isComposing || event.keyCode === 229) return;  // 229: Safari's Enter that ends a composition
    const plain = !event.shiftKey && !event.altKey && !event.ctrlKey && !event.metaKey;
    if (plain && this.completion.key(event)) return void event.preventDefault();
    if (event.key === "Enter" && !event.shiftKey && !event.altKey) this.send();
    else if (event.key === "Escape" && this.#editing) this.#cancel({ empty: true });
    else if (event.key === "ArrowUp" && plain && (this.#past >= 0 || !this.input.value)) this.#recall(1);
    else if (event.key === "ArrowDown" && plain && this.#past >= 0) this.#recall(-1);
    else return;
    event.preventDefault();
  }

  #recall(step) {
    const asked = this.#talk.entries.filter(({ kind, question }) => kind === "turn" && question.text).map(({ question }) => question.edit || question.text).reverse();
    const to = this.#past + step;
    if (to >= asked.length) return;
    if (this.#past < 0) this.#kept = this.input.value;
    this.fill(to < 0 ? this.#kept : asked[to]);
    this.#past = to;
  }

  #object() {
    const { value, selectionStart: at } = this.input;
    const space = at && !/\s$/.test(value.slice(0, at)) ? " " : "";
    this.input.setRangeText(`${space}{{ `, at, this.input.selectionEnd, "end");
    this.input.focus();
    this.input.dispatchEvent(new Event("input", { bubbles: true }));
  }

  #cancel({ empty = false } = {}) {
    this.#editing = null;
    this.editBar.hidden = true;
    if (empty) this.fill("");
  }

  #changed({ quiet = false } = {}) {
    const nothing = !this.input.value.trim();
    this.sendButton.disabled = nothing || !this.#talk.attached;
    this.laterButton.disabled = nothing || !this.#talk.attached;
    if (!GROWS) {
      this.input.style.height = "auto";
      this.input.style.height = `${this.input.scrollHeight}px`;
    }
    if (!quiet) this.preview.look();
  }
}
