// One job in the list: where it is, what it looks like so far, and what can be done with it.
import { fileBlob } from "./api.js";
import { guarded, make } from "./elements.js";
import { ENDED } from "./job_events.js";
import { ruleOf } from "./task_rules.js";

const STATES = {
  queued: "Waiting",
  running: "Running",
  succeeded: "Done",
  failed: "Failed",
  canceled: "Canceled",
  expired: "Its result has been removed",
};

export class JobCard {
  constructor(job, actions) {
    this.job = job;
    this.actions = actions;
    this.shown = null;
    const button = (word, work, label) =>
      make("button", { type: "button", onclick: guarded(() => work(this.job)), "aria-label": label }, word);
    this.state = make("span", { className: "state" });
    this.detail = make("p", { className: "detail" });
    this.bar = make("progress", { max: 1, value: 0, "aria-label": "Progress of the job" });
    this.picture = make("button", {
      type: "button", className: "thumb", "aria-label": "Open the result", disabled: true,
      onclick: guarded(() => actions.open(this.job)),
    });
    this.cancel = button("Cancel", actions.cancel);
    this.open = button("Open", actions.open);
    this.again = button("Edit again", actions.again);
    this.code = button("Code", actions.code, "Copy as code");
    this.element = make("li", { className: "job", dataset: { job: job.id } },
      this.picture,
      make("div", { className: "job-words" },
        make("p", { className: "job-title" }, make("strong", {}, ruleOf(job.task)?.word || job.task), this.state),
        make("p", { className: "prompt" }, job.parameters.prompt || ""),
        this.bar, this.detail,
        make("div", { className: "job-buttons" }, this.open, this.cancel, this.again, this.code)));
  }

  update(job) {
    this.job = job;
    this.eta = undefined;
    this.connected = true;
    this.#show();
    if (job.status === "succeeded") this.#thumbnail().catch(() => {});
  }

  happened({ name, data }) {
    const { job } = this;
    this.connected = name !== "lost";
    if (name === "started") Object.assign(job, { status: "running", started_at: Date.now() / 1000 });
    if (name === "queued" && data.queue_position !== undefined) job.queue_position = data.queue_position;
    if (name === "progress") Object.assign(job, { status: "running", ...data });
    if (name === "queued" || name === "progress") this.eta = data.eta_s;
    if (name === "preview") this.#preview(data);
    if (ENDED.has(name)) job.status = name;
    this.#show();
  }

  /** The server does not know the job any more. */
  lose() {
    Object.assign(this.job, {
      status: "failed",
      error: { message: "The server no longer knows this job: it was restarted or forgot it." },
    });
    this.connected = true;
    this.#show();
  }

  #show() {
    const { job } = this;
    const ended = ENDED.has(job.status);
    this.element.dataset.status = job.status;
    this.state.textContent = STATES[job.status] || job.status;
    this.bar.hidden = ended;
    if (job.status === "queued") this.bar.removeAttribute("value");
    else this.bar.value = job.progress;
    this.cancel.hidden = ended;
    this.open.hidden = job.status !== "succeeded";
    this.picture.disabled = job.status !== "succeeded";
    this.detail.textContent = this.connected ? this.#words() : "The line is down; trying again.";
    this.detail.classList.toggle("is-error", job.status === "failed");
  }

  #words() {
    const { job } = this;
    if (job.status === "failed") return job.error?.message || "";
    if (job.status === "queued") {
      const before = job.queue_position;
      const place = before ? `${before} ${before === 1 ? "job" : "jobs"} before this one` : "Next in line";
      const seconds = this.eta ?? job.eta_s;
      return seconds ? `${place}, done in about ${Math.ceil(seconds)} s` : place;
    }
    if (job.status === "running") {
      if (!job.total_steps) return "Getting ready";
      return `Step ${job.step} of ${job.total_steps}${this.#left()}`;
    }
    if (job.status !== "succeeded" || !job.completed_at) return "";
    const seconds = job.completed_at - (job.started_at ?? job.created_at);
    return `${job.parameters.num_inference_steps === 1 ? "1 step" : `${job.parameters.num_inference_steps} steps`}, seed ${job.output[0]?.seed}, ${seconds.toFixed(1)} s`;
  }

  /** By the server's word where it has one, otherwise by the pace so far. */
  #left() {
    const { job } = this;
    const pace = (Date.now() / 1000 - job.started_at) / job.step;
    const seconds = this.eta ?? job.eta_s ?? (job.started_at && job.step ? pace * (job.total_steps - job.step) : null);
    return seconds === null || seconds < 0.5 ? "" : `, about ${Math.ceil(seconds)} s left`;
  }

  #preview(data) {
    const image = this.#image();
    image.src = `data:image/${data.format};base64,${data.b64_json}`;
    image.alt = `Preview after step ${data.step}`;
  }

  async #thumbnail() {
    const [first] = this.job.output;
    if (!first || this.shown === first.file_id) return;
    this.shown = first.file_id;
    const bitmap = await createImageBitmap(await fileBlob(first.file_id), { resizeWidth: 160, resizeQuality: "medium" });
    const canvas = make("canvas", { width: bitmap.width, height: bitmap.height, role: "img", "aria-label": "Result" });
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    this.picture.replaceChildren(canvas);
  }

  #image() {
    let image = this.picture.querySelector("img");
    if (!image) this.picture.replaceChildren((image = make("img", { alt: "" })));
    return image;
  }
}
