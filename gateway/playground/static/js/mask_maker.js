// Turns what a person does into masks, by asking the server; one change at a time, in order.
import { composeMasks, findMasks } from "./api.js";
import { EMPTY } from "./mask_history.js";

export class MaskMaker {
  constructor(history) {
    this.history = history;
    this.picture = null;
    this.line = Promise.resolve();
    this.onBusy = () => {};
    this.waiting = 0;
  }

  start(picture) {
    this.picture = picture;
    this.history.clear();
    this.history.onChange();
  }

  /** Add a point: label 1 is on the object, 0 is not. A fresh one begins a further object. */
  addPoint(point, label, { fresh = false } = {}) {
    return this.#next(async (now) => {
      const before = beginning(now, fresh);
      const points = [...before.points, rounded(point)];
      const labels = [...before.labels, label];
      return this.#find({ ...before, points, labels });
    });
  }

  setBox(box, { fresh = false } = {}) {
    return this.#next(async (now) => {
      const before = beginning(now, fresh);
      return this.#find({ ...before, points: [], labels: [], box });
    });
  }

  /** Add or take away what was painted: run lengths. */
  addStroke(stroke, { erase = false } = {}) {
    return this.#next(async (now) => {
      if (!now.hardId && erase) return null;
      const masks = now.hardId ? [now.hardId, stroke] : [stroke];
      return this.#compose(now, masks, erase ? "subtract" : "union", []);
    });
  }

  /** Add a mask that the server found, or take it away again. */
  toggle(maskId, { remove = false } = {}) {
    return this.#next(async (now) => {
      const masks = now.hardId ? [now.hardId, maskId] : [maskId];
      return this.#compose(now, masks, remove ? "subtract" : "union", []);
    });
  }

  /** Take up a mask that the server has, with the soft edge it was shown with. */
  adopt({ hardId, feather }) {
    return this.#next(() => this.#soften({ ...EMPTY, hardId, feather }));
  }

  /** Grow, shrink, invert or fill: {grow: 4}. */
  operate(operation) {
    return this.#next((now) => now.hardId && this.#compose(now, [now.hardId], "union", [operation]));
  }

  setFeather(feather) {
    return this.#next((now) => now.hardId && this.#soften({ ...now, feather }));
  }

  clear() {
    return this.#next(async () => EMPTY);
  }

  async #find(state) {
    const prompt = state.box ? { box: state.box } : {};
    if (state.points.length) Object.assign(prompt, { points: state.points, labels: state.labels });
    const answer = await findMasks({ image: this.picture.id, prompts: [prompt] });
    const [mask] = answer.masks;
    if (state.kept) return this.#compose(state, [state.kept, mask.mask_id], "union", [], true);
    return this.#soften({ ...state, hardId: mask.mask_id }, mask);
  }

  async #compose(now, masks, operation, ops, keepsPrompt = false) {
    const mask = await composeMasks({ masks, operation, ops });
    const below = keepsPrompt ? now : { ...EMPTY, feather: now.feather };
    return this.#soften({ ...below, hardId: mask.mask_id }, mask);
  }

  /** Add the soft edge last, so that it stays whatever happens to the mask. */
  async #soften(state, mask) {
    const shown = state.feather || !mask
      ? await composeMasks({
        masks: [state.hardId],
        ops: state.feather ? [{ feather: state.feather }] : [],
      })
      : mask;
    return { ...state, id: shown.mask_id, png: pngOf(shown.png), area: shown.area };
  }

  #next(work) {
    const { picture } = this;
    const turn = this.line.then(async () => {
      this.#busy(1);
      try {
        const state = await work(this.history.now);
        if (state && picture === this.picture) this.history.push(state);
      } finally {
        this.#busy(-1);
      }
    });
    this.line = turn.catch(() => {});
    return turn;
  }

  #busy(change) {
    this.waiting += change;
    this.onBusy(this.waiting > 0);
  }
}

/** Of a further object: what there is stays below it. A painted mask cannot be prompted on. */
function beginning(now, fresh) {
  const isPrompted = now.points.length > 0 || now.box;
  if (isPrompted && !fresh) return now;
  return { ...EMPTY, kept: now.hardId, feather: now.feather };
}

const rounded = (point) => point.map((value) => Math.floor(value * 10) / 10);

export function pngOf(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return new Blob([bytes], { type: "image/png" });
}
