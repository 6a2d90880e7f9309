// How a picture comes onto the page: dialog, drop, paste, or the sample.
import { byId, guarded, say, sayWorking } from "./elements.js";
import { pictureFromFile } from "./picture.js";

const SAMPLE = "/playground/samples/scene.png";

export function startIntake(onPicture) {
  const open = guarded(async (file) => {
    if (!file) return;
    const name = file.name || "the picture";
    sayWorking(`Opening ${name}.`);
    document.body.classList.add("opening");
    try {
      onPicture(await pictureFromFile(file, { onShare: (share) => sayWorking(sent(name, share)) }));
      say("");
    } finally {
      document.body.classList.remove("opening");
    }
  });
  const input = byId("file");
  input.addEventListener("change", () => open(input.files[0]).then(() => (input.value = "")));
  for (const button of document.querySelectorAll("[data-open]")) button.addEventListener("click", () => input.click());
  for (const button of document.querySelectorAll("[data-sample]")) button.addEventListener("click", () => sample().then(open));
  const stop = (event) => event.preventDefault();
  document.addEventListener("dragover", (event) => {
    stop(event);
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dropping");
  });
  document.addEventListener("drop", (event) => {
    stop(event);
    document.body.classList.remove("dropping");
    open(pictureAmong(event.dataTransfer.files));
  });
  document.addEventListener("paste", (event) => {
    const file = pictureAmong(event.clipboardData?.files);
    if (file) open(file);
  });
}

const sent = (name, share) =>
  share < 1 ? `Sending ${name}: ${Math.floor(share * 100)} %.` : `${name} is sent; the server reads it.`;

const pictureAmong = (files) => [...(files || [])].find((file) => file.type.startsWith("image/")) || files?.[0];

async function sample() {
  const blob = await (await fetch(SAMPLE)).blob();
  return new File([blob], "scene.png", { type: blob.type });
}
