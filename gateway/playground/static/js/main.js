// Puts the playground together.
import { fileInfo } from "./api.js";
import { askForKey } from "./api_key.js";
import { CodeView } from "./code_view.js";
import { byId, guarded, sayError } from "./elements.js";
import { startIntake } from "./intake.js";
import { JobList } from "./job_list.js";
import { requestOf } from "./job_request.js";
import { listenToKeys } from "./keyboard.js";
import { MaskEditor } from "./mask_editor.js";
import { readModels } from "./models.js";
import { pictureFromServer } from "./picture.js";
import { Reference } from "./reference.js";
import { ResultView } from "./result_view.js";
import { TaskForm } from "./task_form.js";
import { ruleOf } from "./task_rules.js";
import { startTheme } from "./theme.js";
import { Toolbar } from "./toolbar.js";

const MODELS_MS = 10_000;
const INPUT = "retouch.picture";

startTheme();
const editor = new MaskEditor(byId("stage"));
const toolbar = new Toolbar(editor);
byId("tools").replaceChildren(toolbar.element);
listenToKeys(editor, toolbar);

const code = new CodeView();
const result = new ResultView({ useAsInput: async (info) => openPicture(await pictureFromServer(info, "result")) });
const jobs = new JobList({
  open: openResult,
  again: async (job) => form.fill(requestOf(job)),
  code: async (job) => code.openJob(requestOf(job)),
  ended: (job) => job.status === "succeeded" && announce(job),
});
const form = new TaskForm(editor, new Reference(), {
  onJob: (job) => jobs.add(job),
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
};

byId("calls").addEventListener("click", () => code.openCalls());
byId("key").addEventListener("click", guarded(async () => {
  await askForKey();
  await start();
}));
startIntake(openPicture);
start();

async function start() {
  await refreshModels();
  await jobs.restore();
  await restorePicture();
}

async function refreshModels() {
  await readModels().then(() => form.choose(form.task)).catch(sayError);
}
setInterval(() => readModels().then(() => form.refresh()).catch(() => {}), MODELS_MS);

function openPicture(picture) {
  editor.open(picture);
  byId("welcome").hidden = true;
  byId("picture-name").textContent = `${picture.name}, ${picture.width} x ${picture.height}`;
  sessionStorage.setItem(INPUT, JSON.stringify({ id: picture.id, name: picture.name }));
  form.refresh();
}

/** After a reload the picture is there again; where the server has lost it, the page starts anew. */
async function restorePicture() {
  const kept = JSON.parse(sessionStorage.getItem(INPUT) || "null");
  if (!kept || editor.picture) return;
  try {
    openPicture(await pictureFromServer(await fileInfo(kept.id), kept.name));
  } catch {
    sessionStorage.removeItem(INPUT);
  }
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
  byId("status").textContent = `${ruleOf(job.task)?.word || job.task} is done.`;
}
