"""What is read of jobs: one, the latest, their events, and whether something happened to them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from gateway.errors import NotFoundError
from gateway.jobs.job import Job, JobEvent, JobStatus
from gateway.jobs.job_database import JobDatabase
from gateway.jobs.job_rows import events_of, job_of, past_events, whole_job
from gateway.jobs.job_tables import jobs


class Change(NamedTuple):
    """What tells a watcher or a worker whether something happened to a job."""

    events: int
    status: JobStatus
    ticket: int
    attempts: int

    def is_progress_since(self, other: Change | None) -> bool:
        """Whether nothing but events came since."""
        return other is not None and other == self._replace(events=other.events)


marks = sa.select(jobs.c.id, jobs.c.events, jobs.c.status, jobs.c.ticket, jobs.c.attempts)
"""What a `Change` is read from; whatever else of a job changes, one of these does too."""

_ONE = whole_job.where(jobs.c.id == sa.bindparam("job_id"))
_MARKS_OF = marks.where(jobs.c.id.in_(sa.bindparam("job_ids", expanding=True)))


def change_of(row: Any) -> Change:
    """The mark that a row of `marks` holds."""
    _, events, status, ticket, attempts, *_ = row  # by place: hundreds are read at a time
    return Change(events, JobStatus(status), ticket, attempts)


def get(database: JobDatabase, job_id: str) -> Job:
    """The job as it is now.

    Raises:
        NotFoundError: no such job.
    """
    with database.reading() as connection:
        return find(connection, job_id)


def latest(
    database: JobDatabase,
    *,
    status: JobStatus | None,
    limit: int,
    after: str | None,
    owner: str | None,
) -> list[Job]:
    """Newest first; `after` continues behind that job."""
    rows = latest_rows(database, whole_job, status=status, limit=limit, after=after, owner=owner)
    return [job_of(row) for row in rows]


def latest_rows(
    database: JobDatabase,
    query: sa.Select[Any],
    *,
    status: JobStatus | None,
    limit: int,
    after: str | None,
    owner: str | None,
) -> Sequence[sa.Row[Any]]:
    """The same as rows of `query`, which is `whole_job` or has more columns than it."""
    query = query.order_by(jobs.c.seq.desc()).limit(limit)
    if status is not None:
        query = query.where(jobs.c.status == status.value)
    if owner is not None:
        query = query.where(jobs.c.owner == owner)
    with database.reading() as connection:
        if after is not None:
            find(connection, after)
            mark = sa.select(jobs.c.seq).where(jobs.c.id == after).scalar_subquery()
            query = query.where(jobs.c.seq < mark)
        return connection.execute(query).all()


def events_after(database: JobDatabase, job_id: str, after: int) -> list[JobEvent]:
    """Events with an id above `after`."""
    with database.reading() as connection:
        return _events(connection, job_id, after)


def changes(database: JobDatabase, job_ids: Collection[str]) -> dict[str, Change]:
    """The marks of these jobs; those that are unknown are left out."""
    with database.reading() as connection:
        rows = connection.execute(_MARKS_OF, {"job_ids": list(job_ids)})
        return {row[0]: change_of(row) for row in rows}


def news(database: JobDatabase, job_id: str, after: int) -> tuple[list[JobEvent], Change | None]:
    """Events with an id above `after`, and the job's mark before them; None: it is unknown."""
    with database.reading() as connection:
        row = connection.execute(_MARKS_OF, {"job_ids": [job_id]}).first()
        return _events(connection, job_id, after), row and change_of(row)


def _events(connection: sa.Connection, job_id: str, after: int) -> list[JobEvent]:
    return events_of(connection.execute(past_events, {"job_id": job_id, "after": after}))


def find(connection: sa.Connection, job_id: str) -> Job:
    """The job as it is within a transaction.

    Raises:
        NotFoundError: no such job.
    """
    row = connection.execute(_ONE, {"job_id": job_id}).first()
    if row is None:
        raise NotFoundError(f"There is no job {job_id[:80]!r}.")
    return job_of(row)
