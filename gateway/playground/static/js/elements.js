// Makes DOM elements without HTML strings, which the Content-Security-Policy and XSS both dislike.

export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name in element && !name.startsWith("aria")) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export const byId = (id) => document.getElementById(id);

let clearing;

/** Says a sentence to everyone: shown for a while, and read aloud by screen readers. */
export function say(sentence, { isError = false, stays = false } = {}) {
  const place = byId(isError ? "alert" : "status");
  const other = byId(isError ? "status" : "alert");
  // Behind an open dialog nothing can be read.
  const front = document.querySelector("#key-dialog[open]") || document.querySelector("dialog[open]") || document.body;
  if (place.parentElement.parentElement !== front) front.append(place.parentElement);
  other.textContent = "";
  place.textContent = sentence;
  clearTimeout(clearing);
  if (sentence && !stays) clearing = setTimeout(() => (place.textContent = ""), isError ? 12000 : 5000);
}

/** What goes on: it stays until something else is said. */
export const sayWorking = (sentence) => say(sentence, { stays: true });

export const sayError = (error) => say(error.message || String(error), { isError: true });

/** An event handler that may fail: its error becomes a sentence. */
export const guarded = (work) => async (...given) => {
  try {
    return await work(...given);
  } catch (error) {
    if (error.name !== "AbortError") sayError(error);
    return undefined;
  }
};
