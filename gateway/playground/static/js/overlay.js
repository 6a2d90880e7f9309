// Draws a mask over the picture, level by level as the server has it.
const { Konva } = globalThis;

const LARGEST_SIDE = 2048;
const TINT = [255, 0, 128];
const EDGE = [255, 255, 255];
const STRENGTH = 0.58;
const HALF = 128;

export class MaskOverlay {
  constructor(view) {
    this.view = view;
    this.bitmap = null;
    this.node = new Konva.Image({ name: "mask", visible: false });
    this.detail = new Konva.Image({ name: "mask-detail", visible: false });
    view.top.add(this.node, this.detail);
  }

  /** Show the PNG of a mask; null hides it. */
  async show(png) {
    const bitmap = png ? await createImageBitmap(png) : null;
    this.bitmap = bitmap;
    this.detail.visible(false);
    this.node.visible(Boolean(bitmap));
    if (!bitmap) return;
    const scale = Math.min(1, LARGEST_SIDE / Math.max(bitmap.width, bitmap.height));
    const size = [Math.round(bitmap.width * scale), Math.round(bitmap.height * scale)];
    this.node.image(tinted(bitmap, [0, 0, bitmap.width, bitmap.height], size));
    this.node.size({ width: bitmap.width, height: bitmap.height });
    this.node.opacity(1);
    this.refine();
  }

  /** Of a mask larger than its overlay, draw the visible part again at full resolution. */
  refine() {
    clearTimeout(this.waiting);
    this.detail.visible(false);
    if (!this.bitmap || !this.node.visible()) return;
    this.node.opacity(1);
    const shown = this.node.image().width / this.bitmap.width;
    if (shown === 1 || this.view.scale <= shown) return;
    this.waiting = setTimeout(() => this.#drawDetail(), 120);
  }

  #drawDetail() {
    const { stage, scale } = this.view;
    const clamp = (value, limit) => Math.min(limit, Math.max(0, value));
    const { width, height } = this.bitmap;
    const x = clamp(Math.floor(-stage.x() / scale), width);
    const y = clamp(Math.floor(-stage.y() / scale), height);
    const w = clamp(Math.ceil((stage.width() - stage.x()) / scale), width) - x;
    const h = clamp(Math.ceil((stage.height() - stage.y()) / scale), height) - y;
    if (w < 1 || h < 1) return;
    const drawn = Math.min(1, scale);
    const size = [Math.max(1, Math.round(w * drawn)), Math.max(1, Math.round(h * drawn))];
    this.detail.image(tinted(this.bitmap, [x, y, w, h], size));
    this.detail.setAttrs({ x, y, width: w, height: h, visible: true });
    this.node.opacity(0);
  }
}

/** Levels become opacity; the edge at half is drawn opaque so that it can be seen on anything. */
function tinted(bitmap, [x, y, w, h], [width, height]) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, x, y, w, h, 0, 0, width, height);
  const picture = context.getImageData(0, 0, width, height);
  const levels = new Uint8Array(width * height);
  const { data } = picture;
  for (let i = 0; i < levels.length; i += 1) levels[i] = data[i * 4];
  for (let i = 0, column = 0; i < levels.length; i += 1, column = column + 1 < width ? column + 1 : 0) {
    const level = levels[i];
    const at = i * 4;
    data[at] = TINT[0];
    data[at + 1] = TINT[1];
    data[at + 2] = TINT[2];
    data[at + 3] = level * STRENGTH;
    if (level >= HALF && isEdge(levels, i, column, width)) data.set([...EDGE, 255], at);
  }
  context.putImageData(picture, 0, 0);
  return canvas;
}

function isEdge(levels, i, column, width) {
  return (
    (column > 0 && levels[i - 1] < HALF) ||
    (column < width - 1 && levels[i + 1] < HALF) ||
    (i >= width && levels[i - width] < HALF) ||
    (i + width < levels.length && levels[i + width] < HALF)
  );
}
