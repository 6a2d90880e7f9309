"""The mark of a database changes with whatever anyone has committed, and with nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gateway.errors import StoreUnavailableError
from gateway.jobs import job_housekeeping, job_lookup, job_store, job_submission
from gateway.jobs.job import JobStatus, NewJob
from gateway.jobs.job_database import JobDatabase

CANCEL = """
import sys
from gateway.jobs import job_store
from gateway.jobs.job import JobStatus
from gateway.jobs.job_database import JobDatabase
job_store.end(JobDatabase(sys.argv[1]), sys.argv[2], JobStatus.CANCELED)
"""


def submit(database: JobDatabase) -> str:
    new = NewJob(task="generate", model="m", request={"n": 1})
    return job_submission.submit(database, new, once=None, max_queued=100, keep_s=-1).job.id


def cancel_elsewhere(url: str, job_id: str) -> None:
    """By a process of its own."""
    subprocess.run([sys.executable, "-c", CANCEL, url, job_id], check=True, timeout=60)


def test_it_stays_while_nobody_writes(database: JobDatabase) -> None:
    job_id = submit(database)

    def stays() -> bool:
        before = database.mark()
        job_lookup.get(database, job_id)
        return database.mark() == before

    # PostgreSQL itself may commit something in between, to clean up.
    assert any(stays() for _ in range(20))


def test_it_changes_with_what_this_process_writes(database: JobDatabase) -> None:
    marks = [database.mark()]
    job_id = submit(database)
    marks.append(database.mark())
    job_store.end(database, job_id, JobStatus.CANCELED)
    marks.append(database.mark())
    job_store.delete(database, job_id)
    marks.append(database.mark())
    assert all(marks.count(mark) == 1 for mark in marks)


def test_it_changes_with_what_another_connection_writes(database: JobDatabase) -> None:
    other = JobDatabase(database.url)
    try:
        job_id, before = submit(database), database.mark()
        job_store.end(other, job_id, JobStatus.CANCELED)
        assert database.mark() != before
    finally:
        other.close()


def test_it_changes_when_a_transaction_that_began_before_it_is_committed(
    database: JobDatabase,
) -> None:
    other = JobDatabase(database.url)
    job_id = submit(database)
    job_store.end(database, job_id, JobStatus.CANCELED)
    try:
        with other.writing() as connection:
            job_housekeeping.remove(connection, [job_id])
            during = database.mark()
            assert job_lookup.changes(database, [job_id])
        assert database.mark() != during
        assert not job_lookup.changes(database, [job_id])
    finally:
        other.close()


def test_it_changes_with_what_another_process_writes(database: JobDatabase) -> None:
    job_id, before = submit(database), database.mark()
    cancel_elsewhere(database.url, job_id)
    assert database.mark() != before
    assert job_lookup.get(database, job_id).status is JobStatus.CANCELED


def test_marks_of_a_database_that_was_opened_again_are_others(database: JobDatabase) -> None:
    if not database.is_sqlite:
        pytest.skip("PostgreSQL's marks are the server's, not the connection's")
    before = database.mark()
    database.close()
    assert database.mark() != before


def test_one_in_memory_never_says_that_nothing_has_changed() -> None:
    database = JobDatabase("sqlite://")
    assert database.mark() != database.mark()
    database.close()


def test_a_server_that_is_away_is_told_of() -> None:
    database = JobDatabase("postgresql://u:p@127.0.0.1:1/none")
    with pytest.raises(StoreUnavailableError):
        database.mark()
