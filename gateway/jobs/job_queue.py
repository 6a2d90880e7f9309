"""Jobs: submit, watch, cancel. Durable: what `submit` has returned survives every process.

The interface that routes and use cases know. Jobs live in the store (`job_store.py`), whose
turn it is says the engine (`job_engine.py`), the work is done by `job_execution.py`, in this
process or in another. A `Job` is a frozen snapshot. Every change is an event with an increasing
id, kept with the job, so that a watcher may come late or come back, to any gateway.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from gateway.errors import ConflictError, GoneError, StoreUnavailableError
from gateway.jobs import job_housekeeping, job_lookup, job_store, job_submission
from gateway.jobs.job import (
    Job,
    JobEvent,
    JobsPulse,
    JobStatus,
    NewJob,
    OnceKey,
    Submission,
)
from gateway.jobs.job_changes import Heard, JobChanges
from gateway.jobs.job_database import JobDatabase
from gateway.jobs.job_engine import JobEngine
from gateway.jobs.job_execution import JobExecution, Runner, UntilReady
from gateway.jobs.job_forecasts import JobForecasts
from gateway.jobs.job_glance import JobGlances
from gateway.jobs.job_limits import JobLimits
from gateway.jobs.job_line import JobLine
from gateway.jobs.job_reporter import JobReporter
from gateway.jobs.job_rows import ticket_for
from gateway.jobs.job_upkeep import JobUpkeep
from gateway.jobs.job_watching import JobWatching, Look
from gateway.jobs.live_jobs import LiveJobs

__all__ = ["JobLimits", "JobQueue", "JobReporter", "Runner"]
_HAND_BACK_S = 5.0
_OPEN_TIMEOUT_S = 60.0


async def _at_once(_model: str, _again: bool) -> bool:
    """Every model is ready."""
    return False


class JobQueue:
    """The jobs of all gateways and workers that share a database."""

    def __init__(
        self,
        runner: Runner,
        *,
        database: JobDatabase,
        engine: JobEngine,
        worker_id: str,
        limits: JobLimits | None = None,
        works: bool = True,
        until_ready: UntilReady = _at_once,
    ) -> None:
        """`works`: whether this process runs jobs, or only takes them in and shows them."""
        self.database = database
        self._engine = engine
        self._limits = limits or JobLimits()
        self._works = works
        live = LiveJobs()
        self._changes = JobChanges(database, live, poll_s=self._limits.poll_s)
        self._line = JobLine(database, engine)
        self.glances = JobGlances(database, live)
        self._watching = JobWatching(database, self._changes, self.glances)
        self._execution = JobExecution(
            runner,
            database,
            self._changes,
            worker_id=worker_id,
            limits=self._limits.execution,
            until_ready=until_ready,
        )
        self._upkeep = JobUpkeep(
            database,
            engine,
            self._line,
            self._changes,
            worker_id=worker_id if works else None,
            limits=self._limits.upkeep,
        )
        self.forecasts = JobForecasts(
            database,
            jobs_per_model=self._limits.jobs_per_model,
            worker_seen_within_s=self._limits.upkeep.lost_after_s,
        )
        self._open = False

    async def start(self) -> None:
        """Open the store and begin to work.

        Raises:
            StoreUnavailableError: the database did not answer for a minute.
            ConflictError: a newer release made it.
        """
        try:
            async with asyncio.timeout(_OPEN_TIMEOUT_S):
                await self.database.insist(JobDatabase.prepare)
                await self._line.open(self._execution.run if self._works else None)
        except TimeoutError:
            message = f"The job database did not answer within {_OPEN_TIMEOUT_S:.0f} s."
            raise StoreUnavailableError(message) from None
        self._open = True
        self._changes.start()
        self._upkeep.start()

    async def close(self) -> None:
        """Let what is at work end in its time, put the rest in line again, let go of the store."""
        if not self._open:
            return
        self._open = False
        self._watching.close()
        self._execution.refuse()
        busy_s = self._limits.drain_s + _HAND_BACK_S if self._execution.is_busy else 0.0
        draining = asyncio.create_task(self._execution.drain(self._limits.drain_s))
        try:
            await self._engine.stop(drain_s=busy_s)
        finally:
            await draining
            await self._upkeep.stop()
            await self._changes.stop()
            await self.forecasts.close()
            self.database.close()

    async def submit(self, **wanted: Any) -> Job:
        """Accept a job with the fields of `NewJob`; raises as `submit_once`."""
        return (await self.submit_once(NewJob(**wanted), None)).job

    async def submit_once(self, new: NewJob, once: OnceKey | None) -> Submission:
        """Accept a job, or find the one that the same idempotency key has made.

        Raises:
            ValidationFailedError: the key came with another request.
            TooManyJobsError, StoreUnavailableError: nothing was accepted.
        """
        accepted = await self.database.call(
            job_submission.submit,
            new,
            once=once,
            max_queued=self._limits.max_queued,
            keep_s=self._limits.keep_s,
        )
        if not accepted.replayed:
            await self._line.put(ticket_for(accepted.job))
        return accepted

    async def find_submission(self, once: OnceKey) -> Submission | None:
        """The job that this key has made.

        Raises:
            ValidationFailedError: the key came with another request.
        """
        return await self.database.call(job_submission.find_submission, once)

    async def get(self, job_id: str) -> Job:
        """The job as it is now.

        Raises:
            NotFoundError: no such job.
        """
        return await self._watching.get(job_id)

    async def latest(
        self,
        *,
        status: JobStatus | None,
        limit: int,
        after: str | None,
        owner: str | None = None,
    ) -> list[Job]:
        """Newest first; `after` continues behind that job; `owner` leaves the others' out."""
        return await self.database.call(
            job_lookup.latest, status=status, limit=limit, after=after, owner=owner
        )

    async def queue_position(self, job: Job) -> int | None:
        """How many jobs of its model wait before this one; None when it does not wait."""
        return await self.database.call(job_submission.queue_position, job)

    async def pulse(self) -> JobsPulse:
        """Jobs by status, and how long the oldest ones wait."""
        return await self.database.call(job_housekeeping.pulse)

    async def cancel(self, job_id: str) -> Job:
        """Cancel; an ended job is left as it is.

        Raises:
            NotFoundError: no such job.
            GoneError: it has expired.
        """
        if (await self.get(job_id)).status is JobStatus.EXPIRED:
            raise GoneError(f"Job {job_id} has expired.")
        await self.database.call(job_store.end, job_id, JobStatus.CANCELED)
        self._changes.wake(job_id, Heard.END)
        return await self.get(job_id)

    async def retry(self, job_id: str) -> Job:
        """The same request as a new job, one and the same however often it is asked for.

        A live job is its own answer.

        Raises:
            NotFoundError: no such job.
            GoneError: it has expired.
            ConflictError: it has succeeded.
        """
        job = await self.get(job_id)
        if job.status is JobStatus.EXPIRED:
            raise GoneError(f"Job {job_id} has expired.")
        if job.status is JobStatus.SUCCEEDED:
            raise ConflictError(f"Job {job_id} has succeeded; there is nothing to try again.")
        if not job.status.is_terminal:
            return job
        files = await self.database.call(job_submission.files_of, job_id)
        again = OnceKey(job.owner, f"retry:{job_id}", job_id[-64:])
        return (await self.submit_once(NewJob.like(job, files), again)).job

    async def delete(self, job_id: str) -> None:
        """Forget a job, its events and its hold on files; one that is live is canceled first.

        Raises:
            NotFoundError: no such job.
        """
        await self.get(job_id)
        await self.database.call(job_store.end, job_id, JobStatus.CANCELED)
        self._changes.wake(job_id, Heard.END)
        await self.database.call(job_store.delete, job_id)

    async def past_events(self, job_id: str, *, after: int = 0) -> list[JobEvent]:
        """Events so far with an id above `after`."""
        return await self._watching.past_events(job_id, after=after)

    def watch(
        self, job_id: str, *, after: int = 0, seen: Job | None = None
    ) -> AsyncIterator[JobEvent]:
        """Events with an id above `after`, past ones first; ends behind the last one.

        `seen`: the job, for one who has just looked.

        Raises:
            NotFoundError: no such job.
            GoneError: it has expired, and its events with it.
        """
        return self._watching.watch(job_id, after=after, seen=seen)

    async def wait(self, job_id: str, *, timeout_s: float, look: Look | None = None) -> Job:
        """The job when it ends, or as it is after `timeout_s`, as `look` shows it."""
        return await self._watching.wait(job_id, timeout_s=timeout_s, look=look)
