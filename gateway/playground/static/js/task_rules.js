// What each task asks for on the form. The server checks; this only decides what is shown.

export const TASKS = [
  {
    name: "remove", word: "Remove", needs: ["image", "mask"], prompt: "optional",
    hint: "Mark what should go.", advanced: ["prefill_grow", "crop"],
  },
  {
    name: "inpaint", word: "Replace", needs: ["image", "mask", "prompt"], prompt: "What should be there instead?",
    hint: "Mark a place and say what should be there.", advanced: ["strength", "negative_prompt", "crop"],
  },
  {
    name: "insert", word: "Insert", needs: ["image", "mask"], prompt: "optional, with a reference", reference: true,
    hint: "Mark where it goes and give a picture of it, or words.", advanced: ["crop"],
  },
  {
    name: "edit", word: "Edit", needs: ["image", "prompt"], prompt: "What should be different?",
    hint: "Say what should be different; a mask keeps the rest as it is.", advanced: ["negative_prompt", "crop"],
  },
  {
    name: "generate", word: "Generate", needs: ["prompt"], prompt: "What should be on the picture?",
    hint: "A picture from words alone.", advanced: ["size", "negative_prompt"],
  },
  {
    name: "white_balance", word: "White balance", needs: ["image"], prompt: "optional",
    hint: "Takes the cast of the light away; nothing is repainted.", advanced: [],
  },
];

export const SHARED = ["num_inference_steps", "true_cfg_scale", "seed"];
export const MANY = ["n"];
export const MASKED = ["preserve", "feather"];

export const ruleOf = (task) => TASKS.find((rule) => rule.name === task);

/** Which fields stand under "Advanced" for a task. */
export function advancedOf(task) {
  const rule = ruleOf(task);
  const many = task === "white_balance" ? [] : MANY;
  const masked = rule.needs.includes("mask") || task === "edit" ? MASKED : [];
  return [...rule.advanced, ...SHARED, ...many, ...masked];
}
