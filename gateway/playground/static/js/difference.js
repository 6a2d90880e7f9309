// Where two pictures differ, measured on the pixels that the browser decodes.
import { make } from "./elements.js";

const LARGEST_PIXELS = 25_000_000;
const GAIN = 4;
const HALF = 128;

/** {canvas, words}; the mask's inside is the one place where a difference is meant to be. */
export async function differenceOf(beforeBlob, afterBlob, maskBlob) {
  const [before, after] = await Promise.all([createImageBitmap(beforeBlob), createImageBitmap(afterBlob)]);
  if (before.width !== after.width || before.height !== after.height) {
    return { words: `The sizes differ: ${before.width} x ${before.height} and ${after.width} x ${after.height}.` };
  }
  const { width, height } = before;
  if (width * height > LARGEST_PIXELS) return { words: "The picture is too large to compare in the browser." };
  const mask = maskBlob ? await createImageBitmap(maskBlob) : null;
  const found = compare(pixels(before), pixels(after), mask?.width === width ? pixels(mask) : null);
  const canvas = make("canvas", { width, height, role: "img", "aria-label": "Difference, brightened" });
  canvas.getContext("2d").putImageData(new ImageData(found.shown, width, height), 0, 0);
  return { canvas, words: sentence(found, Boolean(mask)) };
}

function pixels(bitmap) {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height).data;
}

function compare(before, after, mask) {
  const shown = new Uint8ClampedArray(before.length);
  const found = { shown, changed: 0, outside: 0, largestOutside: 0, count: before.length / 4 };
  for (let at = 0; at < before.length; at += 4) {
    let largest = 0;
    for (let channel = 0; channel < 3; channel += 1) {
      const difference = Math.abs(before[at + channel] - after[at + channel]);
      shown[at + channel] = difference * GAIN;
      if (difference > largest) largest = difference;
    }
    shown[at + 3] = 255;
    if (!largest) continue;
    found.changed += 1;
    if (mask && mask[at] < HALF) {
      found.outside += 1;
      found.largestOutside = Math.max(found.largestOutside, largest);
    }
  }
  return found;
}

function sentence({ changed, outside, largestOutside, count }, hasMask) {
  const share = `${((100 * changed) / count).toFixed(1)} % of the pixels differ (shown ${GAIN} times brighter).`;
  if (!hasMask) return share;
  if (!outside) return `${share} Outside the mask none does.`;
  return `${share} Outside the mask ${outside.toLocaleString()} do, by at most ${largestOutside} of 255.`;
}
