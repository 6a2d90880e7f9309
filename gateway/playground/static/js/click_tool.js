// Point at a thing: plus and minus points, and what a click would give while the mouse hovers.
import { findMasks } from "./api.js";
import { sayError } from "./elements.js";
import { OutlineNode } from "./outline.js";

const { Konva } = globalThis;
const PLUS = "#16a34a";
const MINUS = "#dc2626";

export class ClickTool {
  constructor(editor) {
    this.editor = editor;
    this.label = 1;
    this.fresh = false;
    this.preview = new OutlineNode(editor.view, "click-preview");
    this.markers = new Konva.Group({ name: "points" });
    editor.view.top.add(this.markers);
    this.hovering = null;
  }

  down() {}

  move() {}

  abandon() {}

  async up(point, event) {
    const { maker, view } = this.editor;
    if (!view.contains(point)) return;
    this.leave();
    const label = event.button === 2 || event.altKey ? 1 - this.label : this.label;
    const fresh = this.fresh || event.shiftKey;
    this.fresh = false;
    this.editor.onToolState();
    await maker.addPoint(point, label, { fresh }).catch(sayError);
  }

  /** Latest wins: while one answer is on its way, only the last place is remembered. */
  hover(point) {
    const { view, history, maker } = this.editor;
    if (!view.contains(point) || history.now.id || maker.waiting) return this.leave();
    const isFirst = !this.hovering;
    this.hovering = point;
    if (isFirst) this.#ask();
    return undefined;
  }

  leave() {
    this.hovering = null;
    this.preview.hide();
  }

  async #ask() {
    const { picture } = this.editor;
    for (let asked = null; this.hovering && this.hovering !== asked; ) {
      asked = this.hovering;
      const request = { image: picture.id, prompts: [{ points: [asked] }], output: "polygon" };
      const answer = await findMasks(request, { quiet: true }).catch(() => null);
      const { now } = this.editor.history;
      if (this.hovering && !now.id && picture === this.editor.picture)
        this.preview.show(answer?.masks[0]?.polygon || null);
    }
    this.hovering = null;
  }

  /** Draw the points of the mask as it is now; their size does not depend on the zoom. */
  drawMarkers() {
    const { history, view } = this.editor;
    const { points, labels, box } = history.now;
    this.markers.destroyChildren();
    if (box) this.markers.add(boxNode(box, view.scale));
    points.forEach(([x, y], index) => this.markers.add(marker(x, y, labels[index], view.scale)));
  }
}

function marker(x, y, label, scale) {
  const group = new Konva.Group({ x, y, scaleX: 1 / scale, scaleY: 1 / scale });
  group.add(new Konva.Circle({ radius: 9, fill: label ? PLUS : MINUS, stroke: "#fff", strokeWidth: 2 }));
  const line = { stroke: "#fff", strokeWidth: 2.5, lineCap: "round" };
  group.add(new Konva.Line({ points: [-4, 0, 4, 0], ...line }));
  if (label) group.add(new Konva.Line({ points: [0, -4, 0, 4], ...line }));
  return group;
}

export function boxNode([x0, y0, x1, y1], scale) {
  return new Konva.Rect({
    x: x0,
    y: y0,
    width: x1 - x0,
    height: y1 - y0,
    stroke: "#fff",
    strokeWidth: 2 / scale,
    dash: [6 / scale, 4 / scale],
    shadowColor: "#000",
    shadowBlur: 2,
  });
}
