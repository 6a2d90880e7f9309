"""The queue over its real line, in SQLite and in PostgreSQL: order, restarts, drain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dbos import DBOS
from dbos._dbos import _get_dbos_instance

from gateway.jobs import job_durations
from gateway.jobs.job import Job, JobPriority, JobResult, JobStatus
from gateway.jobs.job_database import JobDatabase
from gateway.jobs.job_engine_dbos import POLLING_S, QUIET_POLLING_S, DbosEngine
from gateway.jobs.job_queue import JobQueue, JobReporter
from gateway.jobs.job_rows import ticket_for
from tests.gateway.conftest import until
from tests.gateway.held_jobs import RESULT, HeldJobs, make_limits
from tests.private_postgres import PrivatePostgres

pytestmark = pytest.mark.timeout(60)
NORMAL, FULL = 1, 2
"""Of SQLite's PRAGMA synchronous."""


@pytest.fixture(scope="module")
def postgres() -> Iterator[PrivatePostgres]:
    server = PrivatePostgres()
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/jobs.db"
    server: PrivatePostgres = request.getfixturevalue("postgres")
    return server.url("t" + "".join(c for c in tmp_path.name if c.isalnum()).lower()[-40:])


@asynccontextmanager
async def opened(
    url: str,
    work: Any,
    *,
    jobs_per_model: int = 1,
    worker: str = "w",
    works: bool = True,
    upkeep_s: float = 0.05,
) -> AsyncIterator[JobQueue]:
    limits = make_limits(max_attempts=3)
    engine = DbosEngine(url, worker_id=worker, models=["m"], jobs_per_model=jobs_per_model)
    queue = JobQueue(
        work,
        database=JobDatabase(url),
        engine=engine,
        worker_id=worker,
        limits=replace(limits, upkeep=replace(limits.upkeep, period_s=upkeep_s)),
        works=works,
    )
    await queue.start()
    try:
        yield queue
    finally:
        await queue.close()


async def submit(queue: JobQueue, **options: Any) -> Job:
    return await queue.submit(task="generate", model="m", request={}, **options)


async def is_status(queue: JobQueue, job: Job, status: JobStatus) -> None:
    async with asyncio.timeout(20):
        while (await queue.get(job.id)).status is not status:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_thousand_jobs_of_one_owner_do_not_keep_anothers_one_waiting(url: str) -> None:
    order: list[str] = []

    async def work(job: Job, report: JobReporter) -> JobResult:
        order.append(f"{job.owner}-{job.priority}")
        return RESULT

    async with opened(url, work, works=False) as queue:
        for _ in range(30):
            await submit(queue, owner="many")
        await submit(queue, owner="many", priority=JobPriority.BATCH)
        last = await submit(queue, owner="one", priority=JobPriority.BATCH)
        await submit(queue, owner="one")
    async with opened(url, work) as queue:
        await is_status(queue, last, JobStatus.SUCCEEDED)
    assert order.index("one-interactive") == 1
    assert order[-2:] == ["many-batch", "one-batch"]


async def test_a_stopped_worker_hands_its_job_back_and_another_ends_it(url: str) -> None:
    work = HeldJobs()
    async with opened(url, work, worker="first") as queue:
        job = await submit(queue)
        await is_status(queue, job, JobStatus.RUNNING)

    async def at_once(job: Job, report: JobReporter) -> JobResult:
        return RESULT

    async with opened(url, at_once, worker="second") as queue:
        await is_status(queue, job, JobStatus.SUCCEEDED)
        ended = await queue.get(job.id)
        assert ended.attempts == 1, "handed back in good order: no attempt is lost"
        names = [event.name async for event in queue.watch(job.id)]
    assert names == ["queued", "started", "queued", "started", "succeeded"]


async def test_a_job_accepted_by_a_gateway_that_died_before_the_line_knew_still_runs(
    url: str,
) -> None:
    async def at_once(job: Job, report: JobReporter) -> JobResult:
        return RESULT

    async with opened(url, at_once, works=False) as queue:

        async def dead(ticket: object) -> None:
            raise TimeoutError

        queue._engine.enqueue = dead  # type: ignore[method-assign]
        queue._upkeep._engine.enqueue = dead  # type: ignore[method-assign]
        job = await submit(queue)
    async with opened(url, at_once) as queue:
        await is_status(queue, job, JobStatus.SUCCEEDED)


async def test_used_tickets_are_forgotten_and_waiting_ones_are_not(url: str) -> None:
    work = HeldJobs()
    async with opened(url, work) as queue:
        first = await submit(queue)
        second = await submit(queue)
        await is_status(queue, first, JobStatus.RUNNING)
        await work.finish(first)
        await is_status(queue, second, JobStatus.RUNNING)
        await asyncio.sleep(0.3)
        await queue._engine.forget_used(older_than_s=0)
        tickets = [ticket_for(await queue.get(job.id)) for job in (first, second)]
        assert await queue._engine.lost(tickets) == tickets[:1]
        known = await asyncio.to_thread(DBOS.list_workflows)
        assert [workflow.workflow_id for workflow in known] == [f"{second.id}:1"]
        await work.finish(second)
        await is_status(queue, second, JobStatus.SUCCEEDED)


async def test_when_jobs_end_is_foretold_from_those_that_ended_while_a_worker_is_there(
    url: str,
) -> None:
    async def quick(job: Job, report: JobReporter) -> JobResult:
        return RESULT

    held = HeldJobs()
    async with opened(url, held) as queue:
        handed_back = await submit(queue)
        await is_status(queue, handed_back, JobStatus.RUNNING)
    async with opened(url, quick) as queue:
        for job in [handed_back, *[await submit(queue) for _ in range(5)]]:
            await is_status(queue, job, JobStatus.SUCCEEDED)
        await queue.database.call(job_durations.forget_old)
    async with opened(url, held) as queue:
        jobs = [await submit(queue) for _ in range(3)]
        await is_status(queue, jobs[0], JobStatus.RUNNING)
        found = await queue.database.call(job_durations.lines, seen_within_s=60)
        assert [job.id for job in found.by_model["m"].live] == [job.id for job in jobs]
        assert len(found.by_model["m"].observed) == 5, "not the one that was handed back"
        async with asyncio.timeout(20):
            # None at first: the worker has not been seen yet.
            while (last := await queue.forecasts.eta(jobs[-1].id)) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert last.p50_s <= last.p90_s
    async with opened(url, quick, works=False) as queue:
        assert await queue.forecasts.eta(jobs[-1].id) is None, "nobody works"


async def test_a_quiet_line_is_looked_at_less_often_until_a_job_comes(url: str) -> None:
    def interval_s() -> float:
        queue = DBOS.retrieve_queue("jobs-m")
        assert queue is not None
        return queue.polling_interval_sec

    jobs = HeldJobs()
    limits = make_limits(max_attempts=3)
    engine = DbosEngine(url, worker_id="w", models=["m"], jobs_per_model=1)
    queue = JobQueue(
        jobs,
        database=JobDatabase(url),
        engine=engine,
        worker_id="w",
        limits=replace(limits, upkeep=replace(limits.upkeep, quiet_after_s=1.0)),
    )
    await queue.start()
    try:
        await until(lambda: of(asyncio.to_thread(interval_s), QUIET_POLLING_S), timeout_s=20)
        job = await queue.submit(task="generate", model="m", request={})
        assert await asyncio.to_thread(interval_s) == POLLING_S
        await until(lambda: of(status_of(queue, job), JobStatus.RUNNING), timeout_s=20)
        await asyncio.sleep(0.5)
        assert await asyncio.to_thread(interval_s) == POLLING_S
        await jobs.finish(job)
        await until(lambda: of(asyncio.to_thread(interval_s), QUIET_POLLING_S), timeout_s=20)
    finally:
        await queue.close()


async def of(found: Awaitable[object], wanted: object) -> bool:
    return await found == wanted


async def status_of(queue: JobQueue, job: Job) -> JobStatus:
    return (await queue.get(job.id)).status


async def test_an_empty_line_is_looked_at_with_one_question(url: str) -> None:
    async with opened(url, None, upkeep_s=10):
        system, asked = _get_dbos_instance()._sys_db, []
        await asyncio.sleep(0.5)  # until the queues' threads have begun

        @sa.event.listens_for(system.engine, "before_cursor_execute")
        def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            asked.append(statement)

        await asyncio.sleep(1)
        # A full look, of which there would be ten, reads both of these.
        assert len([text for text in asked if "application_versions" in text]) < 3, asked
        assert len([text for text in asked if "queues" in text.partition("FROM")[2]]) < 6, asked
        looks = [text for text in asked if "queue_name = " in text]
        marks = [text for text in asked if "data_version" in text]
        if url.startswith("sqlite"):  # and not even these, while nobody writes
            assert len(looks) < len(marks) / 2, asked
        assert len(looks) + len(marks) > 2, asked


async def test_only_the_stores_own_commits_wait_for_the_disk(tmp_path: Path) -> None:
    """Both write to one log: what the store has told is behind all that the line noted before."""
    async with opened(f"sqlite:///{tmp_path}/jobs.db", HeldJobs()) as queue:
        with _get_dbos_instance()._sys_db.engine.connect() as line:
            assert line.exec_driver_sql("PRAGMA synchronous").scalar() == NORMAL
            assert line.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        with queue.database.writing() as store:
            assert store.exec_driver_sql("PRAGMA synchronous").scalar() == FULL
