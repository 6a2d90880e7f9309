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
      await navigator.clipboard.writeText(byId("code-text").textContent);
      say("Copied.");
    }));
  }

  /** All calls, newest first. */
  openCalls() {
    this.#open(this.calls);
  }

  openJob(request) {
    this.#open([{ method: "POST", path: "/v1/jobs", json: request }]);
  }

  #open(calls) {
    const list = byId("code-calls");
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
    byId("code-text").textContent = this.call ? snippetOf(this.call, language) : "No calls yet.";
    for (const button of byId("code-languages").children)
      button.setAttribute("aria-pressed", String(button.dataset.language === language));
  }
}
