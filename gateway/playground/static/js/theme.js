// Light or dark: the system's choice until the person has one.
import { byId } from "./elements.js";

const NAME = "retouch.theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

function apply() {
  const chosen = localStorage.getItem(NAME) || (dark.matches ? "dark" : "light");
  document.documentElement.dataset.theme = chosen;
  byId("theme").setAttribute("aria-pressed", String(chosen === "dark"));
}

export function startTheme() {
  dark.addEventListener("change", apply);
  byId("theme").addEventListener("click", () => {
    const now = document.documentElement.dataset.theme;
    localStorage.setItem(NAME, now === "dark" ? "light" : "dark");
    apply();
  });
  apply();
}
