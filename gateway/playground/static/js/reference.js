// The picture of what is inserted, and which part of it is meant.
import { fileInfo } from "./api.js";
import { byId, guarded, make, say, sayError, sayWorking } from "./elements.js";
import { listenToKeys } from "./keyboard.js";
import { MaskEditor } from "./mask_editor.js";
import { pictureFromFile, pictureFromServer } from "./picture.js";
import { Toolbar } from "./toolbar.js";

export class Reference {
  constructor() {
    this.picture = null;
    this.mask = null;
    this.editor = null;
    const input = byId("reference-file");
    input.addEventListener("change", guarded(() => this.open(input.files[0])));
    byId("reference-mark").addEventListener("click", () => this.mark());
    byId("reference-drop").addEventListener("click", () => this.forget());
  }

  async open(file) {
    if (!file) return;
    const onShare = (share) => sayWorking(`Sending ${file.name}: ${Math.floor(share * 100)} %.`);
    this.picture = await pictureFromFile(file, { onShare });
    say("");
    this.mask = null;
    this.#show();
    this.mark();
  }

  /** What a job was given. */
  async bringBack({ reference, reference_mask: maskId }) {
    if (!reference?.length) return this.forget();
    this.picture = await pictureFromServer(await fileInfo(reference[0]), "earlier picture");
    this.mask = maskId ? { id: maskId } : null;
    return this.#show();
  }

  mark() {
    const dialog = byId("reference-dialog");
    dialog.showModal();
    if (!this.editor) {
      this.editor = new MaskEditor(byId("reference-stage"));
      const toolbar = new Toolbar(this.editor);
      byId("reference-tools").replaceChildren(toolbar.element);
      this.editor.onMask = () => {
        this.mask = this.editor.mask;
        toolbar.refresh();
        this.#show();
      };
      listenToKeys(this.editor, toolbar, dialog);
    }
    if (this.editor.picture === this.picture) return;
    const { mask } = this;
    this.editor.open(this.picture);
    if (mask) this.editor.maker.adopt({ hardId: mask.id, feather: 0 }).catch(sayError);
  }

  forget() {
    this.picture = null;
    this.mask = null;
    byId("reference-file").value = "";
    this.#show();
  }

  fields() {
    const mask = this.mask ? { reference_mask: this.mask.id } : {};
    return { reference: [this.picture.id], ...mask };
  }

  #show() {
    const { picture, mask } = this;
    byId("reference-chosen").hidden = !picture;
    byId("reference-name").textContent = picture
      ? `${picture.name}, ${mask ? "its object is marked" : "used as a whole"}`
      : "";
    byId("reference-thumb").replaceChildren(...(picture ? [thumbnail(picture)] : []));
  }
}

function thumbnail(picture) {
  const scale = 64 / Math.max(picture.width, picture.height);
  const canvas = make("canvas", {
    width: Math.max(1, Math.round(picture.width * scale)),
    height: Math.max(1, Math.round(picture.height * scale)),
    role: "img",
    "aria-label": `Reference: ${picture.name}`,
  });
  canvas.getContext("2d").drawImage(picture.levelFor(0), 0, 0, canvas.width, canvas.height);
  return canvas;
}
