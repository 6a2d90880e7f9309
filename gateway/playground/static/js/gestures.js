// Pointers on a view: one draws, two pinch, the middle button or the space bar pans.

/** `tool` has down, move, up, hover and leave; each gets the point and the event. */
export class Gestures {
  constructor(view, tool) {
    this.view = view;
    this.tool = tool;
    this.pointers = new Map();
    this.panning = false;
    this.handMode = false;
    this.drawing = false;
    const on = (name, work) => view.host.addEventListener(name, (event) => work.call(this, event));
    on("pointerdown", this.#down);
    on("pointermove", this.#move);
    on("pointerup", this.#up);
    on("pointercancel", this.#cancel);
    on("pointerleave", () => this.tool.leave());
    on("contextmenu", (event) => event.preventDefault());
  }

  #down(event) {
    if (!this.view.picture) return;
    this.view.host.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
    if (this.pointers.size === 2) {
      this.#stopDrawing();
      this.panning = true;
      return;
    }
    this.panning = this.handMode || event.button === 1;
    if (this.panning || this.pointers.size > 2) return;
    this.drawing = true;
    this.tool.down(this.view.locate(event), event);
  }

  #move(event) {
    if (!this.view.picture) return;
    const before = this.pointers.get(event.pointerId);
    if (!before) {
      if (event.pointerType === "mouse") this.tool.hover(this.view.locate(event), event);
      return;
    }
    if (this.pointers.size === 2) this.#pinch(event, before);
    else if (this.panning) this.view.pan(event.clientX - before[0], event.clientY - before[1]);
    else if (this.drawing) this.tool.move(this.view.locate(event), event);
    this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
  }

  #up(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    if (this.drawing) this.tool.up(this.view.locate(event), event);
    this.drawing = false;
    if (!this.pointers.size) this.panning = false;
  }

  #cancel(event) {
    this.pointers.delete(event.pointerId);
    this.#stopDrawing();
    if (!this.pointers.size) this.panning = false;
  }

  #stopDrawing() {
    if (this.drawing) this.tool.abandon();
    this.drawing = false;
  }

  #pinch(event, before) {
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)[1];
    const now = [event.clientX, event.clientY];
    const distance = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]) || 1;
    const { left, top } = this.view.host.getBoundingClientRect();
    const centre = { x: (now[0] + other[0]) / 2 - left, y: (now[1] + other[1]) / 2 - top };
    this.view.pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
    this.view.zoom(distance(now, other) / distance(before, other), centre);
  }
}
