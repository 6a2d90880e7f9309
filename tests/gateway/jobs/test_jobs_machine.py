"""Any order of submit, step, finish, fail, cancel and death, against a model in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from gateway.errors import OverloadedError, TooManyJobsError
from gateway.jobs import job_store
from gateway.jobs.job import Job, JobEvent, JobPriority
from gateway.jobs.job_queue import JobQueue
from tests.gateway.held_jobs import HeldJobs, make_queue, settle, watched

BOUND, MAX_QUEUED = 2, 3
MODELS = ("qwen_image", "qwen_image_edit")
OWNERS = ("ann", "bob")
MAX_ATTEMPTS = 3
STEPS = 4


@dataclass
class Expected:
    """What the model thinks of a job, and what a watcher saw of it."""

    job: Job
    lap: int
    status: str = "queued"
    was_started: bool = False
    attempts: int = 0
    step: int = 0
    progress: float = 0.0
    seen: list[JobEvent] = field(default_factory=list)

    @property
    def place(self) -> tuple[int, int, str]:
        return self.job.priority.rank, self.lap, self.job.id

    def start(self) -> None:
        self.status, self.was_started = "running", True
        self.attempts += 1
        self.step, self.progress = 0, 0.0


async def opened(entry: Expected) -> None:
    """Until its watcher has begun: it shares its first look at the store with others."""
    while not entry.seen:  # noqa: ASYNC110
        await asyncio.sleep(0.002)


class JobsMachine(RuleBasedStateMachine):
    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.work = HeldJobs()
        self.queue: JobQueue = self.run(
            make_queue(
                self.work,
                jobs_per_model=BOUND,
                max_queued=MAX_QUEUED,
                max_attempts=MAX_ATTEMPTS,
            )
        )
        self.expected: dict[str, Expected] = {}
        self.watchers: list[asyncio.Task[None]] = []

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        async def and_settle() -> Any:
            result = await work
            await settle()
            return result

        return self.loop.run_until_complete(and_settle())

    def of(self, model: str, status: str) -> list[Expected]:
        return [e for e in self.expected.values() if e.job.model == model and e.status == status]

    def end(self, entry: Expected, status: str) -> None:
        had_slot = entry.status == "running"
        entry.status = status
        waiting = self.of(entry.job.model, "queued")
        if had_slot and waiting:
            min(waiting, key=lambda other: other.place).start()

    def lap(self, model: str, priority: JobPriority, owner: str) -> int:
        """One job of each owner a lap, never in a lap that is over."""
        same = [
            entry
            for entry in self.expected.values()
            if (entry.job.model, entry.job.priority) == (model, priority)
        ]
        current = max((entry.lap for entry in same if entry.was_started), default=0)
        waiting = [e.lap for e in same if e.status == "queued" and e.job.owner == owner]
        return max(current, max(waiting, default=-1) + 1)

    async def watch(self, entry: Expected) -> None:
        """A slow reader: the job goes on while it is busy with an event."""
        async for event in self.queue.watch(entry.job.id):
            entry.seen.append(event)
            for _ in range(3):
                await asyncio.sleep(0)

    @rule(
        target=jobs,
        model=st.sampled_from(MODELS),
        priority=st.sampled_from(JobPriority),
        owner=st.sampled_from(OWNERS),
    )
    def submit(self, model: str, priority: JobPriority, owner: str) -> Any:
        async def submit() -> Job | None:
            try:
                return await self.queue.submit(
                    task="generate", model=model, request={}, priority=priority, owner=owner
                )
            except TooManyJobsError:
                return None

        full = sum(len(self.of(m, "queued")) for m in MODELS) >= MAX_QUEUED
        free = len(self.of(model, "running")) < BOUND
        lap = self.lap(model, priority, owner)
        job = self.run(submit())
        assert (job is None) == full
        if job is None:
            return multiple()
        entry = self.expected[job.id] = Expected(job, lap)
        if free:
            entry.start()
        self.watchers.append(self.loop.create_task(self.watch(entry)))
        self.run(opened(entry))
        return job.id

    @rule(job_id=jobs)
    def step(self, job_id: str) -> None:
        entry = self.expected[job_id]
        if entry.status == "running" and entry.step < STEPS:
            entry.step += 1
            self.work.step(entry.job, entry.step, STEPS)
            self.run(settle())

    @rule(job_id=jobs, hurried=st.booleans())
    def finish(self, job_id: str, hurried: bool) -> None:
        """A hurried job ends before anyone could look at its last step."""
        entry = self.expected[job_id]
        if entry.status == "running":
            if hurried:
                self.work.step(entry.job, STEPS, STEPS)
            self.run(self.work.finish(entry.job))
            self.end(entry, "succeeded")

    @rule(job_id=jobs)
    def fail(self, job_id: str) -> None:
        entry = self.expected[job_id]
        if entry.status == "running":
            self.run(self.work.fail(entry.job, OverloadedError("no")))
            self.end(entry, "failed")

    @rule(job_id=jobs)
    def die(self, job_id: str) -> None:
        """Its worker is taken for dead and the job starts again; what the old run says is void."""
        entry = self.expected[job_id]
        if entry.status != "running" or self.of(entry.job.model, "queued"):
            return
        old = self.work.report_of(entry.job)
        assert self.run(self.queue.database.call(job_store.put_in_line_again, job_id))
        self.run(self.started_again_or_given_up(job_id))
        old.step_done(STEPS, STEPS)
        self.run(settle())
        if entry.attempts < MAX_ATTEMPTS:
            entry.start()
        else:
            entry.progress = 0  # it was put in line once more before it was given up
            self.end(entry, "failed")

    async def started_again_or_given_up(self, job_id: str) -> None:
        async with asyncio.timeout(5):
            while (await self.queue.get(job_id)).status == "queued":  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    @rule(job_id=jobs)
    def cancel(self, job_id: str) -> None:
        async def cancel() -> Job:
            return await self.queue.cancel(job_id)

        entry = self.expected[job_id]
        self.run(cancel())
        if entry.status in ("queued", "running"):
            self.end(entry, "canceled")

    @invariant()
    def statuses_are_as_expected(self) -> None:
        for job_id, entry in self.expected.items():
            assert self.run(self.queue.get(job_id)).status == entry.status

    @invariant()
    def those_who_wait_know_their_place(self) -> None:
        for model in MODELS:
            waiting = sorted(self.of(model, "queued"), key=lambda entry: entry.place)
            jobs = [self.run(self.queue.get(entry.job.id)) for entry in waiting]
            positions = [self.run(self.queue.queue_position(job)) for job in jobs]
            assert positions == list(range(len(waiting)))

    @invariant()
    def events_have_no_gap_and_one_end(self) -> None:
        self.run(settle())
        for entry in self.expected.values():
            assert [event.id for event in entry.seen] == list(range(1, len(entry.seen) + 1))
            ended = self.run(self.queue.get(entry.job.id)).status.is_terminal
            lasts = [event.is_last for event in entry.seen]
            assert sum(lasts) == ended
            assert not any(lasts[:-1])

    @invariant()
    def progress_never_falls(self) -> None:
        for job_id, entry in self.expected.items():
            progress = self.run(self.queue.get(job_id)).progress
            assert entry.progress <= progress <= 1
            assert (progress == 1) == (entry.status == "succeeded")
            entry.progress = progress

    @invariant()
    def no_model_has_more_jobs_at_work_than_its_bound(self) -> None:
        for model in MODELS:
            assert self.work.running[model] == len(self.of(model, "running"))
            assert self.work.most_running[model] <= BOUND

    def teardown(self) -> None:
        try:
            for entry in self.expected.values():
                if entry.status not in ("queued", "running"):
                    assert self.run(watched(self.queue, entry.job)) == entry.seen
            self.run(self.queue.close())
            assert all(watcher.done() for watcher in self.watchers)
        finally:
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()


TestJobsMachine = JobsMachine.TestCase
TestJobsMachine.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
