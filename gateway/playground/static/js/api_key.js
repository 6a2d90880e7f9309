// The API key: asked for once, kept in this tab, sent to this server alone.
import { byId } from "./elements.js";

const NAME = "retouch.api_key";
let asking = null;

export const currentKey = () => sessionStorage.getItem(NAME) || "";

export const keyHeaders = () => (currentKey() ? { Authorization: `Bearer ${currentKey()}` } : {});

/** Resolves when a key was entered; rejects where the person closes the dialog. */
export function askForKey(reason = "") {
  asking ||= new Promise((resolve, reject) => {
    const dialog = byId("key-dialog");
    const field = byId("key-field");
    byId("key-reason").textContent = reason;
    field.value = currentKey();
    dialog.returnValue = "";
    dialog.addEventListener("close", () => {
      asking = null;
      if (dialog.returnValue !== "save") return reject(new Error("This server needs an API key."));
      const text = field.value.trim();
      if (text) sessionStorage.setItem(NAME, text);
      else sessionStorage.removeItem(NAME);
      return resolve();
    }, { once: true });
    dialog.showModal();
  });
  return asking;
}
