// A picture in the browser: decoded once, with smaller copies so that 24 megapixels stay fluid.
import { fileBlob, upload } from "./api.js";

const SMALLEST_SIDE = 1024;

export class Picture {
  constructor(info, name, levels) {
    Object.assign(this, { id: info.id, info, name, levels });
    // As the browser shows it: turned by EXIF, as the server turns it too.
    this.width = levels[0].width;
    this.height = levels[0].height;
  }

  /** The smallest copy that has at least `scale` of the picture's resolution. */
  levelFor(scale) {
    const wanted = this.width * Math.min(1, scale);
    return this.levels.findLast((level) => level.width >= wanted) || this.levels[0];
  }
}

/** Uploads a file and decodes it meanwhile. */
export async function pictureFromFile(file, { prefetch = true, onShare } = {}) {
  const [info, levels] = await Promise.all([
    upload(file, prefetch ? { prefetch: "true" } : {}, onShare),
    pyramid(file).catch(() => null),
  ]);
  if (!levels) throw new Error(unreadable(info));
  return new Picture(info, file.name || "pasted picture", levels);
}

/** A picture that the server has. */
export async function pictureFromServer(info, name) {
  const levels = await pyramid(await fileBlob(info.id)).catch(() => null);
  if (!levels) throw new Error(unreadable(info));
  return new Picture(info, name, levels);
}

const unreadable = (info) =>
  `The server reads ${info.format.toUpperCase()}, but this browser cannot show it. ` +
  "Save it as JPEG, PNG, WebP or AVIF to work on it here.";

async function pyramid(blob) {
  const levels = [await createImageBitmap(blob)];
  for (;;) {
    const last = levels.at(-1);
    if (Math.max(last.width, last.height) < 2 * SMALLEST_SIDE) return levels;
    levels.push(await createImageBitmap(last, {
      resizeWidth: Math.round(last.width / 2),
      resizeHeight: Math.round(last.height / 2),
      resizeQuality: "medium",
    }));
  }
}
