// Follows a job's server-sent events. Not EventSource, which can send no key; like it, a line
// that breaks is taken up again behind the last event that arrived.
import { eventStream } from "./api.js";

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 8000;

export const ENDED = new Set(["succeeded", "failed", "canceled", "expired"]);

/** Yields {id, name, data} until the last one; {name: "lost"} whenever the line broke. */
export async function* followJob(jobId, signal) {
  let after = 0;
  let pause = FIRST_PAUSE_MS;
  for (;;) {
    try {
      const answer = await eventStream(jobId, after, signal);
      for await (const event of frames(answer.body)) {
        if (event.id) after = event.id;
        pause = FIRST_PAUSE_MS;
        yield event;
        if (ENDED.has(event.name)) return;
      }
    } catch (error) {
      if (error.name === "AbortError" || error.status === 404) throw error;
    }
    yield { name: "lost", data: {} };
    await new Promise((resolve) => setTimeout(resolve, pause));
    if (signal?.aborted) return;
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
  }
}

async function* frames(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const blocks = rest.split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const event = parse(block);
      if (event) yield event;
    }
  }
}

/** One frame; null for a comment that only keeps the line open. */
function parse(block) {
  const fields = {};
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 1).trimStart();
  }
  if (!fields.event) return null;
  return { id: Number(fields.id), name: fields.event, data: JSON.parse(fields.data || "{}") };
}
