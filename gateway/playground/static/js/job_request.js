// The request that paints a job again, out of its accepted parameters.

const OPTIONAL = ["negative_prompt", "image", "mask", "reference_mask", "seed", "num_inference_steps", "true_cfg_scale", "feather", "preserve"];
const WITH_MASK = new Set(["feather", "preserve"]);

export function requestOf(job) {
  const given = job.parameters;
  const request = { task: job.task };
  if (given.prompt) request.prompt = given.prompt;
  for (const name of OPTIONAL) {
    const value = given[name];
    if (value === null || value === undefined || value === "") continue;
    if (WITH_MASK.has(name) && !given.mask) continue;
    request[name] = value;
  }
  if (given.references?.length) request.reference = given.references;
  if (job.task === "generate") request.size = `${given.width}x${given.height}`;
  if (job.task === "inpaint" && !given.references?.length) request.strength = given.strength;
  if (job.task === "remove") request.prefill_grow = given.prefill_grow;
  if (given.n > 1) request.n = given.n;
  if (job.output?.length === 1) request.seed = job.output[0].seed;
  return request;
}
