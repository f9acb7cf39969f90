// What the place around the panel can do beyond a browser: typeset formulas, and take a new cell. JupyterLab and
// Notebook 7 can both, through the widget manager; elsewhere formulas stay as they are written, and code is copied.

export class Place {
  #manager;
  #element;

  constructor(manager, element) {
    this.#manager = manager;
    this.#element = element;
  }

  get #notebook() {
    const shared = this.#manager?.context?.model?.sharedModel;
    return typeof shared?.insertCell === "function" ? shared : null;
  }

  get cells() {
    return this.#notebook !== null && !this.#manager.context.model.readOnly;
  }

  // Put code into the empty cell below the panel, or into a new one there; gives the sentence that says so.
  insert(source) {
    const notebook = this.#notebook;
    const at = this.#cell(notebook) + 1;
    const next = notebook.cells[at];
    if (next && next.cell_type === "code" && !next.getSource().trim()) {
      next.setSource(source);
      return "The code is in the next cell.";
    }
    notebook.insertCell(at, { cell_type: "code", source, metadata: {} });
    return "The code is in a new cell below.";
  }

  // Which cell the panel stands in; the last one where that cannot be seen.
  #cell(notebook) {
    const own = this.#element.closest(".jp-Cell");
    const views = this.#manager?.context && own ? [...own.parentElement.querySelectorAll(":scope > .jp-Cell")] : [];
    const ids = views.map((view) => view.dataset.windowedListIndex);
    const index = own?.dataset.windowedListIndex ?? (ids.every((id) => id === undefined) ? views.indexOf(own) : -1);
    return index >= 0 ? Number(index) : notebook.cells.length - 1;
  }

  typeset(node) {
    if (!node.querySelector?.(".kimi-math")) return;
    const typesetter = this.#manager?._rendermime?.latexTypesetter ?? this.#manager?.renderMime?.latexTypesetter;
    if (typesetter) typesetter.typeset(node);
    else globalThis.MathJax?.typesetPromise?.([node]);
  }
}
