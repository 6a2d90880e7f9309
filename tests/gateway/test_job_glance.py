"""One look tells what the store's separate questions tell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import job_glance, job_lookup, job_store, job_submission
from gateway.errors import NotFoundError
from gateway.job import JobPriority, JobStatus, NewJob
from gateway.job_database import JobDatabase


@pytest.fixture
def database(tmp_path: Path) -> Iterator[JobDatabase]:
    database = JobDatabase(f"sqlite:///{tmp_path}/jobs.db")
    database.prepare()
    yield database
    database.close()


def submit(database: JobDatabase, **fields: object) -> str:
    new = NewJob(**{"task": "generate", "model": "m", "request": {"n": 1}, **fields})  # type: ignore[arg-type]
    return job_submission.submit(database, new, once=None, max_queued=100, keep_s=100).job.id


def test_a_glance_is_the_job_and_its_place(database: JobDatabase) -> None:
    ids = [
        submit(database, owner="ann"),
        submit(database, owner="ann", priority=JobPriority.BATCH),
        submit(database, owner="ann"),
        submit(database, owner="bob"),
        submit(database, owner="bob", model="other"),
    ]
    places = [job_glance.glance(database, job_id).queue_position for job_id in ids]
    assert places == [0, 3, 2, 1, 0]
    for job_id in ids:
        seen = job_glance.glance(database, job_id)
        assert seen.job == job_lookup.get(database, job_id)
        assert seen.queue_position == job_submission.queue_position(database, seen.job)


def test_what_does_not_wait_has_no_place(database: JobDatabase) -> None:
    first, second = submit(database), submit(database)
    job_store.end(database, first, JobStatus.CANCELED)
    seen = job_glance.glance(database, first)
    assert (seen.job.status, seen.queue_position) == (JobStatus.CANCELED, None)
    assert job_glance.glance(database, second).queue_position == 0


def test_an_unknown_job_is_not_found(database: JobDatabase) -> None:
    with pytest.raises(NotFoundError, match="no job 'job_0'"):
        job_glance.glance(database, "job_0")
