// The result beside what went in: slider, side by side, difference, receipt.
import { fileBlob, fileInfo } from "./api.js";
import { differenceOf } from "./difference.js";
import { byId, guarded, make } from "./elements.js";
import { receiptOf } from "./receipt.js";

const MODES = { slider: "Slider", sides: "Side by side", difference: "Difference", result: "Result" };

export class ResultView {
  constructor({ useAsInput }) {
    this.useAsInput = useAsInput;
    this.dialog = byId("result-dialog");
    this.place = byId("result-pictures");
    byId("result-modes").replaceChildren(...Object.entries(MODES).map(([mode, word]) =>
      make("button", { type: "button", dataset: { mode }, onclick: guarded(() => this.show(mode)) }, word)));
    byId("result-use").addEventListener("click", guarded(async () => {
      this.dialog.close();
      await this.useAsInput(await fileInfo(this.output.file_id));
    }));
    this.dialog.addEventListener("close", () => this.#forget());
  }

  /** Open a job's result, or a tool's. */
  async open({ title, input, outputs, preservation, mask, facts, warnings }) {
    this.#forget();
    Object.assign(this, { input, outputs, mask });
    byId("result-title").textContent = title;
    byId("result-facts").replaceChildren(...facts.flatMap(([word, value]) => [make("dt", {}, word), make("dd", {}, String(value))]));
    byId("result-receipt").replaceChildren(...receiptOf(preservation));
    byId("result-warnings").replaceChildren(...warnings.map((warning) => make("li", {}, warning)));
    byId("result-others").replaceChildren(...(outputs.length > 1 ? outputs.map((output, index) =>
      make("button", { type: "button", onclick: guarded(() => this.#choose(output)) }, `Picture ${index + 1}, seed ${output.seed}`)) : []));
    this.dialog.showModal();
    await this.#choose(outputs[0]);
  }

  async #choose(output) {
    this.output = output;
    this.after = await this.#url(output.file_id);
    this.before = this.input ? await this.#url(this.input) : null;
    const link = byId("result-download");
    Object.assign(link, { href: this.after, download: `retouch-${output.seed ?? "result"}.${output.format}` });
    const cube = byId("result-cube");
    cube.hidden = !output.cube_url;
    if (output.cube_url) {
      const id = output.cube_url.split("/").at(-2);
      Object.assign(cube, { href: await this.#url(id), download: "white-balance.cube" });
    }
    await this.show(this.before ? "slider" : "result");
  }

  async show(mode) {
    for (const button of byId("result-modes").children) {
      button.hidden = !this.before && button.dataset.mode !== "result";
      button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
    }
    this.place.dataset.mode = mode;
    const content = {
      slider: () => this.#slider(),
      sides: () => [figure(this.before, "Before"), figure(this.after, "After")],
      difference: () => this.#difference(),
      result: () => [figure(this.after, "Result")],
    }[mode];
    this.place.replaceChildren(...(await content()));
  }

  #slider() {
    const top = picture(this.before, "Before");
    const line = make("div", { className: "slider-line" });
    const range = make("input", {
      type: "range", min: 0, max: 100, step: 0.5, value: 50, "aria-label": "How much of the original is shown",
    });
    const move = () => {
      top.style.clipPath = `inset(0 ${100 - range.value}% 0 0)`;
      line.style.left = `${range.value}%`;
    };
    range.addEventListener("input", move);
    move();
    const box = make("div", { className: "slider" }, picture(this.after, "After"), top, line, range);
    return [make("figure", {}, box, make("figcaption", {}, "Before on the left, after on the right"))];
  }

  async #difference() {
    const found = await differenceOf(await fileBlob(this.input), await fileBlob(this.output.file_id), this.mask && (await fileBlob(this.mask)));
    const sentence = make("p", { className: "quiet" }, found.words);
    return found.canvas ? [make("figure", {}, found.canvas, make("figcaption", {}, found.words))] : [sentence];
  }

  async #url(id) {
    this.urls ||= new Map();
    if (!this.urls.has(id)) this.urls.set(id, URL.createObjectURL(await fileBlob(id)));
    return this.urls.get(id);
  }

  #forget() {
    for (const url of this.urls?.values() || []) URL.revokeObjectURL(url);
    this.urls = null;
    this.place.replaceChildren();
  }
}

const picture = (src, alt) => make("img", { src, alt, draggable: false });
const figure = (src, word) => make("figure", {}, picture(src, word), make("figcaption", {}, word));
