// What is served, and what that means for each task in plain words.
import { listModels, NoAnswerError } from "./api.js";

let models = [];
let answered = true;

/** Raises where the server does not answer; what was known of the models stays. */
export async function readModels() {
  try {
    models = (await listModels()).data;
    answered = true;
  } catch (error) {
    answered = !(error instanceof NoAnswerError);
    throw error;
  }
}

const modelOf = (task) => models.find((model) => model.tasks.includes(task));

export const defaultsOf = (task) => modelOf(task)?.defaults || {};
export const limitsOf = (task) => modelOf(task)?.limits || {};
export const isReady = (task) => answered && Boolean(modelOf(task)?.ready);

/** {kind, text}: kind is lost, missing, waiting, demo or real. */
export function wordsFor(task) {
  const model = modelOf(task);
  if (!answered) return { kind: "lost", text: "The server does not answer. It is asked again every two seconds." };
  if (!model) {
    return {
      kind: "missing",
      text: "This server has no model for it. Export one first: see docs/exporting.md.",
    };
  }
  if (!model.ready) {
    const why = model.detail ? `${model.detail.replace(/\.$/, "")}.` : "It is being loaded.";
    return { kind: "waiting", text: `Not ready yet. ${why} This page goes on as soon as it is.` };
  }
  if (model.demo) {
    return {
      kind: "demo",
      text: "Demo model: its weights are random. Everything works, but what it paints means nothing.",
    };
  }
  return { kind: "real", text: `Model ${model.id}.` };
}
