"""Jobs: submit, watch, cancel. The only file that knows how they are queued.

Jobs live in this process's memory: a restart forgets them. A `Job` is a frozen snapshot; the
queue replaces it, so a watcher never sees half a change. Every change is an event with an
increasing id, kept with the job, so that a watcher may come late or come back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from gateway.errors import (
    InferenceTimeoutError,
    NotFoundError,
    RetouchError,
    TooManyJobsError,
)
from gateway.job import Job, JobEvent, JobFailure, JobPriority, JobResult, JobStatus
from gateway.turns import Turns

logger = logging.getLogger(__name__)


class JobReporter:
    """Through it a runner tells how its job gets on."""

    def __init__(self, queue: JobQueue, job_id: str) -> None:
        self._queue = queue
        self._job_id = job_id

    def step_done(self, step: int, total_steps: int) -> None:
        """`step` of `total_steps` is done."""
        self._queue._advance(self._job_id, step, total_steps)

    def preview(self, data: Mapping[str, Any]) -> None:
        """A picture of the unfinished state."""
        self._queue._record(self._job_id, "preview", data)


Runner = Callable[[Job, JobReporter], Awaitable[JobResult]]


class JobQueue:
    """Runs jobs with a bound per model and keeps their history."""

    def __init__(
        self, runner: Runner, *, jobs_per_model: int, max_queued: int, max_kept: int
    ) -> None:
        self._runner = runner
        self._jobs_per_model = jobs_per_model
        self._max_queued = max_queued
        self._max_kept = max_kept
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._events: dict[str, list[JobEvent]] = {}
        self._changed: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._turns: dict[str, Turns] = {}

    def submit(
        self,
        *,
        task: str,
        model: str,
        request: Mapping[str, Any],
        metadata: Mapping[str, str] | None = None,
        priority: JobPriority = JobPriority.INTERACTIVE,
        deadline_s: float | None = None,
        owner: str = "",
    ) -> Job:
        """Accept a job.

        Raises:
            TooManyJobsError: as many jobs wait as may wait.
        """
        waiting = self._count(JobStatus.QUEUED)
        if waiting >= self._max_queued:
            raise TooManyJobsError(f"{waiting} jobs are waiting, the limit is {self._max_queued}.")
        job = Job(
            id=f"job_{uuid.uuid4().hex}",
            task=task,
            model=model,
            request=request,
            metadata=metadata or {},
            priority=priority,
            deadline_s=deadline_s,
            owner=owner,
        )
        self._jobs[job.id] = job
        self._events[job.id] = []
        self._changed[job.id] = asyncio.Event()
        self._record(job.id, "queued", {"queue_position": self.queue_position(job)})
        running = self._tasks[job.id] = asyncio.create_task(self._run(job.id), name=job.id)
        # Not in `_run`: a task that is canceled before its first step runs none of its code.
        running.add_done_callback(lambda _: self._tasks.pop(job.id, None))
        self._forget_oldest()
        return job

    def get(self, job_id: str) -> Job:
        """The job as it is now.

        Raises:
            NotFoundError: no such job.
        """
        try:
            return self._jobs[job_id]
        except KeyError:
            raise NotFoundError(f"There is no job {job_id[:80]!r}.") from None

    def latest(
        self,
        *,
        status: JobStatus | None,
        limit: int,
        after: str | None,
        owner: str | None = None,
    ) -> list[Job]:
        """Newest first; `after` continues behind that job."""
        jobs = [
            job
            for job in reversed(self._jobs.values())
            if status in (None, job.status) and owner in (None, job.owner)
        ]
        if after is not None:
            self.get(after)
            ids = [job.id for job in reversed(self._jobs.values())]
            older = set(ids[ids.index(after) + 1 :])
            jobs = [job for job in jobs if job.id in older]
        return jobs[:limit]

    def queue_position(self, job: Job) -> int | None:
        """How many jobs of its model wait before this one; None when it does not wait."""
        if job.status is not JobStatus.QUEUED:
            return None
        waiting = [
            other
            for other in self._jobs.values()
            if other.model == job.model and other.status is JobStatus.QUEUED
        ]
        waiting.sort(key=lambda other: other.priority.rank)  # stable: of a rank, the oldest first
        return [other.id for other in waiting].index(job.id)

    def cancel(self, job_id: str) -> Job:
        """Cancel; an ended job is left as it is."""
        job = self.get(job_id)
        if not job.status.is_terminal:
            self._end(job_id, JobStatus.CANCELED)
            self._tasks[job_id].cancel()
        return self.get(job_id)

    async def watch(self, job_id: str, *, after: int = 0) -> AsyncIterator[JobEvent]:
        """Events with an id above `after`, past ones first; ends behind the last one."""
        self.get(job_id)
        events = self._events[job_id]  # held here, since an ended job may be forgotten meanwhile
        seen = after
        while True:
            while seen < len(events):
                seen += 1
                yield events[seen - 1]
            if events[-1].is_last:
                return
            await self._changed[job_id].wait()

    async def wait(self, job_id: str, *, timeout_s: float) -> Job:
        """The job when it ends, or as it is after `timeout_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                async for _ in self.watch(job_id):
                    pass
        return self.get(job_id)

    async def close(self) -> None:
        """Cancel what runs or waits."""
        for job_id, task in list(self._tasks.items()):
            self.cancel(job_id)
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _run(self, job_id: str) -> None:
        try:
            result = await self._run_in_time(self._jobs[job_id])
            self._end(
                job_id,
                JobStatus.SUCCEEDED,
                output=result.output,
                preservation=result.preservation,
                warnings=result.warnings,
                timings=result.timings,
            )
        except RetouchError as error:
            failure = JobFailure(error.code, error.message, error.status)
            self._end(job_id, JobStatus.FAILED, error=failure)
        except Exception:
            logger.exception("job failed", extra={"event": "job_failed", "job_id": job_id})
            failure = JobFailure("internal_error", "The gateway failed; its log says why.")
            self._end(job_id, JobStatus.FAILED, error=failure)

    async def _run_in_time(self, job: Job) -> JobResult:
        """Wait for the job's turn and run it.

        Raises:
            InferenceTimeoutError: its deadline passed first; the work was canceled.
        """
        deadline = asyncio.timeout(job.deadline_s)
        try:
            async with deadline:
                return await self._run_in_turn(job)
        except TimeoutError:
            if not deadline.expired():
                raise
            message = f"The job was not finished within its deadline of {job.deadline_s:g} s."
            raise InferenceTimeoutError(message) from None

    async def _run_in_turn(self, job: Job) -> JobResult:
        turns = self._turns.setdefault(job.model, Turns(self._jobs_per_model))
        async with turns.turn(job.priority.rank):
            self._change(job.id, status=JobStatus.RUNNING, started_at=time.time())
            self._record(job.id, "started", {})
            return await self._runner(self._jobs[job.id], JobReporter(self, job.id))

    def _advance(self, job_id: str, step: int, total_steps: int) -> None:
        self._change(job_id, step=step, total_steps=total_steps)
        data = {"step": step, "total_steps": total_steps, "progress": self._jobs[job_id].progress}
        self._record(job_id, "progress", data)

    def _end(self, job_id: str, status: JobStatus, **changes: Any) -> None:
        """First wins: a job that has ended stays as it ended."""
        if self._jobs[job_id].status.is_terminal:
            return
        self._change(job_id, status=status, completed_at=time.time(), **changes)
        error = self._jobs[job_id].error
        data = {"code": error.code, "message": error.message} if error else {}
        self._record(job_id, str(status), data)

    def _change(self, job_id: str, **changes: Any) -> None:
        if not self._jobs[job_id].status.is_terminal:
            self._jobs[job_id] = replace(self._jobs[job_id], **changes)

    def _record(self, job_id: str, name: str, data: Mapping[str, Any]) -> None:
        events = self._events[job_id]
        if events and events[-1].is_last:
            return
        events.append(JobEvent(len(events) + 1, name, data))
        self._changed[job_id].set()
        self._changed[job_id] = asyncio.Event()

    def _count(self, status: JobStatus) -> int:
        return sum(job.status is status for job in self._jobs.values())

    def _forget_oldest(self) -> None:
        ended = [job.id for job in self._jobs.values() if job.status.is_terminal]
        for job_id in ended[: max(0, len(self._jobs) - self._max_kept)]:
            for table in (self._jobs, self._events, self._changed):
                table.pop(job_id, None)
