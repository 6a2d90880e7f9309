// The fields under "Advanced": labels, and bounds and defaults as the server names them.
import { make } from "./elements.js";
import { defaultsOf, limitsOf } from "./models.js";

const NUMBERS = {
  num_inference_steps: ["Steps", "More steps, more detail, more time.", 1],
  true_cfg_scale: ["Guidance", "How strictly the words are followed.", 0.1],
  strength: ["Strength", "How far to leave what is there, 0 to 1.", 0.05],
  seed: ["Seed", "The same seed paints the same picture; empty: a new one.", 1],
  n: ["Pictures", "How many to paint.", 1],
  feather: ["Feather (px)", "Blending inside the mask's edge.", 1],
  prefill_grow: ["Grow for the first guess (px)", "Widens a tight mask; 35 suits hand-drawn ones.", 1],
};
const CHOICES = {
  preserve: ["Outside the mask", [
    ["", "as the mask is"],
    ["exact", "equal, bit for bit"],
    ["soft", "mask levels are weights"],
    ["none", "as the model painted"],
  ]],
  crop: ["Large photographs", [["", "paint the mask's surroundings"], ["off", "paint all of it"]]],
};

export function advancedField(name, task) {
  if (NUMBERS[name]) return numberField(name, task);
  if (CHOICES[name]) return choiceField(name);
  const [word, placeholder] = name === "size" ? ["Size", "auto, or 512x512"] : ["Not on the picture", ""];
  return labelled(word, "", make("input", { name, type: "text", placeholder, autocomplete: "off" }));
}

function numberField(name, task) {
  const [word, help, step] = NUMBERS[name];
  const bounds = limitsOf(task)[name] || (name === "seed" ? { minimum: 0 } : {});
  const known = defaultsOf(task)[name];
  const range = bounds.maximum === undefined ? "" : `${bounds.minimum ?? bounds.exclusive_minimum} to ${bounds.maximum}. `;
  const input = make("input", {
    name, type: "number", step: step < 1 ? "any" : step, min: bounds.minimum, max: bounds.maximum,
    placeholder: known === undefined ? "auto" : String(known), inputMode: step < 1 ? "decimal" : "numeric",
  });
  return labelled(word, range + help, input);
}

function choiceField(name) {
  const [word, choices] = CHOICES[name];
  const options = choices.map(([value, text]) => make("option", { value }, text));
  return labelled(word, "", make("select", { name }, options));
}

function labelled(word, help, input) {
  return make("label", { className: "field", title: help }, make("span", {}, word), input,
    help ? make("small", {}, help) : null);
}

/** What was filled in, in the types of the API. */
export function readFields(form, names) {
  const filled = {};
  for (const name of names) {
    const text = form.elements[name]?.value.trim();
    if (text) filled[name] = NUMBERS[name] ? Number(text) : text;
  }
  return filled;
}
