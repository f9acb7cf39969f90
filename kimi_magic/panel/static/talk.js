// The model's side of the panel: its copy of the transcript, and the messages to and from the kernel. Views listen; one
// Talk serves all views of a model. Traits come whole; in between, `entry`, `delta` and `earlier` messages keep the copy.

const PATIENCE = 700;  // ms without an acknowledgement until the panel says that it waits

const cut = (old, keep, more) => (keep === undefined ? more : old.slice(0, keep) + more);

export class Talk extends EventTarget {
  #model;
  #serial = 0;
  #prefix = Math.random().toString(36).slice(2, 8);
  #open = new Map();  // key → {resolve, timer, late}
  #deaf = new Set();  // entries whose deltas have a gap
  #position = new Map();  // id → index
  entries = [];
  earlier = 0;
  lost = false;

  constructor(model, signal) {
    super();
    this.#model = model;
    this.#take();
    const whole = () => { this.#take(); this.#emit("transcript"); };
    model.on("change:version", whole);  // a transcript may come that equals the last one which came whole
    model.on("change:transcript", whole);
    for (const name of ["status", "choices", "usage", "suggestions", "commands", "limits", "later"]) {
      model.on(`change:${name}`, () => this.#emit(name));
    }
    model.on("msg:custom", (message) => this.#hear(message));
    model.on("comm_live_update", () => { this.lost = true; this.#emit("status"); });
    signal?.addEventListener("abort", () => { for (const { timer } of this.#open.values()) clearTimeout(timer); });
    this.send({ type: "ready" });
  }

  get(name) {
    return this.#model.get(name);
  }

  get manager() {
    return this.#model.widget_manager;
  }

  entry(id) {
    return this.entries[this.#position.get(id)];
  }

  get attached() {
    return !this.lost && this.get("status").attached !== false;
  }

  // Whether something that was sent has not even been acknowledged: a cell runs, and the front end has to wait for it.
  get unheard() {
    return [...this.#open.values()].some(({ late }) => late);
  }

  send(message, buffers) {
    if (!this.lost) this.#model.send(message, undefined, buffers);
  }

  // Send a message with a key; resolves to the kernel's answer. `ack` alone is an answer where nothing else will come.
  ask(message, { buffers, key = this.key(), quiet = false } = {}) {
    return new Promise((resolve) => {
      const open = { resolve, late: false, timer: 0, type: message.type };
      open.timer = setTimeout(() => { open.late = !quiet; this.#emit("waiting"); }, PATIENCE);
      this.#open.set(key, open);
      this.send({ ...message, key }, buffers);
    });
  }

  key() {
    this.#serial += 1;
    return `${this.#prefix}-${this.#serial}`;
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #take() {
    this.entries = structuredClone(this.#model.get("transcript"));
    this.earlier = this.#model.get("earlier");
    this.#deaf.clear();
    this.#index();
  }

  #index() {
    this.#position = new Map(this.entries.map(({ id }, at) => [id, at]));
  }

  #hear(message) {
    if (message.key && this.#open.has(message.key)) this.#answer(message);
    const take = {
      entry: () => this.#entry(message),
      delta: () => this.#delta(message),
      gone: () => this.#gone(message.id),
      earlier: () => this.#earlier(message),
    }[message.type];
    if (take) take();
    else if (message.type !== "ack") this.#emit(message.type, message);
  }

  #answer(message) {
    const open = this.#open.get(message.key);
    const late = open.late;
    clearTimeout(open.timer);
    open.late = false;
    if (message.type !== "ack") {
      this.#open.delete(message.key);
      open.resolve(message);
    } else if (["ask", "edit", "detach"].includes(open.type)) {
      this.#open.delete(message.key);
      open.resolve(message);
    }
    if (late) this.#emit("waiting");
  }

  #entry({ entry, before }) {
    this.#deaf.delete(entry.id);
    const at = this.#position.get(entry.id);
    if (at === undefined) {
      this.entries.splice(this.#position.get(before) ?? this.entries.length, 0, entry);
      this.#index();
    } else {
      this.entries[at] = entry;
    }
    this.#emit("entry", { entry, before, fresh: at === undefined });
  }

  #gone(id) {
    const at = this.#position.get(id);
    if (at === undefined) return;
    this.entries.splice(at, 1);
    this.#index();
    this.#emit("gone", { id });
  }

  #earlier({ entries, earlier }) {
    const fresh = entries.filter(({ id }) => !this.#position.has(id));
    this.entries.unshift(...fresh);
    this.earlier = earlier;
    this.#index();
    this.#emit("earlier", { entries: fresh });
  }

  #delta(delta) {
    const entry = this.entry(delta.id);
    if (!entry || this.#deaf.has(delta.id)) return;
    if (delta.seq <= entry.seq) return;
    if (delta.seq > entry.seq + 1) {
      this.#deaf.add(delta.id);
      this.send({ type: "ready" });
      return;
    }
    entry.seq = delta.seq;
    Object.assign(entry, delta.set);
    for (const change of delta.pieces || []) grow(entry.pieces, change);
    this.#emit("delta", { entry, delta });
  }
}

// Apply one change of a delta to the pieces of an entry.
function grow(pieces, { at, new: fresh, set, more, blocks, tail }) {
  if (fresh) pieces[at] = fresh;
  const piece = pieces[at];
  Object.assign(piece, set);
  if (more) piece.text += more;
  if (blocks) piece.blocks.push(...blocks);
  if (tail) {
    piece.tail = {
      html: cut(piece.tail.html, tail.keep, tail.html),
      source: cut(piece.tail.source, tail.source_keep, tail.source),
    };
  }
}
