// What is served, and what that means for each task in plain words.
import { listModels } from "./api.js";

let models = [];

export async function readModels() {
  models = (await listModels()).data;
  return models;
}

const modelOf = (task) => models.find((model) => model.tasks.includes(task));

export const defaultsOf = (task) => modelOf(task)?.defaults || {};
export const limitsOf = (task) => modelOf(task)?.limits || {};

/** {kind, text}: kind is missing, waiting, demo or real. */
export function wordsFor(task) {
  const model = modelOf(task);
  if (!model) {
    return {
      kind: "missing",
      text: "This server has no model for it. Export one first: see docs/exporting.md.",
    };
  }
  if (!model.ready) {
    return { kind: "waiting", text: `The model ${model.id} is not ready: ${model.detail || "it is loading"}.` };
  }
  if (model.demo) {
    return {
      kind: "demo",
      text: task === "mask"
        ? "A small demo model finds the masks; it knows simple shapes best."
        : "Demo model: its weights are random. Everything works, but what it paints means nothing.",
    };
  }
  return { kind: "real", text: `Model ${model.id}.` };
}
