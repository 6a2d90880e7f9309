// The picture and the mask that are worked on: kept over a reload, and brought back from a job.
import { fileInfo } from "./api.js";
import { pictureFromServer } from "./picture.js";

const PLACE = "retouch.work";

export class KeptWork {
  constructor(editor, openPicture) {
    Object.assign(this, { editor, openPicture });
  }

  /** Remember what is on the stage now, in this tab. */
  keep() {
    const { picture, history } = this.editor;
    if (!picture) return;
    const { hardId, feather } = history.now;
    sessionStorage.setItem(PLACE, JSON.stringify({ id: picture.id, name: picture.name, mask: { hardId, feather } }));
  }

  /** After a reload; where the server has lost the picture, the page starts anew. */
  async restore() {
    const kept = JSON.parse(sessionStorage.getItem(PLACE) || "null");
    if (!kept || this.editor.picture) return;
    try {
      await this.#open(kept.id, kept.name);
      if (kept.mask?.hardId) await this.editor.maker.adopt(kept.mask);
    } catch (error) {
      if (error.status) sessionStorage.removeItem(PLACE);
    }
  }

  /** What a job was given; raises where the server has lost it. */
  async bringBack({ image, mask }) {
    const { editor } = this;
    if (!image) return;
    if (editor.picture?.id !== image) await this.#open(image, "earlier picture");
    if (mask && mask !== editor.mask?.id) await editor.maker.adopt({ hardId: mask, feather: 0 });
    if (!mask && editor.mask) await editor.maker.clear();
  }

  async #open(id, name) {
    this.openPicture(await pictureFromServer(await fileInfo(id), name));
  }
}
