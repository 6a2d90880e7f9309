// The preservation receipt in words.
import { make } from "./elements.js";

export function receiptOf(preservation) {
  if (!preservation) return [make("p", { className: "quiet" }, "No mask, so nothing was to be kept.")];
  const isEqual = preservation.outside_equal === true;
  const verdict = isEqual
    ? "Outside the mask every pixel equals the original, bit for bit."
    : `Outside the mask pixels differ by up to ${preservation.outside_max_abs} of 255.`;
  return [
    make("p", { className: isEqual ? "verdict is-equal" : "verdict" }, verdict),
    make("dl", {}, rows(preservation).flatMap(([word, value]) => [make("dt", {}, word), make("dd", {}, value)])),
  ];
}

function rows(receipt) {
  const found = [];
  if (receipt.mask_coverage !== undefined) found.push(["Mask", `${(receipt.mask_coverage * 100).toFixed(1)} % of the picture`]);
  if (receipt.feather_px !== undefined) found.push(["Feather", `${receipt.feather_px} px`]);
  if (receipt.shift) found.push(["Shift undone", receipt.shift.map((value) => `${value.toFixed(2)} px`).join(", ")]);
  if (typeof receipt.scale === "number") found.push(["Zoom undone", receipt.scale.toFixed(4)]);
  if (typeof receipt.ring_delta_e === "number") found.push(["Colour difference at the seam", `${receipt.ring_delta_e.toFixed(2)} (CIEDE2000)`]);
  return found;
}
