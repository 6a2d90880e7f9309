// The picture on a Konva stage: zoom, pan, pinch, and where on the picture a pointer is.
const { Konva } = globalThis;

const LARGEST_ZOOM = 32;
const ZOOM_STEP = 1.2;
const PAN_STEP = 60;

Konva.autoDrawEnabled = true;

export class View {
  constructor(host) {
    this.host = host;
    this.picture = null;
    this.onChange = () => {};
    this.stage = new Konva.Stage({ container: host, width: 10, height: 10 });
    this.base = new Konva.Layer({ listening: false, imageSmoothingEnabled: true });
    this.top = new Konva.Layer({ listening: false });
    this.image = new Konva.Image({ name: "picture" });
    this.base.add(this.image);
    this.stage.add(this.base, this.top);
    new ResizeObserver(() => this.resize()).observe(host);
    host.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
  }

  get scale() {
    return this.stage.scaleX();
  }

  show(picture) {
    this.picture = picture;
    this.image.size({ width: picture.width, height: picture.height });
    this.fit();
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.host;
    if (!width || !height) return;
    this.stage.size({ width, height });
    if (this.picture) this.fit();
  }

  /** The whole picture, in the middle, never larger than it is twice over. */
  fit() {
    if (!this.picture) return;
    const margin = 16;
    const [width, height] = [this.stage.width(), this.stage.height()];
    const scale = Math.min(
      Math.max(1, width - margin) / this.picture.width,
      Math.max(1, height - margin) / this.picture.height,
      Math.max(2, 512 / this.picture.width),
    );
    this.#place(scale, {
      x: (width - this.picture.width * scale) / 2,
      y: (height - this.picture.height * scale) / 2,
    });
  }

  zoom(factor, centre = { x: this.stage.width() / 2, y: this.stage.height() / 2 }) {
    if (!this.picture) return;
    const smallest = 16 / Math.max(this.picture.width, this.picture.height);
    const scale = Math.min(LARGEST_ZOOM, Math.max(smallest, this.scale * factor));
    const ratio = scale / this.scale;
    this.#place(scale, {
      x: centre.x - (centre.x - this.stage.x()) * ratio,
      y: centre.y - (centre.y - this.stage.y()) * ratio,
    });
  }

  zoomIn() {
    this.zoom(ZOOM_STEP);
  }

  zoomOut() {
    this.zoom(1 / ZOOM_STEP);
  }

  pan(dx, dy) {
    this.#place(this.scale, { x: this.stage.x() + dx, y: this.stage.y() + dy });
  }

  panByKeys(x, y) {
    this.pan(-x * PAN_STEP, -y * PAN_STEP);
  }

  /** Pixels of the picture under a pointer event; may lie outside. */
  locate(event) {
    const { left, top } = this.host.getBoundingClientRect();
    return [
      (event.clientX - left - this.stage.x()) / this.scale,
      (event.clientY - top - this.stage.y()) / this.scale,
    ];
  }

  contains([x, y]) {
    return this.picture && x >= 0 && y >= 0 && x < this.picture.width && y < this.picture.height;
  }

  clamp([x, y]) {
    const within = (value, limit) => Math.min(limit, Math.max(0, value));
    return [within(x, this.picture.width), within(y, this.picture.height)];
  }

  #place(scale, position) {
    this.stage.scale({ x: scale, y: scale });
    this.stage.position(position);
    const density = scale * (globalThis.devicePixelRatio || 1);
    this.image.image(this.picture.levelFor(density));
    this.base.imageSmoothingEnabled(density < 3);
    this.onChange();
  }

  #wheel(event) {
    event.preventDefault();
    const { left, top } = this.host.getBoundingClientRect();
    const centre = { x: event.clientX - left, y: event.clientY - top };
    if (event.shiftKey) this.pan(-event.deltaY || -event.deltaX, 0);
    else this.zoom(Math.exp(-event.deltaY * 0.0015), centre);
  }
}
