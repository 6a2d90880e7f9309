// The buttons of a mask editor.
import { guarded, make } from "./elements.js";

const TOOLS = [
  ["click", "Click", "c", "Click on a thing. Right click or Take away takes parts away."],
  ["box", "Box", "b", "Draw a box around a thing."],
  ["everything", "All", "a", "Show all things; click to take them."],
  ["brush", "Brush", "p", "Paint the mask by hand."],
  ["eraser", "Eraser", "e", "Rub the mask out."],
  ["hand", "Move", "v", "Drag the picture. Two fingers or the wheel zoom."],
];

export const SHORTCUTS = new Map(TOOLS.map(([name, , key]) => [key, name]));

export class Toolbar {
  constructor(editor) {
    this.editor = editor;
    this.active = "click";
    this.tools = TOOLS.map(([name, word, key, help]) =>
      make("button", {
        type: "button",
        className: `tool tool-${name}`,
        title: `${help} (${key.toUpperCase()})`,
        "aria-pressed": "false",
        onclick: () => this.choose(name),
      }, word));
    this.amount = make("input", {
      type: "number", min: 1, max: 256, value: 8, className: "amount", "aria-label": "Pixels to grow, shrink or feather by",
    });
    this.size = make("input", {
      type: "range", min: 2, max: 400, "aria-label": "Brush size in pixels",
      oninput: () => (editor.brushPx = Number(this.size.value)),
    });
    this.element = make("div", { className: "toolbar", role: "toolbar", "aria-label": "Mask tools" },
      make("div", { className: "group tools" }, this.tools),
      make("div", { className: "tool-options" },
        this.#history(),
        this.#clickOptions(),
        this.sizeLabel = make("label", { className: "group brush-options", hidden: true }, "Size", this.size),
        this.#operations(),
        this.#zoom()));
    editor.onToolState = () => this.refresh();
    this.choose("click");
  }

  choose(name) {
    this.active = name;
    this.editor.choose(name);
  }

  resizeBrush(factor) {
    this.editor.brushPx = Math.max(2, Math.round(this.editor.brushPx * factor));
    this.refresh();
  }

  refresh() {
    const { editor } = this;
    this.tools.forEach((button, index) =>
      button.setAttribute("aria-pressed", String(TOOLS[index][0] === this.active)));
    const { label, fresh } = editor.tools.click;
    this.plus?.setAttribute("aria-pressed", String(label === 1));
    this.minus?.setAttribute("aria-pressed", String(label === 0));
    this.further?.setAttribute("aria-pressed", String(fresh));
    this.clickOptions.hidden = this.active !== "click";
    this.sizeLabel.hidden = !["brush", "eraser"].includes(this.active);
    this.size.max = String(Math.max(400, editor.brushPx));
    this.size.value = String(editor.brushPx);
    const { history } = editor;
    this.undo.disabled = !history.canUndo;
    this.redo.disabled = !history.canRedo;
    for (const button of this.needMask) button.disabled = !history.now.id;
  }

  #clickOptions() {
    const { click } = this.editor.tools;
    const set = (label) => () => {
      click.label = label;
      this.refresh();
    };
    const option = (word, label, work) => make("button", { type: "button", title: label, onclick: work }, word);
    this.plus = option("+ Add", "Points are on the thing", set(1));
    this.minus = option("− Take away", "Points are not on the thing (right click, or Alt and click)", set(0));
    this.further = option("New thing", "The next click begins a further thing (Shift and click)", () => {
      click.fresh = !click.fresh;
      this.refresh();
    });
    this.clickOptions = make("div", { className: "group" }, this.plus, this.minus, this.further);
    return this.clickOptions;
  }

  #operations() {
    const { maker } = this.editor;
    const pixels = () => {
      this.amount.value = String(Math.min(256, Math.max(1, Math.round(Number(this.amount.value)) || 1)));
      return Number(this.amount.value);
    };
    const button = (word, title, work) =>
      make("button", { type: "button", title, onclick: guarded(work) }, word);
    this.needMask = [
      button("Grow", "Widen the mask", () => maker.operate({ grow: pixels() })),
      button("Shrink", "Make the mask narrower", () => maker.operate({ shrink: pixels() })),
      button("Feather", "Soften the edge; once more takes it back", () =>
        maker.setFeather(this.editor.history.now.feather === pixels() ? 0 : pixels())),
      button("Invert", "Select everything else", () => maker.operate({ invert: true })),
      button("Clear", "No mask", () => maker.clear()),
    ];
    const [grow, shrink, feather, ...rest] = this.needMask;
    const label = make("label", { className: "pixels" }, this.amount, "px");
    return make("div", { className: "group" }, label, grow, shrink, feather, ...rest);
  }

  #history() {
    const { history } = this.editor;
    this.undo = make("button", { type: "button", title: "Undo (Ctrl+Z)", onclick: () => history.undo() }, "Undo");
    this.redo = make("button", { type: "button", title: "Redo (Ctrl+Shift+Z)", onclick: () => history.redo() }, "Redo");
    return make("div", { className: "group" }, this.undo, this.redo);
  }

  #zoom() {
    const { view } = this.editor;
    const button = (word, label, work) =>
      make("button", { type: "button", title: label, "aria-label": word.length > 1 ? null : label, onclick: work }, word);
    return make("div", { className: "group zoom" },
      button("−", "Zoom out (-)", () => view.zoomOut()),
      button("Fit", "Fit the picture (0)", () => view.fit()),
      button("+", "Zoom in (+)", () => view.zoomIn()));
  }
}
