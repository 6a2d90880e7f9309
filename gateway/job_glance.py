"""One look at a job and its place in line: what a client that polls costs the database."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from gateway.errors import NotFoundError
from gateway.job import Job, JobStatus
from gateway.job_database import JobDatabase
from gateway.job_rows import job_of, waits_before, whole_job
from gateway.job_tables import jobs


@dataclass(frozen=True)
class Glance:
    """A job at one moment."""

    job: Job
    queue_position: int | None
    """How many jobs of its model wait before it; None when it does not wait."""


def _statement() -> sa.Select[tuple[object, ...]]:
    others = jobs.alias("others")
    turn = sa.tuple_(jobs.c.rank, jobs.c.lap, jobs.c.seq)
    ahead = (
        sa.select(sa.func.count())
        .select_from(others)
        .where(waits_before(others, jobs.c.model, turn))
        .correlate(jobs)
        .scalar_subquery()
    )
    position = sa.case((jobs.c.status == JobStatus.QUEUED.value, ahead)).label("queue_position")
    return whole_job.add_columns(position).where(jobs.c.id == sa.bindparam("job_id"))


_GLANCE = _statement()
"""Built once: putting it together costs more than the database takes to answer it."""


def glance(database: JobDatabase, job_id: str) -> Glance:
    """The job as it is now, with its place.

    Raises:
        NotFoundError: no such job.
    """
    with database.reading() as connection:
        row = connection.execute(_GLANCE, {"job_id": job_id}).first()
    if row is None:
        raise NotFoundError(f"There is no job {job_id[:80]!r}.")
    return Glance(job_of(row), row.queue_position)
