// Paint the mask by hand, or rub it out.
import { sayError } from "./elements.js";
import { encodeRegion } from "./run_lengths.js";

const { Konva } = globalThis;

export class BrushTool {
  constructor(editor, { erase = false } = {}) {
    this.editor = editor;
    this.erase = erase;
    this.points = [];
    const colour = erase ? "rgba(255, 255, 255, 0.6)" : "rgba(255, 61, 129, 0.6)";
    this.line = new Konva.Line({ stroke: colour, lineCap: "round", lineJoin: "round", visible: false });
    this.cursor = new Konva.Circle({ stroke: "#fff", shadowColor: "#000", shadowBlur: 3, visible: false });
    editor.view.top.add(this.line, this.cursor);
  }

  /** Diameter in pixels of the picture. */
  get width() {
    return this.editor.brushPx;
  }

  down(point) {
    this.points = [point];
    this.#draw();
  }

  move(point) {
    this.points.push(point);
    this.#draw();
    this.hover(point);
  }

  async up() {
    const { points, width, erase } = this;
    const { maker, picture } = this.editor;
    const stroke = strokeRegion(points, width, picture);
    if (stroke) await maker.addStroke(stroke, { erase }).catch(sayError);
    if (this.points === points) this.abandon();
  }

  abandon() {
    this.points = [];
    this.line.visible(false);
  }

  hover([x, y]) {
    const { scale } = this.editor.view;
    this.cursor.setAttrs({ x, y, radius: this.width / 2, strokeWidth: 1.5 / scale, visible: true });
  }

  leave() {
    this.cursor.visible(false);
  }

  #draw() {
    const points = this.points.length > 1 ? this.points : [this.points[0], this.points[0]];
    this.line.setAttrs({ points: points.flat(), strokeWidth: this.width, visible: true });
  }
}

/** The stroke's pixels as run lengths; null where all of it lies outside the picture. */
function strokeRegion(points, width, picture) {
  const reach = width / 2 + 2;
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  const x0 = Math.max(0, Math.floor(Math.min(...xs) - reach));
  const y0 = Math.max(0, Math.floor(Math.min(...ys) - reach));
  const x1 = Math.min(picture.width, Math.ceil(Math.max(...xs) + reach));
  const y1 = Math.min(picture.height, Math.ceil(Math.max(...ys) + reach));
  if (x1 <= x0 || y1 <= y0) return null;
  const canvas = new OffscreenCanvas(x1 - x0, y1 - y0);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  Object.assign(context, { lineWidth: width, lineCap: "round", lineJoin: "round" });
  context.translate(-x0, -y0);
  context.beginPath();
  context.moveTo(...points[0]);
  for (const point of points) context.lineTo(...point);
  context.stroke();
  const region = context.getImageData(0, 0, x1 - x0, y1 - y0);
  return encodeRegion(region, [x0, y0], picture.width, picture.height);
}
