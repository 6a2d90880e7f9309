// Everything a pointer does on the stage, by keys.
import { SHORTCUTS } from "./toolbar.js";

const { Konva } = globalThis;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Arrows move a cross, Enter sets a plus point at it, Backspace a minus point. */
class KeyboardPointer {
  constructor(editor) {
    this.editor = editor;
    this.place = null;
    const line = { stroke: "#fff", strokeWidth: 2, shadowColor: "#000", shadowBlur: 3 };
    this.cross = new Konva.Group({ visible: false });
    this.cross.add(new Konva.Line({ points: [-12, 0, 12, 0], ...line }));
    this.cross.add(new Konva.Line({ points: [0, -12, 0, 12], ...line }));
    editor.view.top.add(this.cross);
    editor.host.addEventListener("blur", () => this.cross.visible(false));
  }

  move([dx, dy], isFine) {
    const { picture, view } = this.editor;
    const step = isFine ? 1 : Math.max(1, Math.round(picture.width / 50));
    const [x, y] = this.place || [picture.width / 2, picture.height / 2];
    this.place = view.clamp([x + dx * step, y + dy * step]);
    const scale = 1 / view.scale;
    const [cx, cy] = this.place;
    this.cross.setAttrs({ x: cx, y: cy, scaleX: scale, scaleY: scale, visible: true });
  }

  press(label) {
    const { picture, tools } = this.editor;
    this.place ||= [picture.width / 2, picture.height / 2];
    tools.click.up(this.place, { altKey: label !== tools.click.label });
  }
}

/** Keys of the stage itself, and letters wherever nobody writes. */
export function listenToKeys(editor, toolbar, scope = document) {
  const pointer = new KeyboardPointer(editor);
  editor.host.addEventListener("keydown", (event) => {
    if (!editor.picture || event.ctrlKey || event.metaKey) return;
    const arrow = ARROWS[event.key];
    if (arrow && event.altKey) editor.view.panByKeys(...arrow);
    else if (arrow) pointer.move(arrow, event.shiftKey);
    else if (event.key === "Enter") pointer.press(1);
    else if (event.key === "Backspace") pointer.press(0);
    else return;
    event.preventDefault();
  });
  scope.addEventListener("keydown", (event) => {
    const dialog = document.querySelector("dialog[open]");
    if (isWriting(event.target) || (dialog && !dialog.contains(editor.host))) return;
    if (act(event, editor, toolbar)) event.preventDefault();
  });
}

function act(event, editor, toolbar) {
  if (event.ctrlKey || event.metaKey) {
    if (event.key.toLowerCase() !== "z") return false;
    if (event.shiftKey) editor.history.redo();
    else editor.history.undo();
    return true;
  }
  const work = {
    "+": () => editor.view.zoomIn(),
    "-": () => editor.view.zoomOut(),
    0: () => editor.view.fit(),
    "[": () => toolbar.resizeBrush(1 / 1.25),
    "]": () => toolbar.resizeBrush(1.25),
  }[event.key];
  const tool = SHORTCUTS.get(event.key);
  if (work) work();
  else if (tool) toolbar.choose(tool);
  return Boolean(work || tool);
}

const isWriting = (target) => target.matches?.("input:not([type=range]), textarea, select");
