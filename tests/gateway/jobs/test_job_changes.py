"""Those who wait for jobs hear of every change, and cost nothing while there is none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.jobs import job_store
from gateway.jobs.job import Fence, JobStatus, Ticket
from gateway.jobs.job_changes import Heard, JobChanges
from gateway.jobs.job_database import JobDatabase
from gateway.jobs.live_jobs import LiveJobs
from tests.gateway.jobs.counted_statements import counted_statements
from tests.gateway.jobs.test_database_mark import cancel_elsewhere, submit


@pytest.fixture
async def database(store_url: str) -> AsyncIterator[JobDatabase]:
    with ThreadPoolExecutor(4) as threads:
        database = JobDatabase(store_url, executor=threads)
        database.prepare()
        yield database
    database.close()


@pytest.fixture
async def changes(database: JobDatabase) -> AsyncIterator[JobChanges]:
    changes = JobChanges(database, LiveJobs(), poll_s=0.01)
    changes.start()
    yield changes
    await changes.stop()


async def test_every_change_elsewhere_is_heard_of(
    database: JobDatabase, changes: JobChanges
) -> None:
    job_id = submit(database)
    other = JobDatabase(database.url)
    fence = Fence(job_id, 1, 1)
    made = [
        lambda: job_store.begin(other, Ticket(job_id, 1, "m", 0), "w", max_attempts=3),
        lambda: job_store.record(other, fence, "progress", {}, step=1),
        lambda: job_store.record(other, fence, "progress", {}, step=2),
        lambda: job_store.put_in_line_again(other, job_id),
        lambda: job_store.end(other, job_id, JobStatus.CANCELED),
        lambda: job_store.delete(other, job_id),
    ]
    with changes.subscription(job_id, least=Heard.PROGRESS) as mine:
        async with asyncio.timeout(20):
            await mine.wait()  # how it is
            for change in made:
                await asyncio.sleep(0.05)  # looks that find nothing
                await asyncio.to_thread(change)
                await mine.wait()
    other.close()


async def test_a_change_by_another_process_is_heard_of(
    database: JobDatabase, changes: JobChanges
) -> None:
    job_id = submit(database)
    with changes.subscription(job_id, least=Heard.END) as mine:
        await asyncio.sleep(0.05)
        await asyncio.to_thread(cancel_elsewhere, database.url, job_id)
        async with asyncio.timeout(20):
            found = await mine.wait()
    assert found is not None
    assert found.status is JobStatus.CANCELED


async def test_one_who_comes_while_nothing_changes_is_told_how_it_is(
    database: JobDatabase, changes: JobChanges
) -> None:
    first, second = submit(database), submit(database)
    async with asyncio.timeout(20):
        with changes.subscription(first, least=Heard.PROGRESS) as early:
            await early.wait()
            await asyncio.sleep(0.05)
            with changes.subscription(second, least=Heard.PROGRESS) as late:
                found = await late.wait()
    assert found is not None
    assert found.status is JobStatus.QUEUED


async def test_those_who_wait_cost_nothing_while_nothing_changes(
    database: JobDatabase, changes: JobChanges
) -> None:
    ids = [submit(database) for _ in range(20)]
    with ExitStack() as stack:
        waiting = [
            stack.enter_context(changes.subscription(job_id, least=Heard.PROGRESS))
            for job_id in ids
        ]
        async with asyncio.timeout(20):
            await asyncio.gather(*(subscription.wait() for subscription in waiting))
        with counted_statements("retouch_jobs") as looks:
            await asyncio.sleep(0.5)
    # One may be under way; PostgreSQL itself commits something now and then, to clean up.
    assert len(looks) <= 5


class _LateDatabase(JobDatabase):
    """What was asked reaches who asked only when it may."""

    delivers: asyncio.Event
    is_read: asyncio.Event

    async def call(self, work: Any, *args: Any, **options: Any) -> Any:
        """As it does, and then not at once."""
        found = await super().call(work, *args, **options)
        self.is_read.set()
        await self.delivers.wait()
        return found


async def test_a_look_from_before_this_process_changed_the_job_is_not_passed_on(
    tmp_path: Path,
) -> None:
    with ThreadPoolExecutor(4) as threads:
        database = _LateDatabase(f"sqlite:///{tmp_path}/jobs.db", executor=threads)
        database.prepare()
        database.delivers, database.is_read = asyncio.Event(), asyncio.Event()
        job_id = submit(database)
        changes = JobChanges(database, LiveJobs(), poll_s=0.01)
        with changes.subscription(job_id, least=Heard.END):
            changes.start()
            await database.is_read.wait()  # in line
            job_store.begin(database, Ticket(job_id, 1, "m", 0), "w", max_attempts=3)
            changes.wake(job_id, Heard.CHANGE)
            with changes.subscription(job_id, least=Heard.CHANGE) as worker:
                database.delivers.set()
                async with asyncio.timeout(20):
                    assert await worker.wait() is None  # whoever hears it looks for himself
        await changes.stop()
    database.close()
