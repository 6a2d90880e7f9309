// All things of the picture: the one under the pointer lights up, a click takes it.
import { findMasks } from "./api.js";
import { say, sayError } from "./elements.js";
import { OutlineNode, pathOf } from "./outline.js";

const probe = new OffscreenCanvas(1, 1).getContext("2d");

export class EverythingTool {
  constructor(editor) {
    this.editor = editor;
    this.all = new OutlineNode(editor.view, "things", { fill: "rgba(64, 140, 255, 0.14)", stroke: "rgba(255, 255, 255, 0.7)" });
    this.hit = new OutlineNode(editor.view, "thing-under-pointer");
    this.things = [];
    this.of = null;
    this.taken = new Set();
  }

  async enter() {
    const { picture } = this.editor;
    if (!picture) return;
    if (this.of !== picture) await this.#find(picture).catch(sayError);
    if (this.editor.tool === this) this.all.showPaths(this.things.map((thing) => thing.path));
  }

  exit() {
    this.all.hide();
    this.hit.hide();
  }

  hover(point) {
    const thing = this.#under(point);
    this.hit.showPaths(thing ? [thing.path] : []);
  }

  leave() {
    this.hit.hide();
  }

  down() {}

  move() {}

  abandon() {}

  async up(point) {
    const thing = this.#under(point);
    if (!thing) return;
    if (!this.editor.history.now.id) this.taken.clear();
    const remove = this.taken.has(thing.id);
    await this.editor.maker.toggle(thing.id, { remove }).catch(sayError);
    if (remove) this.taken.delete(thing.id);
    else this.taken.add(thing.id);
  }

  async #find(picture) {
    const answer = await findMasks({ image: picture.id, everything: true, output: "polygon" });
    this.things = answer.masks
      .map((mask) => ({ id: mask.mask_id, area: mask.area, path: pathOf(mask.polygon) }))
      .sort((a, b) => a.area - b.area);
    this.of = picture;
    this.taken.clear();
    say(`${this.things.length} things found. Click one to take it.`);
  }

  /** The smallest wins: a cup stands on its table. */
  #under([x, y]) {
    return this.things.find((thing) => probe.isPointInPath(thing.path, x, y, "evenodd"));
  }
}
