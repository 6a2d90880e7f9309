"""Tells watchers and workers that a job changed: at once in this process, by asking otherwise.

One query every `poll_s` for all jobs that anyone here waits on, and none when nobody waits:
it does not matter which process changed the job, nor whether the database can notify.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

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
        self._watched: dict[str, _Watched] = {}
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
        for job_id in list(self._watched):
            self.wake(job_id)

    @contextmanager
    def subscription(self, job_id: str, *, progress: bool) -> Iterator[Subscription]:
        """Hear of a job for as long as the context is open; of its `progress` too, or not."""
        mine = Subscription(hears_progress=progress)
        watched = self._watched.setdefault(job_id, _Watched())
        watched.subscriptions.add(mine)
        self._somebody_waits.set()
        try:
            yield mine
        finally:
            watched.subscriptions.discard(mine)
            if not watched.subscriptions:
                del self._watched[job_id]
            if not self._watched:
                self._somebody_waits.clear()

    def rings(self, job_id: str) -> int:
        """How many changes were heard of, of a job that someone waits for."""
        return self._watched[job_id].rings

    def wake(self, job_id: str, *, progress: bool = False) -> None:
        """This process changed the job, or it got on."""
        if watched := self._watched.get(job_id):
            watched.ring(progress=progress)

    def note(self, job_id: str, change: Change) -> None:
        """Those who hear of progress know this much: no need to wake them for it again."""
        watched = self._watched.get(job_id)
        if watched and change.is_progress_since(watched.seen):
            watched.seen = change

    def doubt(self, job_id: str) -> None:
        """Somebody who was woken could not look: wake everyone again."""
        if watched := self._watched.get(job_id):
            watched.seen = None

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
        asked = list(self._watched.items())
        found = await self._database.call(job_lookup.changes, [job_id for job_id, _ in asked])
        for job_id, watched in asked:
            change, before = found.get(job_id), watched.seen
            if change != before:
                watched.seen = change
                watched.ring(progress=change is not None and change.is_progress_since(before))


@dataclass(eq=False)
class _Watched:
    """A job that someone waits for."""

    subscriptions: set[Subscription] = field(default_factory=set)
    rings: int = 0
    seen: Change | None = None

    def ring(self, *, progress: bool) -> None:
        self.rings += 1
        for subscription in self.subscriptions:
            if subscription.hears_progress or not progress:
                subscription.changed.set()


class Subscription:
    """One waiter's bell."""

    def __init__(self, *, hears_progress: bool) -> None:
        self.hears_progress = hears_progress
        self.changed = asyncio.Event()

    async def wait(self) -> None:
        """Until the job changed since the last time."""
        await self.changed.wait()
        self.changed.clear()
