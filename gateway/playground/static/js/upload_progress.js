// fetch tells nothing about how much of a file has been sent; XMLHttpRequest does.

/** Sends as fetch would, and tells the share that is on its way, 0 to 1; rejects without an answer. */
export function sendWithProgress(method, path, { headers, body }, onShare) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, path);
    request.responseType = "text";
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", ({ loaded, total }) => onShare(total ? loaded / total : 0));
    request.addEventListener("load", () => resolve(new Response(request.response, { status: request.status })));
    request.addEventListener("error", () => reject(new TypeError("no answer")));
    request.send(body);
  });
}
