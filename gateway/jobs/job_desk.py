"""Use case: jobs as whoever asks may see them; the one way into the queue, for every surface."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, replace

from gateway.errors import NotFoundError, RetouchError, TooManyJobsError
from gateway.jobs import job_glance
from gateway.jobs.job import Job, JobEvent, JobPriority, JobStatus, NewJob, OnceKey, Submission
from gateway.jobs.job_eta import Eta
from gateway.jobs.job_glance import Glance
from gateway.jobs.job_queue import JobQueue
from gateway.keys.api_key import ApiKey
from gateway.keys.owner import current_owner, may_see
from gateway.keys.rate_limits import RateLimits
from gateway.observability.tracing import trace_headers
from gateway.painting.generation import PaintingOrder


class JobDesk:
    """Submits within the key's limits, and shows nobody another key's jobs."""

    def __init__(self, queue: JobQueue, limits: RateLimits) -> None:
        self._queue = queue
        self._limits = limits

    async def submit(
        self, order: PaintingOrder, key: ApiKey | None, metadata: Mapping[str, str]
    ) -> Job:
        """Queue a job; raises as `submit_once`."""
        return (await self.submit_once(order, key, metadata)).job

    async def submit_once(
        self,
        order: PaintingOrder,
        key: ApiKey | None,
        metadata: Mapping[str, str],
        *,
        once: OnceKey | None = None,
        webhook: str | None = None,
    ) -> Submission:
        """Queue a job, or find the one that the same idempotency key has made.

        Raises:
            RateLimitError: the key may paint no more for now.
            TooManyJobsError: the queue is full.
            ValidationFailedError: the idempotency key came with another request.
        """
        await self._limits.count_pixels(key, order.n * order.width * order.height)
        new = NewJob(
            task=order.task,
            model=order.model,
            request=asdict(order),
            metadata={**metadata, **trace_headers()},
            priority=JobPriority(order.priority),
            deadline_s=order.deadline_s,
            owner=current_owner.get(),
            webhook=webhook,
            files=order.files,
        )
        async with self._told_when():
            return await self._queue.submit_once(new, once)

    async def find_submission(self, once: OnceKey) -> Submission | None:
        """The job that this key has made.

        Raises:
            ValidationFailedError: the key came with another request.
        """
        return await self._queue.find_submission(once)

    async def retry(self, job_id: str) -> Job:
        """The same request as a new job, one and the same however often; raises as `get`.

        Raises:
            ConflictError: it has succeeded.
            GoneError: it has expired.
        """
        await self.get(job_id)
        async with self._told_when():
            return await self._queue.retry(job_id)

    async def delete(self, job_id: str) -> None:
        """Forget a job; one that is live is canceled first; raises as `get`."""
        await self.get(job_id)
        await self._queue.delete(job_id)

    async def get(self, job_id: str) -> Job:
        """The job as it is now, at once.

        Raises:
            NotFoundError: no such job, or another key's.
        """
        return _visible(await self._queue.get(job_id))

    async def glance(self, job_id: str) -> Glance:
        """The job and its place in line, in one look with others who ask; raises as `get`."""
        seen = await self._queue.glances.glance(job_id)
        _visible(seen.job)
        return seen

    async def latest(
        self, *, status: JobStatus | None, limit: int, after: str | None
    ) -> list[Glance]:
        """Newest first, with their places, in one look; `after`: behind it; raises as `get`."""
        if after is not None:
            await self.get(after)
        owner = current_owner.get() or None
        return await self._queue.database.call(
            job_glance.latest, status=status, limit=limit, after=after, owner=owner
        )

    async def queue_position(self, job: Job) -> int | None:
        """How many jobs of its model wait before this one; None when it does not wait."""
        return await self._queue.queue_position(job)

    async def eta(self, job: Job) -> Eta | None:
        """When it will end; None when it has, or when too little is known."""
        return None if job.status.is_terminal else await self._queue.forecasts.eta(job.id)

    async def cancel(self, job_id: str) -> Job:
        """Cancel; an ended job is left as it is; raises as `get`."""
        await self.get(job_id)
        return await self._queue.cancel(job_id)

    async def wait(self, job_id: str, *, timeout_s: float) -> Job:
        """The job when it ends, or as it is after `timeout_s`; raises as `get`."""
        return await self._queue.wait(job_id, timeout_s=timeout_s, look=self.get)

    async def watch(self, job: Job, *, after: int = 0) -> AsyncIterator[JobEvent]:
        """Events with an id above `after`, with what is foretold now.

        `job`: as whoever asks was just shown it.
        """
        was_over = job.status.is_terminal
        async for event in self._queue.watch(job.id, after=after, seen=job):
            yield event if was_over else await self._with_eta(event, job.id)

    async def _with_eta(self, event: JobEvent, job_id: str) -> JobEvent:
        if event.name not in ("queued", "progress"):
            return event
        with suppress(RetouchError):  # a stream goes on while the store is away
            if eta := await self._queue.forecasts.eta(job_id):
                told = {"eta_s": round(eta.p50_s, 1), "eta_p90_s": round(eta.p90_s, 1)}
                return replace(event, data={**event.data, **told})
        return event

    @asynccontextmanager
    async def _told_when(self) -> AsyncIterator[None]:
        """Whoever finds the line full is told when there will be room."""
        try:
            yield
        except TooManyJobsError as error:
            error.headers = {"Retry-After": str(await self._queue.forecasts.retry_after_s())}
            raise


def _visible(job: Job) -> Job:
    """The job, if whoever asks may see it; else there is none."""
    if not may_see(job.owner):
        raise NotFoundError(f"There is no job {job.id[:80]!r}.")
    return job
