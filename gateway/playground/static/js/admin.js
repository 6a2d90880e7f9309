// The admin page: models, queue, health and charts, asked for every two seconds.
import { health, listModels, loadModel, metricsText, unloadModel } from "./api.js";
import { askForKey } from "./api_key.js";
import { Chart } from "./chart.js";
import { byId, guarded, make, say, sayError } from "./elements.js";
import { parseExposition, sum } from "./exposition.js";
import { startTheme } from "./theme.js";

const INTERVAL_MS = 2000;
const STATUSES = { queued: "waiting", running: "running", succeeded: "done", failed: "failed", canceled: "canceled" };

const charts = {
  requests: new Chart("Requests", "per s"),
  latency: new Chart("Mean time of an answer", "ms"),
  jobs: new Chart("Jobs at work", "", 0),
  waiting: new Chart("Oldest waiting job", "s"),
  seconds: new Chart("Mean time of a job", "s"),
  cached: new Chart("Masks without the network", "%", 0),
};
byId("charts").replaceChildren(...Object.values(charts).map((chart) => chart.element));

startTheme();
byId("key").addEventListener("click", guarded(() => askForKey()));

let before = null;

async function refresh() {
  await Promise.all([showHealth(), showModels()]);
  await showMetrics();
}

async function showHealth() {
  const { status } = await health();
  const place = byId("health");
  place.textContent = status === "ready" ? "Ready" : "Not ready";
  place.dataset.ok = String(status === "ready");
}

async function showModels() {
  const { data } = await listModels();
  const focused = document.activeElement?.dataset?.act;
  byId("models").replaceChildren(...data.map(row));
  if (focused) document.querySelector(`[data-act="${CSS.escape(focused)}"]`)?.focus();
}

function row(model) {
  const act = (word, work, needed) =>
    make("button", {
      type: "button", disabled: !needed, dataset: { act: `${word} ${model.id}` }, "aria-label": `${word} ${model.id}`,
      onclick: guarded(async () => {
        say(`${word}: ${model.id}`);
        await work(model.id);
        say(`${word}: ${model.id}, done.`);
        await showModels();
      }),
    }, word);
  const state = make("span", { className: "state", title: model.detail, dataset: { ok: String(model.ready) } }, model.ready ? "ready" : "not ready");
  const detail = model.ready ? null : make("small", {}, ` ${model.detail}`);
  return make("tr", {},
    make("th", { scope: "row" }, model.id),
    make("td", {}, state, detail),
    make("td", {}, model.tasks.join(", ") || "a part of others"),
    make("td", {}, model.demo ? "demo, random" : model.source || ""),
    make("td", {}, make("div", { className: "group" }, act("Load", loadModel, !model.ready), act("Unload", unloadModel, model.ready))));
}

async function showMetrics() {
  const samples = parseExposition(await metricsText());
  const now = {
    at: performance.now() / 1000,
    requests: sum(samples, "retouch_http_requests_total"),
    count: sum(samples, "retouch_http_request_seconds_count"),
    seconds: sum(samples, "retouch_http_request_seconds_sum"),
  };
  byId("queue").replaceChildren(...Object.entries(STATUSES).map(([status, word]) =>
    make("li", {}, make("strong", {}, String(sum(samples, "retouch_jobs", { status }))), word)));
  charts.jobs.add(sum(samples, "retouch_jobs", { status: "running" }));
  charts.waiting.add(sum(samples, "retouch_oldest_queued_job_age_seconds"));
  charts.seconds.add(sum(samples, "retouch_job_run_seconds_sum") / sum(samples, "retouch_job_run_seconds_count"));
  const hits = sum(samples, "retouch_segmentation_cache_total", { hit: "true" });
  charts.cached.add((100 * hits) / (hits + sum(samples, "retouch_segmentation_cache_total", { hit: "false" })));
  if (before) {
    charts.requests.add((now.requests - before.requests) / (now.at - before.at));
    charts.latency.add((1000 * (now.seconds - before.seconds)) / (now.count - before.count));
  }
  before = now;
}

async function keepAsking() {
  await refresh().catch((error) => {
    sayError(error);
    byId("health").textContent = "No answer";
    byId("health").dataset.ok = "false";
  });
  setTimeout(keepAsking, INTERVAL_MS);
}

keepAsking();
