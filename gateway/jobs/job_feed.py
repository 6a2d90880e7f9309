"""What happens to one job, read once for all in this process who watch it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gateway.errors import RetouchError
from gateway.jobs import job_lookup
from gateway.jobs.job import JobEvent
from gateway.jobs.job_changes import Heard, JobChanges, Subscription
from gateway.jobs.job_database import JobDatabase


@dataclass(frozen=True)
class News:
    """What a watcher has not seen yet."""

    events: tuple[JobEvent, ...]
    over: bool
    """Whether nothing will follow them."""


class JobFeed:
    """The newest events of a job, as they were after its last change."""

    def __init__(self, database: JobDatabase, changes: JobChanges, job_id: str) -> None:
        self._database = database
        self._changes = changes
        self._job_id = job_id
        self._turn = asyncio.Lock()
        """Guards what follows: of many who hear of a change, one reads."""
        self._read_at = -1
        self._after = 0
        self._news = News((), over=False)

    async def after(self, seen: int) -> News:
        """What came behind the event with this id; nothing new while the store is away."""
        async with self._turn:
            rings = self._changes.rings(self._job_id)
            if self._read_at != rings or seen < self._after:
                self._news = self._told(seen) or await self._read(
                    seen, all_heard=self._read_at != rings
                )
                self._after, self._read_at = seen, rings
            if self._after == seen:
                return self._news
            unseen = tuple(event for event in self._news.events if event.id > seen)
            return News(unseen, self._news.over)

    def _told(self, seen: int) -> News | None:
        """The news, where this process has written all that is new; nothing may be missing."""
        if seen < self._after or self._news.over:
            return None
        told = self._changes.told_since(self._job_id, self._read_at)
        known = self._news.events
        following = (known[-1].id if known else self._after) + 1
        if not told or [event.id for event in told] != [*range(following, following + len(told))]:
            return None
        return News(tuple(event for event in (*known, *told) if event.id > seen), over=False)

    async def _read(self, seen: int, *, all_heard: bool) -> News:
        """`all_heard`: whether nobody must be woken any more for what is found."""
        try:
            events, change = await self._database.call(job_lookup.news, self._job_id, seen)
        except RetouchError:
            self._changes.doubt(self._job_id)
            return News((), over=False)
        if change is None:
            return News((), over=True)
        if all_heard:
            self._changes.note(self._job_id, change)
        return News(tuple(events), change.status.is_terminal)


class JobFeeds:
    """The feeds that someone reads."""

    def __init__(self, database: JobDatabase, changes: JobChanges) -> None:
        self._database = database
        self._changes = changes
        self._feeds: dict[str, JobFeed] = {}
        self._readers: dict[str, int] = {}

    @contextmanager
    def reading(self, job_id: str) -> Iterator[tuple[JobFeed, Subscription]]:
        """A job's feed, the same for all, and this reader's bell."""
        feed = self._feeds.setdefault(job_id, JobFeed(self._database, self._changes, job_id))
        self._readers[job_id] = self._readers.get(job_id, 0) + 1
        try:
            with self._changes.subscription(job_id, least=Heard.PROGRESS) as subscription:
                yield feed, subscription
        finally:
            self._readers[job_id] -= 1
            if not self._readers[job_id]:
                del self._readers[job_id], self._feeds[job_id]
