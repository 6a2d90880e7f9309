"""Jobs that end when a test says so."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

from gateway.jobs.job import Job, JobEvent, JobResult
from gateway.jobs.job_database import JobDatabase
from gateway.jobs.job_engine_memory import MemoryEngine
from gateway.jobs.job_execution import ExecutionLimits
from gateway.jobs.job_queue import JobLimits, JobQueue, JobReporter
from gateway.jobs.job_upkeep import UpkeepLimits

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

    def report_of(self, job: Job) -> JobReporter:
        return self._reports[job.id]

    def preview(self, job: Job) -> None:
        self._reports[job.id].preview({"step": 1})


_open: list[JobQueue] = []


async def make_queue(
    work: Any, *, jobs_per_model: int = 1, url: str = "sqlite://", **limits: Any
) -> JobQueue:
    """A queue in memory whose store answers at once: everything happens in `settle`."""
    queue = JobQueue(
        work,
        database=JobDatabase(url),
        engine=MemoryEngine(jobs_per_model=jobs_per_model),
        worker_id="w",
        limits=replace(make_limits(**limits), jobs_per_model=jobs_per_model),
    )
    await queue.start()
    _open.append(queue)
    return queue


def make_limits(
    *, max_queued: int = 100, max_kept: int = 100, max_attempts: int = 1, interval_s: float = 0
) -> JobLimits:
    return JobLimits(
        max_queued=max_queued,
        poll_s=0.01,
        drain_s=0,
        execution=ExecutionLimits(max_attempts=max_attempts, progress_interval_s=interval_s),
        upkeep=UpkeepLimits(period_s=0.05, retention_s=0.01, max_kept=max_kept),
    )


async def close_queues() -> None:
    while _open:
        await _open.pop().close()


async def submit(queue: JobQueue, model: str = "m", **options: Any) -> Job:
    job = await queue.submit(task="generate", model=model, request={"prompt": "a cat"}, **options)
    await settle()
    return job


async def settle() -> None:
    """Let everything happen that needs no time."""
    for _ in range(60):
        await asyncio.sleep(0)


async def watched(queue: JobQueue, job: Job, *, after: int = 0) -> list[JobEvent]:
    return [event async for event in queue.watch(job.id, after=after)]
