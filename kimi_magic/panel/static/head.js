// The line above the transcript: conversation, model, effort, tools, search. Native menus: every reader and keyboard
// knows them.

import { button, h } from "./dom.js";

const MENUS = [["conversation", "Conversation"], ["model", "Model"], ["effort", "Effort"]];

export class Head {
  #talk;
  #selects = new Map();
  #panel = h("fieldset", { class: "kp-toolset", hidden: true });

  constructor(talk, search) {
    this.#talk = talk;
    const selects = MENUS.map(([name, label]) => this.#select(name, label));
    this.tools = button("tool", "Tools", () => this.#toggle(), { aria: { expanded: "false" } });
    this.element = h(
      "header",
      { class: "kp-head" },
      selects[0],
      h("span", { class: "kp-space" }),
      ...selects.slice(1),
      this.tools,
      button("search", "Search the transcript", search),
    );
    this.below = this.#panel;
    this.show();
  }

  show() {
    const choices = this.#talk.get("choices");
    for (const [name, select] of this.#selects) {
      const { value, options = [] } = choices[name] || {};
      select.hidden = !options.length;
      select.replaceChildren(...options.map((each) => h("option", { value: each.value, title: each.detail || null, selected: each.value === value }, each.label)));
      select.value = value;
      select.disabled = !this.#talk.attached;
    }
    this.tools.hidden = !choices.tools?.options?.length;
    this.#list(choices);
  }

  #select(name, label) {
    const select = h("select", { class: `kp-select kp-${name}`, title: label, aria: { label }, onchange: () => this.#talk.send({ type: "set", name, value: select.value }) });
    this.#selects.set(name, select);
    return select;
  }

  #toggle() {
    this.#panel.hidden = !this.#panel.hidden;
    this.tools.setAttribute("aria-expanded", String(!this.#panel.hidden));
  }

  #list({ tools, approve }) {
    if (!tools) return;
    const chosen = new Set(tools.value);
    const set = () => {
      const names = [...this.#panel.querySelectorAll("input:checked")].map(({ value }) => value);
      this.#talk.send({ type: "set", name: "tools", value: names });
    };
    const boxes = tools.options.map(({ value, label, detail }) => h(
      "label",
      { title: detail || null },
      h("input", { type: "checkbox", value, checked: chosen.has(value), onchange: set }),
      ` ${label}`,
    ));
    const again = document.activeElement?.closest?.(".kp-toolset") === this.#panel ? document.activeElement.value : null;
    this.#panel.replaceChildren(h("legend", {}, "Tools that the model may call"), ...boxes, approve?.options?.length ? this.#approval(approve) : "");
    if (again) [...this.#panel.querySelectorAll("input")].find(({ value }) => value === again)?.focus();
  }

  #approval({ value, options }) {
    const select = h("select", { class: "kp-select", onchange: () => this.#talk.send({ type: "set", name: "approve", value: select.value }) });
    select.append(...options.map((each) => h("option", { value: each.value, selected: each.value === value }, each.label)));
    return h("label", { class: "kp-approve" }, "Approval: ", select);
  }
}
