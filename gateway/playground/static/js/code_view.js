// The calls that this page made, and any job, as code to copy.
import { onCall } from "./api.js";
import { byId, guarded, make, say } from "./elements.js";
import { LANGUAGES, snippetOf } from "./snippets.js";

const KEPT = 30;

export class CodeView {
  constructor() {
    this.dialog = byId("code-dialog");
    this.calls = [];
    this.language = "curl";
    onCall((call) => {
      this.calls = [call, ...this.calls].slice(0, KEPT);
    });
    byId("code-languages").replaceChildren(...Object.entries(LANGUAGES).map(([name, word]) =>
      make("button", { type: "button", dataset: { language: name }, onclick: () => this.#speak(name) }, word)));
    byId("code-copy").addEventListener("click", guarded(async () => {
      await copy(byId("code-text"));
      byId("code-copy").textContent = "Copied";
      say("Copied.");
    }));
  }

  /** All calls, newest first. */
  openCalls() {
    this.#open(this.calls);
  }

  /** What paints a job again; then how this one is waited for and fetched. */
  openJob(request, job) {
    const path = `/v1/jobs/${job.id}`;
    const result = { method: "GET", path: `${path}/result`, saveAs: `result.${job.output[0]?.format || "png"}` };
    const calls = [{ method: "POST", path: "/v1/jobs", json: request }, { method: "GET", path: `${path}?wait=20` }];
    this.#open(job.status === "succeeded" ? [...calls, result] : calls, "Start it, wait for it, fetch it");
  }

  #open(calls, words = "Calls that this page made, newest first") {
    const list = byId("code-calls");
    byId("code-calls-word").textContent = words;
    byId("code-copy").textContent = "Copy";
    list.replaceChildren(...calls.map((call, index) =>
      make("option", { value: index }, `${call.method} ${call.path}${call.json?.task ? ` (${call.json.task})` : ""}`)));
    list.onchange = () => this.#choose(calls[Number(list.value)]);
    byId("code-calls-label").hidden = calls.length < 2;
    this.#choose(calls[0]);
    if (!this.dialog.open) this.dialog.showModal();
  }

  #choose(call) {
    this.call = call;
    this.#speak(this.language);
  }

  #speak(language) {
    this.language = language;
    byId("code-copy").textContent = "Copy";
    byId("code-text").textContent = this.call ? snippetOf(this.call, language) : "No calls yet.";
    for (const button of byId("code-languages").children)
      button.setAttribute("aria-pressed", String(button.dataset.language === language));
  }
}

/** Browsers keep navigator.clipboard from pages of plain HTTP that are not on this machine. */
async function copy(element) {
  if (navigator.clipboard) return navigator.clipboard.writeText(element.textContent);
  getSelection().selectAllChildren(element);
  if (!document.execCommand("copy")) throw new Error("The browser did not copy it; the text is selected for Ctrl+C.");
  return undefined;
}
