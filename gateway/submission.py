"""Use case: a checked order becomes a job of whoever asked, within their limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from gateway.generation import PaintingOrder
from gateway.job import Job, JobPriority
from gateway.jobs import JobQueue
from gateway.keys.api_key import ApiKey
from gateway.keys.rate_limits import RateLimits
from gateway.observability.tracing import trace_headers


class Submissions:
    """The one way into the queue, for every surface."""

    def __init__(self, jobs: JobQueue, limits: RateLimits) -> None:
        self._jobs = jobs
        self._limits = limits

    async def submit(
        self, order: PaintingOrder, key: ApiKey | None, metadata: Mapping[str, str]
    ) -> Job:
        """Queue a job.

        Raises:
            RateLimitError: the key may paint no more for now.
            TooManyJobsError: the queue is full.
        """
        await self._limits.count_pixels(key, order.n * order.width * order.height)
        return self._jobs.submit(
            task=order.task,
            model=order.model,
            request=asdict(order),
            metadata={**metadata, **trace_headers()},
            priority=JobPriority(order.priority),
            deadline_s=order.deadline_s,
        )
