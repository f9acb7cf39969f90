// Files that go along: chosen, pasted or dropped. Each goes to the kernel at once, which checks what it is; what stands
// here is its chip. A picture is previewed from the reader's own copy until the kernel has made a thumbnail.

import { button, h, safe } from "./dom.js";

const size = (bytes) => (bytes < 1024 * 1024 ? `${Math.ceil(bytes / 1024)} kB` : `${(bytes / 1024 / 1024).toFixed(1)} MB`);

export class Attachments {
  #talk;
  #say;
  #changed;
  #files = new Map();  // key → {name, element, ok}
  #sent = new Map();

  constructor(talk, say, changed) {
    this.#talk = talk;
    this.#say = say;
    this.#changed = changed;
    this.picker = h("input", { type: "file", multiple: true, hidden: true, accept: talk.get("limits").accept, onchange: () => {
      this.add(this.picker.files);
      this.picker.value = "";
    } });
    this.element = h("ul", { class: "kp-chips", hidden: true, aria: { label: "Attachments" } });
  }

  // The keys of what the kernel has accepted.
  get keys() {
    return [...this.#files].filter(([, { ok }]) => ok).map(([key]) => key);
  }

  get waiting() {
    return [...this.#files.values()].some(({ ok }) => ok === undefined);
  }

  add(files) {
    for (const file of files) this.#add(file);
  }

  // They have been sent with a question; `restore` takes them back where it could not be asked.
  clear() {
    this.#sent = this.#files;
    this.#files = new Map();
    this.#shown();
  }

  restore(keys) {
    this.#files = new Map([...[...this.#sent].filter(([key]) => keys.includes(key)), ...this.#files]);
    this.#shown();
  }

  async #add(file) {
    const { bytes, files } = this.#talk.get("limits");
    const key = this.#talk.key();
    const name = file.name || "pasted";
    const one = { name, ok: undefined, element: this.#chip(key, name) };
    if (this.#files.size >= files) return this.#say(`At most ${files} files go along.`);
    this.#files.set(key, one);
    this.#shown();
    if (file.size > bytes) return this.#settle(one, { ok: false, name, error: `${size(file.size)} is more than ${size(bytes)}.` });
    const local = /^image\/(png|jpeg|gif|webp)$/.test(file.type) ? URL.createObjectURL(file) : "";
    if (local) one.element.prepend(h("img", { src: local, alt: "" }));
    try {
      const buffers = [await file.arrayBuffer()];
      this.#settle(one, await this.#talk.ask({ type: "attach", name, media: file.type }, { buffers, key }));
    } catch {
      this.#settle(one, { ok: false, name, error: "It cannot be read (a folder?)." });
    }
    if (local) URL.revokeObjectURL(local);
    return undefined;
  }

  #chip(key, name) {
    return h("li", { class: "kp-chip" }, h("span", {}, name), h("small", {}, "…"), button("close", `Leave ${name} out`, () => this.#remove(key)));
  }

  #settle(one, { ok, name, detail = "", tokens, html, error }) {
    one.ok = Boolean(ok);
    const [words, small] = [one.element.querySelector("span"), one.element.querySelector("small")];
    one.element.classList.toggle("kp-bad", !ok);
    words.textContent = name || one.name;
    small.textContent = ok ? [detail, tokens ? `≈ ${tokens.toLocaleString("en")} tokens` : ""].filter(Boolean).join(" · ") : error;
    one.element.title = small.textContent;
    if (html) {
      one.element.querySelector("img")?.remove();
      one.element.prepend(safe(html));
    }
    this.#say(ok ? `${one.name} goes along.` : `${one.name}: ${error}`);
    this.#changed();
  }

  #remove(key) {
    if (this.#files.get(key)?.ok) this.#talk.send({ type: "detach", key });
    this.#files.delete(key);
    this.#shown();
    this.#changed();
  }

  #shown() {
    this.element.hidden = this.#files.size === 0;
    this.element.replaceChildren(...[...this.#files.values()].map(({ element }) => element));
  }
}
