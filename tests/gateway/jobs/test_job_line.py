"""Who tells the store that the engine has a job: whoever begins it, or a later round."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.jobs import job_housekeeping, job_store, job_submission
from gateway.jobs.job import Job, NewJob
from gateway.jobs.job_database import JobDatabase
from gateway.jobs.job_engine_memory import MemoryEngine
from gateway.jobs.job_line import JobLine
from gateway.jobs.job_rows import ticket_for


@pytest.fixture
def database(tmp_path: Path) -> Iterator[JobDatabase]:
    database = JobDatabase(f"sqlite:///{tmp_path}/jobs.db")
    database.prepare()
    yield database
    database.close()


def submit(database: JobDatabase) -> Job:
    new = NewJob(task="generate", model="m", request={})
    return job_submission.submit(database, new, max_queued=9).job


def make_older(database: JobDatabase, job: Job) -> None:
    path = database.url.removeprefix("sqlite:///")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE retouch_jobs SET created_at = created_at - 60")


async def test_what_was_put_in_line_is_noted_with_the_next_round(database: JobDatabase) -> None:
    line = JobLine(database, MemoryEngine(jobs_per_model=1))
    jobs = [submit(database) for _ in range(3)]
    for job in jobs[:2]:
        await line.put(ticket_for(job))
    assert job_housekeeping.live_tickets(database) == []
    await line.put_forgotten()
    assert job_housekeeping.live_tickets(database) == [ticket_for(job) for job in jobs[:2]]


async def test_a_forgotten_job_is_put_in_line_when_it_is_not_quite_new(
    database: JobDatabase,
) -> None:
    job = submit(database)
    assert job_housekeeping.not_in_line(database) == []  # whoever took it in may still be at it
    make_older(database, job)
    assert job_housekeeping.not_in_line(database) == [ticket_for(job)]
    await JobLine(database, MemoryEngine(jobs_per_model=1)).put_forgotten()
    assert job_housekeeping.not_in_line(database) == []


def test_what_begins_was_in_line(database: JobDatabase) -> None:
    job = submit(database)
    begun = job_store.begin(database, ticket_for(job), "w", max_attempts=3)
    assert begun is not None
    assert begun.attempts == 1
    assert job_housekeeping.live_tickets(database) == [ticket_for(job)]


def test_a_job_handed_back_is_due_at_once(database: JobDatabase) -> None:
    job = submit(database)
    job_store.begin(database, ticket_for(job), "w", max_attempts=3)
    assert job_store.put_in_line_again(database, job.id)
    (ticket,) = job_housekeeping.not_in_line(database)
    assert (ticket.job_id, ticket.number) == (job.id, 2)
