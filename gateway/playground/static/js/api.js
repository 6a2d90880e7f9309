// The public HTTP API, and nothing else; every call is told to `onCall` so that it can be copied.
import { askForKey, keyHeaders } from "./api_key.js";
import { sendWithProgress } from "./upload_progress.js";

/** What the server answered with: its own sentence. */
export class ApiError extends Error {
  constructor(problem, status) {
    super(problem.detail || problem.title || `The server answered with status ${status}.`);
    this.name = "ApiError";
    this.status = status;
    this.code = problem.code;
  }
}

/** No answer at all: the server is down or the line is. */
export class NoAnswerError extends Error {
  constructor() {
    super("The server does not answer. Nothing on this page is lost; try again in a moment.");
    this.name = "NoAnswerError";
  }
}

const listeners = new Set();
export const onCall = (listener) => listeners.add(listener);

async function request(method, path, { json, file, fields, headers = {}, signal, quiet, onShare } = {}) {
  const options = { method, headers: { ...keyHeaders(), ...headers }, signal };
  if (json !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(json);
  }
  if (file) {
    options.body = new FormData();
    options.body.append("file", file, file.name || "picture.png");
    for (const [name, value] of Object.entries(fields || {})) options.body.append(name, value);
  }
  if (!quiet) for (const tell of listeners) tell({ method, path, json, file, fields });
  try {
    return await (onShare ? sendWithProgress(method, path, options, onShare) : fetch(path, options));
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new NoAnswerError();
  }
}

async function checked(method, path, options = {}) {
  const answer = await request(method, path, options);
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  if (answer.status !== 401) throw new ApiError(problem, answer.status);
  await askForKey(problem.detail);
  return checked(method, path, options);
}

const asJson = async (...call) => (await checked(...call)).json();
const QUIET = { quiet: true };

export const listModels = () => asJson("GET", "/v1/models");
export const upload = (file, fields = {}, onShare) => asJson("POST", "/v1/files", { file, fields, onShare });
export const fileInfo = (id) => asJson("GET", `/v1/files/${id}`, QUIET);
export const fileBlob = async (id) =>
  (await checked("GET", `/v1/files/${id}/content`, QUIET)).blob();
export const findMasks = (json, { signal, quiet } = {}) =>
  asJson("POST", "/v1/masks", { json, signal, quiet });
export const composeMasks = (json) => asJson("POST", "/v1/masks/compose", { json });
export const cutOut = (json) => asJson("POST", "/v1/images/extract", { json });
export const balance = (json) => asJson("POST", "/v1/images/white-balance", { json });
export const submitJob = (json) => asJson("POST", "/v1/jobs", { json });
export const listJobs = (limit = 50) => asJson("GET", `/v1/jobs?limit=${limit}`, QUIET);
export const getJob = (id) => asJson("GET", `/v1/jobs/${id}`, QUIET);
export const cancelJob = (id) => asJson("POST", `/v1/jobs/${id}/cancel`);
export const loadModel = (name) => asJson("POST", `/v1/models/${name}/load`);
export const unloadModel = (name) => asJson("POST", `/v1/models/${name}/unload`);
export const metricsText = async () => (await checked("GET", "/metrics", QUIET)).text();
export const health = async () => (await request("GET", "/health/ready", QUIET)).json();
export const eventStream = (id, after, signal) =>
  checked("GET", `/v1/jobs/${id}/events`, {
    signal,
    quiet: true,
    headers: { Accept: "text/event-stream", ...(after ? { "Last-Event-ID": String(after) } : {}) },
  });
