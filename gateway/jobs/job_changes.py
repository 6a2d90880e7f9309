"""Tells watchers and workers that a job changed: at once in this process, by asking otherwise.

One look every `poll_s` for all jobs that anyone here waits on, and none when nobody waits:
it does not matter which process changed the job, nor whether the database can notify. While
nobody has written to the database, a look costs the same for one job and for hundreds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum

from gateway.errors import RetouchError
from gateway.jobs import job_lookup
from gateway.jobs.job import JobEvent
from gateway.jobs.job_database import JobDatabase
from gateway.jobs.job_lookup import Change
from gateway.jobs.live_jobs import LiveJobs

logger = logging.getLogger(__name__)
_MOST_TOLD = 16
"""Events with pictures in them, kept for each job that someone waits for."""


class Heard(IntEnum):
    """What may have happened to a job; who hears of one hears of those below it too."""

    PROGRESS = 1
    """It got on."""
    CHANGE = 2
    """It began, or is in line again."""
    END = 3
    """It is over, or gone, or the watching is."""


class JobChanges:
    """Wakes those who wait for a job."""

    def __init__(self, database: JobDatabase, live: LiveJobs, *, poll_s: float) -> None:
        self._database = database
        self._live = live
        self._poll_s = poll_s
        self._watched: dict[str, _Watched] = {}
        self._somebody_waits = asyncio.Event()
        self._looked_at: object = None
        """The mark of the database before the latest look."""
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
            self.wake(job_id, Heard.END)

    @contextmanager
    def subscription(self, job_id: str, *, least: Heard) -> Iterator[Subscription]:
        """Hear of a job for as long as the context is open; of no less than `least`."""
        mine = Subscription(least)
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

    def wake(self, job_id: str, heard: Heard) -> None:
        """This process changed the job, or it got on."""
        if watched := self._watched.get(job_id):
            watched.ring(heard)

    def tell(self, job_id: str, event: JobEvent, change: Change) -> None:
        """This process has written the event, `change` is the job's mark since: it got on."""
        if watched := self._watched.get(job_id):
            self.note(job_id, change)
            watched.ring(Heard.PROGRESS, event=event)

    def told_since(self, job_id: str, rings: int) -> tuple[JobEvent, ...]:
        """The events that came with what was heard since there were so many rings.

        None at all where one of them came without.
        """
        watched = self._watched[job_id]
        unheard = watched.rings - rings
        return watched.told[-unheard:] if 0 < unheard <= len(watched.told) else ()

    def note(self, job_id: str, change: Change) -> None:
        """Those who hear of progress know this much: no need to wake them for it again."""
        watched = self._watched.get(job_id)
        if watched and (change.is_progress_since(watched.seen) or watched.is_news_to_one_alone):
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
        asked = [(job_id, watched, watched.rings) for job_id, watched in self._watched.items()]
        all_seen = all(watched.seen is not None for _, watched, _ in asked)
        mark, found = await self._database.call(
            _changes_since,
            [job_id for job_id, _, _ in asked],
            self._looked_at if all_seen else None,
            self._live,
        )
        if found is None:
            return
        self._looked_at = mark
        for job_id, watched, rings in asked:
            change, before = found.get(job_id), watched.seen
            if change != before:
                watched.seen = change
                # Changed by this process since it was read: a worker that has just begun the job
                # must not take it for another's.
                is_new = watched.rings == rings
                watched.ring(_heard(change, before), change if is_new else None)


@dataclass(eq=False)
class _Watched:
    """A job that someone waits for."""

    subscriptions: set[Subscription] = field(default_factory=set)
    rings: int = 0
    seen: Change | None = None
    told: tuple[JobEvent, ...] = ()
    """Of the latest rings, one with each."""

    @property
    def is_news_to_one_alone(self) -> bool:
        """Whether one waits who has just come, and nobody has looked for him."""
        return self.seen is None and not self.rings and len(self.subscriptions) == 1

    def ring(
        self, heard: Heard, change: Change | None = None, event: JobEvent | None = None
    ) -> None:
        self.rings += 1
        self.told = (*self.told[1 - _MOST_TOLD :], event) if event else ()
        for subscription in self.subscriptions:
            if heard >= subscription.least:
                # Who was woken and has not looked yet must look: this may have been seen before.
                subscription.found = None if subscription.changed.is_set() else change
                subscription.changed.set()


class Subscription:
    """One waiter's bell."""

    def __init__(self, least: Heard) -> None:
        self.least = least
        self.changed = asyncio.Event()
        self.found: Change | None = None

    async def wait(self) -> Change | None:
        """Until the job changed since the last time; how it is now, where someone has looked."""
        await self.changed.wait()
        self.changed.clear()
        return self.found


def _changes_since(
    database: JobDatabase, job_ids: list[str], mark: object, live: LiveJobs
) -> tuple[object, dict[str, Change] | None]:
    """The database's mark now, and the jobs' changes; None: it is still `mark`, so they are too."""
    now = database.mark()  # first: what is written during the look is found by the next one
    if now == mark:
        return now, None
    found = {job_id: standing.change for job_id, standing in live.of(database, job_ids).items()}
    if others := [job_id for job_id in job_ids if job_id not in found]:
        found |= job_lookup.changes(database, others)
    return now, found


def _heard(change: Change | None, before: Change | None) -> Heard:
    if change is None or change.status.is_terminal:
        return Heard.END
    return Heard.PROGRESS if change.is_progress_since(before) else Heard.CHANGE
