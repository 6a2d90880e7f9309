"""Any order of submit, step, finish, fail and cancel, against a model in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from gateway.errors import InferenceError, TooManyJobsError
from gateway.job import Job, JobEvent, JobPriority
from gateway.jobs import JobQueue
from tests.gateway.held_jobs import HeldJobs, make_queue, settle, watched

BOUND, MAX_QUEUED = 2, 3
MODELS = ("qwen_image", "qwen_image_edit")
STEPS = 4


@dataclass
class Expected:
    """What the model thinks of a job, and what a watcher saw of it."""

    job: Job
    status: str = "queued"
    step: int = 0
    progress: float = 0.0
    seen: list[JobEvent] = field(default_factory=list)


class JobsMachine(RuleBasedStateMachine):
    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.work = HeldJobs()
        self.queue: JobQueue = make_queue(self.work, jobs_per_model=BOUND, max_queued=MAX_QUEUED)
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
            first = min(waiting, key=lambda other: other.job.priority.rank)
            first.status = "running"

    async def watch(self, entry: Expected) -> None:
        """A slow reader: the job goes on while it is busy with an event."""
        async for event in self.queue.watch(entry.job.id):
            entry.seen.append(event)
            for _ in range(3):
                await asyncio.sleep(0)

    @rule(target=jobs, model=st.sampled_from(MODELS), priority=st.sampled_from(JobPriority))
    def submit(self, model: str, priority: JobPriority) -> Any:
        async def submit() -> Job | None:
            try:
                return self.queue.submit(
                    task="generate", model=model, request={}, priority=priority
                )
            except TooManyJobsError:
                return None

        full = sum(len(self.of(m, "queued")) for m in MODELS) >= MAX_QUEUED
        free = len(self.of(model, "running")) < BOUND
        job = self.run(submit())
        assert (job is None) == full
        if job is None:
            return multiple()
        entry = self.expected[job.id] = Expected(job, "running" if free else "queued")
        self.watchers.append(self.loop.create_task(self.watch(entry)))
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
            self.run(self.work.fail(entry.job, InferenceError("no")))
            self.end(entry, "failed")

    @rule(job_id=jobs)
    def cancel(self, job_id: str) -> None:
        async def cancel() -> Job:
            return self.queue.cancel(job_id)

        entry = self.expected[job_id]
        self.run(cancel())
        if entry.status in ("queued", "running"):
            self.end(entry, "canceled")

    @invariant()
    def statuses_are_as_expected(self) -> None:
        for job_id, entry in self.expected.items():
            assert self.queue.get(job_id).status == entry.status

    @invariant()
    def those_who_wait_know_their_place(self) -> None:
        for model in MODELS:
            waiting = sorted(self.of(model, "queued"), key=lambda e: e.job.priority.rank)
            jobs = [self.queue.get(entry.job.id) for entry in waiting]
            positions = [self.queue.queue_position(job) for job in jobs]
            assert positions == list(range(len(waiting)))

    @invariant()
    def events_have_no_gap_and_one_end(self) -> None:
        self.run(settle())
        for entry in self.expected.values():
            assert [event.id for event in entry.seen] == list(range(1, len(entry.seen) + 1))
            ended = self.queue.get(entry.job.id).status.is_terminal
            lasts = [event.is_last for event in entry.seen]
            assert sum(lasts) == ended
            assert not any(lasts[:-1])

    @invariant()
    def progress_never_falls(self) -> None:
        for job_id, entry in self.expected.items():
            progress = self.queue.get(job_id).progress
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
            self.run(self.queue.close())
            for entry in self.expected.values():
                assert self.run(watched(self.queue, entry.job)) == entry.seen
            assert all(watcher.done() for watcher in self.watchers)
        finally:
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()


TestJobsMachine = JobsMachine.TestCase
TestJobsMachine.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)
