// A region of a canvas as COCO's compressed run lengths: a stroke travels in a few hundred bytes.

const OPAQUE = 128;

/** Where `region` (ImageData) is opaque, its corner at x0, y0 of a picture of width x height. */
export function encodeRegion(region, [x0, y0], width, height) {
  const { data, width: w, height: h } = region;
  const runs = [];
  let inside = false;
  let start = 0;
  const turn = (index) => {
    runs.push(index - start);
    start = index;
    inside = !inside;
  };
  for (let x = 0; x < w; x += 1) {
    const column = (x0 + x) * height + y0;
    for (let y = 0; y < h; y += 1) {
      if (data[(y * w + x) * 4 + 3] >= OPAQUE !== inside) turn(column + y);
    }
    // A run goes on into the next column only where the region has the picture's whole height.
    const goesOn = h === height && x < w - 1;
    if (inside && !goesOn) turn(column + h);
  }
  if (start < width * height) runs.push(width * height - start);
  return { size: [height, width], counts: compress(runs) };
}

/** From the third run on, the difference to the run before the last; 5 bits a character. */
function compress(runs) {
  let text = "";
  runs.forEach((run, index) => {
    let value = index > 2 ? run - runs[index - 2] : run;
    for (let more = true; more; ) {
      let bits = value & 31;
      value >>= 5;
      more = bits & 16 ? value !== -1 : value !== 0;
      if (more) bits |= 32;
      text += String.fromCharCode(bits + 48);
    }
  });
  return text;
}
