// All jobs of this person: read from the server, then followed by their events.
import { cancelJob, getJob, listJobs, NoAnswerError } from "./api.js";
import { byId, sayError } from "./elements.js";
import { JobCard } from "./job_card.js";
import { ENDED, followJob } from "./job_events.js";

const RETRY_MS = 2000;
const QUEUE_MS = 5000;

export class JobList {
  constructor(actions) {
    this.actions = { ...actions, cancel: (job) => cancelJob(job.id).then((now) => this.update(now)) };
    this.cards = new Map();
    this.following = new Map();
    this.place = byId("jobs");
    setInterval(() => this.#refreshQueued(), QUEUE_MS);
  }

  /** Bring the list back, after a reload or a restart. */
  async restore() {
    try {
      const { data } = await listJobs();
      for (const job of data.toReversed()) this.add(job);
    } catch (error) {
      sayError(error);
      if (error instanceof NoAnswerError) setTimeout(() => this.restore(), RETRY_MS);
    }
  }

  /** What was just started is shown, wherever the page stands. */
  start(job) {
    this.add(job);
    this.cards.get(job.id).element.scrollIntoView({ block: "nearest" });
  }

  add(job) {
    this.update(job);
    if (!ENDED.has(job.status) && !this.following.has(job.id)) this.#follow(job.id);
  }

  update(job) {
    let card = this.cards.get(job.id);
    if (!card) {
      card = new JobCard(job, this.actions);
      this.cards.set(job.id, card);
      this.place.prepend(card.element);
      byId("no-jobs").hidden = true;
    }
    card.update(job);
    return card;
  }

  async #follow(id) {
    const stop = new AbortController();
    this.following.set(id, stop);
    try {
      for await (const event of followJob(id, stop.signal)) await this.#happened(id, event);
    } catch (error) {
      if (error.status === 404) this.cards.get(id).lose();
      else if (error.name !== "AbortError") sayError(error);
    } finally {
      this.following.delete(id);
    }
  }

  async #happened(id, event) {
    const card = this.cards.get(id);
    card.happened(event);
    if (event.name === "started") this.#refreshQueued();
    if (!ENDED.has(event.name)) return;
    const job = await this.#read(id);
    card.update(job);
    this.#refreshQueued();
    this.actions.ended(job);
  }

  async #read(id) {
    for (;;) {
      try {
        return await getJob(id);
      } catch (error) {
        if (!(error instanceof NoAnswerError)) throw error;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  /** A place in line changes when another job starts or ends. */
  #refreshQueued() {
    for (const [id, card] of this.cards) {
      if (card.job.status === "queued") getJob(id).then((job) => card.update(job)).catch(() => {});
    }
  }
}

