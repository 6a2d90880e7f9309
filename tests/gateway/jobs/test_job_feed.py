"""Many who watch a job cost one reading per change, and each sees every event once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.errors import StoreUnavailableError
from gateway.jobs import job_lookup, job_store
from gateway.jobs.job import Fence, Job, JobEvent, JobStatus
from gateway.jobs.job_database import JobDatabase
from gateway.jobs.job_engine_memory import MemoryEngine
from gateway.jobs.job_lookup import Change
from gateway.jobs.job_queue import JobQueue
from tests.gateway.held_jobs import HeldJobs, close_queues, make_limits, make_queue, settle, submit
from tests.gateway.jobs.counted_statements import counted_statements

WATCHERS = 100


@pytest.fixture(autouse=True)
async def closed() -> AsyncIterator[None]:
    yield
    await close_queues()


async def seen_by(queue: JobQueue, job: Job, seen: list[JobEvent], *, after: int = 0) -> None:
    async for event in queue.watch(job.id, after=after):
        seen.append(event)  # noqa: PERF401  (each as soon as it comes)


@dataclass
class Watched:
    """A job at work, and what one who watches it has seen."""

    jobs: HeldJobs
    queue: JobQueue
    job: Job
    seen: list[JobEvent]
    watching: asyncio.Task[None]

    @classmethod
    async def begin(cls) -> Watched:
        jobs, seen = HeldJobs(), list[JobEvent]()
        queue = await make_queue(jobs)
        job = await submit(queue)
        return cls(jobs, queue, job, seen, asyncio.create_task(seen_by(queue, job, seen)))

    async def finish(self) -> list[JobEvent]:
        """Let the job end; its events as the store has them, once all were watched."""
        await self.jobs.finish(self.job)
        await self.watching
        return await self.queue.past_events(self.job.id)


async def test_a_change_is_read_once_for_all_who_watch() -> None:
    jobs = HeldJobs()
    queue = await make_queue(jobs)
    job = await submit(queue)
    seen: list[list[JobEvent]] = [[] for _ in range(WATCHERS)]
    watching = [asyncio.create_task(seen_by(queue, job, mine)) for mine in seen]
    await asyncio.sleep(0.1)  # a look or two at what other processes did
    with counted_statements("FROM retouch_events") as readings:
        for step in range(1, 6):
            jobs.step(job, step, 5)
            await asyncio.sleep(0.05)
        await jobs.finish(job)
        await asyncio.gather(*watching)
    assert len(readings) <= 2 * 6
    assert all(mine == seen[0] for mine in seen)
    assert [event.id for event in seen[0]] == list(range(1, 9))
    assert seen[0][-1].is_last


async def test_late_and_early_watchers_each_see_what_they_have_not_seen() -> None:
    jobs = HeldJobs()
    queue = await make_queue(jobs)
    job = await submit(queue)
    starts = [0, 1, 5, 2, 0, 7, 6]
    seen: list[list[JobEvent]] = [[] for _ in starts]
    watching = []
    for step, (after, mine) in enumerate(zip(starts, seen, strict=True), start=1):
        watching.append(asyncio.create_task(seen_by(queue, job, mine, after=after)))
        await settle()
        jobs.step(job, step, len(starts))
        await settle()
    await jobs.finish(job)
    await asyncio.gather(*watching)
    last = 2 + len(starts) + 1
    for after, mine in zip(starts, seen, strict=True):
        assert [event.id for event in mine] == list(range(after + 1, last + 1))


async def test_what_this_process_writes_is_told_and_not_read_back() -> None:
    watched = await Watched.begin()
    await asyncio.sleep(0.1)
    with counted_statements("FROM retouch_events") as readings:
        for step in range(1, 21):
            watched.jobs.step(watched.job, step, 20)
            watched.jobs.preview(watched.job)
            await asyncio.sleep(0.02)
        written = len(watched.seen)
    assert written == 2 + 40
    assert not [each for each in readings if each.startswith("SELECT")]
    stored = await watched.finish()
    assert watched.seen == stored
    assert [event.json for event in watched.seen] == [event.json for event in stored]


async def test_what_another_wrote_in_between_is_not_passed_over() -> None:
    watched = await Watched.begin()
    await settle()
    fence = Fence(watched.job.id, 1, 1)
    for step in range(1, 6):
        job_store.record(watched.queue.database, fence, "preview", {"step": -step})
        watched.jobs.step(watched.job, step, 5)
        await settle()
    stored = await watched.finish()
    assert [event.id for event in watched.seen] == list(range(1, 14))
    assert watched.seen == stored


async def test_what_another_wrote_between_two_that_are_told_at_once_is_not_passed_over() -> None:
    watched = await Watched.begin()
    await settle()
    job_id, queue = watched.job.id, watched.queue
    for is_another in (False, True, False):  # all before the one who watches has a turn
        number = job_store.record(queue.database, Fence(job_id, 1, 1), "preview", {})
        assert number is not None
        if not is_another:
            change = Change(number, JobStatus.RUNNING, 1, 1)
            queue._changes.tell(job_id, JobEvent(number, "preview", {}), change)
    await settle()
    stored = await watched.finish()
    assert watched.seen == stored


async def test_one_who_comes_later_keeps_no_news_from_one_who_waits() -> None:
    jobs = HeldJobs()
    queue = await make_queue(jobs)
    job = await submit(queue)
    waits: list[JobEvent] = []
    watching = [asyncio.create_task(seen_by(queue, job, waits))]
    await asyncio.sleep(0.1)
    jobs.step(job, 1, 2)
    await asyncio.sleep(0.1)
    job_store.record(queue.database, Fence(job.id, 1, 1), "preview", {})  # as another process does
    watching.append(asyncio.create_task(seen_by(queue, job, [])))
    async with asyncio.timeout(10):
        while len(waits) < 4:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await jobs.finish(job)
    await asyncio.gather(*watching)


async def test_a_watcher_whose_reading_failed_still_sees_the_end() -> None:
    class SometimesAway(JobDatabase):
        failures = 0

        async def call(self, work: Any, *args: Any, **options: Any) -> Any:
            if work is job_lookup.news and self.failures:
                self.failures -= 1
                raise StoreUnavailableError("The job database cannot be reached.")
            return await super().call(work, *args, **options)

    database = SometimesAway("sqlite://")
    jobs = HeldJobs()
    queue = JobQueue(
        jobs,
        database=database,
        engine=MemoryEngine(jobs_per_model=1),
        worker_id="w",
        limits=make_limits(),
    )
    await queue.start()
    try:
        job = await submit(queue)
        seen: list[JobEvent] = []
        watching = asyncio.create_task(seen_by(queue, job, seen))
        await asyncio.sleep(0.1)
        database.failures = 3
        job_store.end(database, job.id, JobStatus.CANCELED)  # as another process does
        async with asyncio.timeout(10):
            await watching
        assert [event.name for event in seen] == ["queued", "started", "canceled"]
        assert database.failures == 0
    finally:
        await queue.close()
