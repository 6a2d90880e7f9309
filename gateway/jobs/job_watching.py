"""Watches jobs: their events as they come, and how they end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from gateway.errors import GoneError
from gateway.jobs import job_lookup
from gateway.jobs.job import Job, JobEvent, JobStatus
from gateway.jobs.job_changes import Heard, JobChanges
from gateway.jobs.job_database import JobDatabase
from gateway.jobs.job_feed import JobFeeds
from gateway.jobs.job_glance import JobGlances

Look = Callable[[str], Awaitable[Job]]


class JobWatching:
    """What watchers in this process see; any number of them, on any job."""

    def __init__(self, database: JobDatabase, changes: JobChanges, glances: JobGlances) -> None:
        self._database = database
        self._changes = changes
        self._glances = glances
        self._feeds = JobFeeds(database, changes)
        self._open = True

    def close(self) -> None:
        """From now on nobody waits any longer; those who do, end at their next change."""
        self._open = False

    async def get(self, job_id: str) -> Job:
        """The job as it is now.

        Raises:
            NotFoundError: no such job.
        """
        return await self._database.call(job_lookup.get, job_id)

    async def past_events(self, job_id: str, *, after: int = 0) -> list[JobEvent]:
        """Events so far with an id above `after`."""
        return await self._database.call(job_lookup.events_after, job_id, after)

    async def watch(
        self, job_id: str, *, after: int = 0, seen: Job | None = None
    ) -> AsyncIterator[JobEvent]:
        """Events with an id above `after`, past ones first; ends behind the last one.

        `seen`: the job, for one who has just looked.

        Raises:
            NotFoundError: no such job.
            GoneError: it has expired, and its events with it.
        """
        seen = seen or (await self._glances.glance(job_id)).job
        if seen.status is JobStatus.EXPIRED:
            raise GoneError(f"Job {job_id} has expired.")
        with self._feeds.reading(job_id) as (feed, subscription):
            while True:
                news = await feed.after(after)
                for event in news.events:
                    after = event.id
                    yield event
                    if event.is_last:
                        return
                if news.over or not self._open:
                    return
                await subscription.wait()

    async def wait(self, job_id: str, *, timeout_s: float, look: Look | None = None) -> Job:
        """The job when it ends, or as it is after `timeout_s`.

        `look`: how whoever waits gets to see it; raises what that raises.
        """
        look = look or self.get
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                with self._changes.subscription(job_id, least=Heard.END) as subscription:
                    while not (job := await look(job_id)).status.is_terminal and self._open:
                        await subscription.wait()
                    return job
        return await look(job_id)
