// What the mask was and is. Every state is a mask that the server has, so undo asks nobody.

export const EMPTY = Object.freeze({
  id: null,
  png: null,
  area: 0,
  hardId: null,
  feather: 0,
  kept: null,
  points: [],
  labels: [],
  box: null,
});
/* id, png: as shown and used. hardId: the same before its soft edge. kept: the mask below the
   object that points and box describe now. */

export class MaskHistory {
  constructor() {
    this.clear();
    this.onChange = () => {};
  }

  clear() {
    this.states = [EMPTY];
    this.index = 0;
  }

  get now() {
    return this.states[this.index];
  }

  get canUndo() {
    return this.index > 0;
  }

  get canRedo() {
    return this.index < this.states.length - 1;
  }

  push(state) {
    this.states = [...this.states.slice(0, this.index + 1), Object.freeze(state)];
    this.index += 1;
    this.onChange();
  }

  undo() {
    if (!this.canUndo) return;
    this.index -= 1;
    this.onChange();
  }

  redo() {
    if (!this.canRedo) return;
    this.index += 1;
    this.onChange();
  }
}
