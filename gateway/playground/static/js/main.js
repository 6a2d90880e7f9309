// Puts the playground together.
import { askForKey } from "./api_key.js";
import { CodeView } from "./code_view.js";
import { byId, guarded, say, sayError } from "./elements.js";
import { startIntake } from "./intake.js";
import { JobList } from "./job_list.js";
import { requestOf } from "./job_request.js";
import { KeptWork } from "./kept_work.js";
import { listenToKeys } from "./keyboard.js";
import { MaskEditor } from "./mask_editor.js";
import { isReady, readModels } from "./models.js";
import { pictureFromServer } from "./picture.js";
import { Reference } from "./reference.js";
import { ResultView } from "./result_view.js";
import { TaskForm } from "./task_form.js";
import { ruleOf } from "./task_rules.js";
import { startTheme } from "./theme.js";
import { Toolbar } from "./toolbar.js";

const MODELS_MS = 5000;
const NOT_READY_MS = 2000;

startTheme();
const editor = new MaskEditor(byId("stage"));
const toolbar = new Toolbar(editor);
byId("tools").replaceChildren(toolbar.element);
listenToKeys(editor, toolbar);

const code = new CodeView();
const result = new ResultView({ useAsInput: async (info) => openPicture(await pictureFromServer(info, "result")) });
const jobs = new JobList({
  open: openResult,
  again: paintAgain,
  code: async (job) => code.openJob(requestOf(job), job),
  ended: announce,
});
const reference = new Reference();
const work = new KeptWork(editor, openPicture);
const form = new TaskForm(editor, reference, {
  onJob: (job) => jobs.start(job),
  onTool: (picture, done) => result.open({
    title: "White balance",
    input: picture.id,
    outputs: [{ ...done.image, cube_url: done.cube_url }],
    preservation: null,
    facts: [["Light", `${Math.round(done.light.temperature_k)} K, tint ${done.light.tint.toFixed(1)}`]],
    warnings: done.warnings,
  }),
});
editor.onMask = () => {
  toolbar.refresh();
  form.refresh();
  work.keep();
  byId("alert").textContent = "";
};

byId("calls").addEventListener("click", () => code.openCalls());
byId("key").addEventListener("click", guarded(async () => {
  await askForKey();
  await start();
}));
startIntake(openPicture);
start();
keepReadingModels();

async function start() {
  await readModels().catch(sayError);
  form.renew();
  await jobs.restore();
  await work.restore();
}

/** Soon again while the task's model is not there; a person waits for it. */
async function keepReadingModels() {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, isReady(form.task) ? MODELS_MS : NOT_READY_MS));
    await readModels().catch(() => {});
    form.renew();
  }
}

function openPicture(picture) {
  editor.open(picture);
  byId("welcome").hidden = true;
  byId("picture-name").textContent = `${picture.name}, ${picture.width} x ${picture.height}`;
  form.refresh();
}

async function paintAgain(job) {
  const request = requestOf(job);
  form.fill(request);
  await work.bringBack(request);
  if (ruleOf(job.task)?.reference) await reference.bringBack(request);
  byId("task-form").scrollIntoView({ block: "nearest" });
}

async function openResult(job) {
  const given = job.parameters;
  await result.open({
    title: ruleOf(job.task)?.word || job.task,
    input: given.image,
    outputs: job.output,
    preservation: job.preservation,
    mask: given.mask,
    facts: [
      ["Prompt", given.prompt],
      ["Seed", job.output[0].seed],
      ["Steps", given.num_inference_steps],
      ["Guidance", given.true_cfg_scale],
      ["Size", `${job.output[0].width} x ${job.output[0].height}`],
      ["Model", job.model],
    ],
    warnings: job.warnings,
  });
}

function announce(job) {
  const word = ruleOf(job.task)?.word || job.task;
  if (job.status === "succeeded") say(`${word} is done.`);
  if (job.status === "failed") say(`${word} failed. ${job.error?.message || ""}`, { isError: true });
}
