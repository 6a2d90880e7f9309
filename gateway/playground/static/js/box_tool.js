// Draw a box around a thing.
import { boxNode } from "./click_tool.js";
import { sayError } from "./elements.js";

const SMALLEST_PX = 3;

export class BoxTool {
  constructor(editor) {
    this.editor = editor;
    this.start = null;
    this.node = null;
  }

  down(point) {
    this.start = this.editor.view.clamp(point);
  }

  move(point) {
    if (!this.start) return;
    const { view } = this.editor;
    this.node?.destroy();
    this.node = boxNode(this.#box(point), view.scale);
    view.top.add(this.node);
  }

  async up(point, event) {
    if (!this.start) return;
    const box = this.#box(point);
    this.abandon();
    if (box[2] - box[0] < SMALLEST_PX || box[3] - box[1] < SMALLEST_PX) return;
    await this.editor.maker.setBox(box, { fresh: event.shiftKey }).catch(sayError);
  }

  abandon() {
    this.start = null;
    this.node?.destroy();
    this.node = null;
  }

  hover() {}

  leave() {}

  #box(point) {
    const [x, y] = this.editor.view.clamp(point);
    const [a, b] = this.start;
    return [Math.min(a, x), Math.min(b, y), Math.max(a, x), Math.max(b, y)].map(Math.round);
  }
}
