"""A database that an older release left behind, killed at work, opens and goes on."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from gateway.errors import ConflictError
from gateway.jobs.job import Job, JobResult, JobStatus, NewJob, OnceKey
from gateway.jobs.job_database import JobDatabase
from gateway.jobs.job_engine_dbos import DbosEngine
from gateway.jobs.job_queue import JobQueue, JobReporter
from gateway.jobs.job_tables import SCHEMA_VERSION
from gateway.storage.file_removals import FileRemovals
from tests.gateway.held_jobs import RESULT, make_limits

DATABASES = Path(__file__).parent / "databases"


def restored(name: str, folder: Path) -> str:
    with sqlite3.connect(folder / "jobs.db") as connection:
        connection.executescript((DATABASES / name).read_text())
    connection.close()
    return f"sqlite:///{folder}/jobs.db"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", sorted(path.name for path in DATABASES.glob("*.sql")))
async def test_the_jobs_of_an_older_release_are_kept_and_finished(
    name: str, tmp_path: Path
) -> None:
    async def work(job: Job, report: JobReporter) -> JobResult:
        return RESULT

    url = restored(name, tmp_path)
    engine = DbosEngine(url, worker_id="old-worker", models=["qwen_image"], jobs_per_model=1)
    queue = JobQueue(
        work,
        database=JobDatabase(url),
        engine=engine,
        worker_id="old-worker",
        limits=make_limits(max_attempts=3),
    )
    await queue.start()
    try:
        found = await queue.latest(status=None, limit=10, after=None)
        by_prompt = {job.request["prompt"]: job for job in found}
        assert by_prompt["done"].output[0]["seed"] == 1
        assert by_prompt["no"].status is JobStatus.CANCELED
        for prompt in ("hold", "waits"):
            job = await queue.wait(by_prompt[prompt].id, timeout_s=20)
            assert job.status is JobStatus.SUCCEEDED
        assert (await queue.get(by_prompt["hold"].id)).attempts == 2
        assert by_prompt["waits"].metadata == {"order": "7"}
        new = NewJob(task="generate", model="qwen_image", request={}, owner="public")
        again = await queue.submit_once(new, OnceKey("public", "first", "f"))
        assert (again.replayed, again.job.id) == (True, by_prompt["done"].id)
    finally:
        await queue.close()


async def test_pictures_can_be_swept_on_a_database_of_the_first_schema(tmp_path: Path) -> None:
    database = JobDatabase(restored("jobs-schema-1.sql", tmp_path))
    database.prepare()
    removals = FileRemovals(database)
    assert await removals.doom("file_1")
    await removals.note_removed("file_1")
    assert await removals.settled("file_1")
    database.prepare()  # the next start
    assert await removals.settled("file_1")
    database.close()


def test_a_database_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    database = JobDatabase(f"sqlite:///{tmp_path}/jobs.db")
    database.prepare()
    with sqlite3.connect(tmp_path / "jobs.db") as connection:
        connection.execute("INSERT INTO retouch_schema VALUES (?)", [SCHEMA_VERSION + 1])
    connection.close()
    with pytest.raises(ConflictError, match="schema is version 4, this release knows 3"):
        database.prepare()
    database.close()


async def test_the_tables_are_made_once_by_many_at_a_time(tmp_path: Path) -> None:
    """SQLite does not let them wait while one switches to WAL: two in a thousand failed."""
    for number in range(20):
        databases = [JobDatabase(f"sqlite:///{tmp_path}/{number}.db") for _ in range(8)]
        await asyncio.gather(*(asyncio.to_thread(database.prepare) for database in databases))
        for database in databases:
            database.close()
