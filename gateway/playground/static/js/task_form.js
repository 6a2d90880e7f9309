// Choosing a task, saying what is wanted, and sending it off.
import { balance, submitJob } from "./api.js";
import { byId, guarded, make, say } from "./elements.js";
import { defaultsOf, limitsOf, wordsFor } from "./models.js";
import { advancedField, readFields } from "./task_fields.js";
import { advancedOf, ruleOf, TASKS } from "./task_rules.js";

const NEEDS = {
  image: "Open a picture first.",
  mask: "Mark a place on the picture first.",
  prompt: "Say in words what you want.",
};

export class TaskForm {
  constructor(editor, reference, { onJob, onTool }) {
    Object.assign(this, { editor, reference, onJob, onTool });
    this.form = byId("task-form");
    this.task = "remove";
    byId("tasks").replaceChildren(...TASKS.map((rule) => this.#choice(rule)));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    // The browser cannot point at a wrong number that lies in closed details.
    this.form.addEventListener("invalid", (event) => (event.target.closest("details").open = true), true);
    byId("prompt").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.form.requestSubmit();
    });
    byId("instant").addEventListener("click", guarded(() => this.#balanceNow()));
    this.submit = guarded(() => this.#submit());
    this.choose(this.task);
  }

  #choice(rule) {
    const input = make("input", { type: "radio", name: "task", value: rule.name, onchange: () => this.choose(rule.name) });
    return make("label", { className: "task" }, input, make("span", {}, rule.word));
  }

  choose(task) {
    this.task = task;
    const rule = ruleOf(task);
    byId("tasks").querySelector(`input[value=${task}]`).checked = true;
    byId("task-hint").textContent = rule.hint;
    const prompt = byId("prompt");
    prompt.placeholder = rule.prompt;
    prompt.maxLength = limitsOf(task).prompt?.max_length ?? 8000;
    byId("reference-part").hidden = !rule.reference;
    byId("instant").hidden = task !== "white_balance";
    this.#fields();
    this.refresh();
  }

  /** After the models were read: bounds and defaults may be others now; what was filled in stays. */
  renew() {
    if (this.known === JSON.stringify([limitsOf(this.task), defaultsOf(this.task)])) return this.refresh();
    const filled = readFields(this.form, advancedOf(this.task));
    this.choose(this.task);
    this.#fillFields(filled);
    return undefined;
  }

  #fields() {
    this.known = JSON.stringify([limitsOf(this.task), defaultsOf(this.task)]);
    byId("advanced-fields").replaceChildren(...advancedOf(this.task).map((name) => advancedField(name, this.task)));
  }

  /** After the models, the picture or the mask have changed. */
  refresh() {
    const words = wordsFor(this.task);
    const note = byId("model-note");
    note.textContent = words.text;
    note.dataset.kind = words.kind;
    const { mask, picture } = this.editor;
    const usesMask = advancedOf(this.task).includes("feather");
    byId("mask-note").hidden = !usesMask;
    const emptied = mask?.area === 0;
    byId("mask-note").textContent = emptied ? "The mask is empty: nothing is left of it." : mask && picture
      ? `Mask: ${mask.area.toLocaleString()} pixels, ${percent(mask.area / (picture.width * picture.height))} of the picture.`
      : "No mask yet.";
  }

  /** Fill the form with what a job was given. */
  fill(request) {
    this.choose(request.task);
    byId("prompt").value = request.prompt || "";
    this.#fillFields(request);
  }

  #fillFields(given) {
    for (const name of advancedOf(this.task)) {
      const input = this.form.elements[name];
      if (input && given[name] !== undefined && given[name] !== null) input.value = String(given[name]);
    }
  }

  request() {
    const { task } = this;
    const rule = ruleOf(task);
    const request = { task };
    const prompt = byId("prompt").value.trim();
    if (prompt) request.prompt = prompt;
    if (rule.needs.includes("image") && this.editor.picture) request.image = this.editor.picture.id;
    const { mask } = this.editor;
    if (mask && advancedOf(task).includes("feather")) {
      request.mask = mask.id;
      // The soft edge that is shown is the one that is used.
      if (mask.isSoft) Object.assign(request, { preserve: "soft", feather: 0 });
    }
    if (rule.reference && this.reference.picture) Object.assign(request, this.reference.fields());
    Object.assign(request, readFields(this.form, advancedOf(task)));
    for (const need of rule.needs) if (!request[need]) throw new Error(NEEDS[need]);
    return request;
  }

  async #submit() {
    await this.editor.maker.line;
    const request = this.request();
    const start = this.form.querySelector("[type=submit]");
    start.setAttribute("aria-busy", "true");
    try {
      this.onJob(await submitJob(request));
    } finally {
      start.removeAttribute("aria-busy");
    }
    say("The job is accepted.");
  }

  async #balanceNow() {
    if (!this.editor.picture) throw new Error(NEEDS.image);
    const done = await balance({ image: this.editor.picture.id });
    say(`The light was estimated at ${Math.round(done.light.temperature_k)} K.`);
    this.onTool(this.editor.picture, done);
  }
}

const percent = (share) => `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
