"""Jobs that end when a test says so."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from gateway.job import Job, JobEvent, JobResult
from gateway.jobs import JobQueue, JobReporter

RESULT = JobResult(output=({"file_id": "file_1"},), timings={"inference_s": 1.0})


class HeldJobs:
    """A runner that keeps every job until `finish` or `fail`."""

    def __init__(self) -> None:
        self.running: Counter[str] = Counter()
        self.most_running: Counter[str] = Counter()
        self._gates: dict[str, asyncio.Future[JobResult]] = {}
        self._reports: dict[str, JobReporter] = {}

    async def __call__(self, job: Job, report: JobReporter) -> JobResult:
        self._gates[job.id] = asyncio.get_running_loop().create_future()
        self._reports[job.id] = report
        self.running[job.model] += 1
        self.most_running |= self.running
        try:
            return await self._gates[job.id]
        finally:
            self.running[job.model] -= 1

    async def finish(self, job: Job) -> None:
        self._gates[job.id].set_result(RESULT)
        await settle()

    async def fail(self, job: Job, error: Exception) -> None:
        self._gates[job.id].set_exception(error)
        await settle()

    def step(self, job: Job, step: int, total_steps: int) -> None:
        self._reports[job.id].step_done(step, total_steps)

    def preview(self, job: Job) -> None:
        self._reports[job.id].preview({"step": 1})


def make_queue(work: Any, **limits: int) -> JobQueue:
    chosen = {"jobs_per_model": 1, "max_queued": 100, "max_kept": 100} | limits
    return JobQueue(work, **chosen)


async def submit(queue: JobQueue, model: str = "m", **options: Any) -> Job:
    job = queue.submit(task="generate", model=model, request={"prompt": "a cat"}, **options)
    await settle()
    return job


async def settle() -> None:
    """Let everything happen that needs no time."""
    for _ in range(20):
        await asyncio.sleep(0)


async def watched(queue: JobQueue, job: Job, *, after: int = 0) -> list[JobEvent]:
    return [event async for event in queue.watch(job.id, after=after)]
