"""Tells watchers and workers that a job changed: at once in this process, by asking otherwise.

One query every `poll_s` for all jobs that anyone here waits on, and none when nobody waits:
it does not matter which process changed the job, nor whether the database can notify.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from gateway import job_lookup
from gateway.errors import RetouchError
from gateway.job_database import JobDatabase
from gateway.job_lookup import Change

logger = logging.getLogger(__name__)


class JobChanges:
    """Wakes those who wait for a job."""

    def __init__(self, database: JobDatabase, *, poll_s: float) -> None:
        self._database = database
        self._poll_s = poll_s
        self._waiting: defaultdict[str, set[Subscription]] = defaultdict(set)
        self._seen: dict[str, Change] = {}
        self._somebody_waits = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to ask."""
        self._task = asyncio.create_task(self._poll(), name="job-changes")

    async def stop(self) -> None:
        """Wake everyone for the last time."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        for job_id in list(self._waiting):
            self.wake(job_id)

    @contextmanager
    def subscription(self, job_id: str) -> Iterator[Subscription]:
        """Hear of a job for as long as the context is open."""
        mine = Subscription()
        self._waiting[job_id].add(mine)
        self._somebody_waits.set()
        try:
            yield mine
        finally:
            self._waiting[job_id].discard(mine)
            if not self._waiting[job_id]:
                del self._waiting[job_id]
                self._seen.pop(job_id, None)
            if not self._waiting:
                self._somebody_waits.clear()

    def wake(self, job_id: str) -> None:
        """This process changed the job."""
        for subscription in self._waiting.get(job_id, ()):
            subscription.changed.set()

    async def _poll(self) -> None:
        while True:
            await self._somebody_waits.wait()
            await asyncio.sleep(self._poll_s)
            try:
                await self._ask()
            except RetouchError as error:
                logger.warning("watching jobs: %s", error.message, extra={"event": "job_watch"})
            except Exception:
                logger.exception("watching jobs failed", extra={"event": "job_watch"})

    async def _ask(self) -> None:
        found = await self._database.call(job_lookup.changes, list(self._waiting))
        for job_id in list(self._waiting):
            if found.get(job_id) != self._seen.get(job_id):
                self.wake(job_id)
        self._seen = {job_id: change for job_id, change in found.items() if job_id in self._waiting}


class Subscription:
    """One waiter's bell."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()

    async def wait(self) -> None:
        """Until the job changed since the last time."""
        await self.changed.wait()
        self.changed.clear()
