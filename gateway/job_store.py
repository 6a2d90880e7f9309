"""The life of a job in the database: every change and its event in one transaction.

Whoever works on a job shows its `Fence`; a change whose fence is no longer the job's is not
made. How a job ends is decided by the first row in `results`.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from gateway import job_durations
from gateway.errors import NotFoundError
from gateway.job import (
    Fence,
    Job,
    JobEvent,
    JobFailure,
    JobResult,
    JobStatus,
    Ticket,
)
from gateway.job_database import JobDatabase
from gateway.job_housekeeping import remove
from gateway.job_rows import events_of, files_made, job_of, past_events, ticket_of, whole_job
from gateway.job_tables import events, files, jobs, results, webhooks

_LIVE = jobs.c.status.in_([JobStatus.QUEUED.value, JobStatus.RUNNING.value])
_EMPTY = JobResult(output=())


@dataclass(frozen=True)
class Change:
    """What tells a watcher or a worker whether something happened to a job."""

    events: int
    status: JobStatus
    ticket: int
    attempts: int


def get(database: JobDatabase, job_id: str) -> Job:
    """The job as it is now.

    Raises:
        NotFoundError: no such job.
    """
    with database.reading() as connection:
        return _get(connection, job_id)


def latest(
    database: JobDatabase,
    *,
    status: JobStatus | None,
    limit: int,
    after: str | None,
    owner: str | None,
) -> list[Job]:
    """Newest first; `after` continues behind that job."""
    query = whole_job.order_by(jobs.c.seq.desc()).limit(limit)
    if status is not None:
        query = query.where(jobs.c.status == status.value)
    if owner is not None:
        query = query.where(jobs.c.owner == owner)
    with database.reading() as connection:
        if after is not None:
            _get(connection, after)
            mark = sa.select(jobs.c.seq).where(jobs.c.id == after).scalar_subquery()
            query = query.where(jobs.c.seq < mark)
        return [job_of(row) for row in connection.execute(query)]


def events_after(database: JobDatabase, job_id: str, after: int) -> list[JobEvent]:
    """Events with an id above `after`."""
    with database.reading() as connection:
        return events_of(connection.execute(past_events(job_id, after)))


def changes(database: JobDatabase, job_ids: Collection[str]) -> dict[str, Change]:
    """The marks of these jobs; those that are unknown are left out."""
    columns = (jobs.c.id, jobs.c.events, jobs.c.status, jobs.c.ticket, jobs.c.attempts)
    with database.reading() as connection:
        rows = connection.execute(sa.select(*columns).where(jobs.c.id.in_(list(job_ids))))
        return {
            row.id: Change(row.events, JobStatus(row.status), row.ticket, row.attempts)
            for row in rows
        }


def begin(database: JobDatabase, ticket: Ticket, worker: str, *, max_attempts: int) -> Job | None:
    """Start the job, or start it again after what it ran on died.

    None when the ticket is not the job's any more, or when it was its last attempt that died:
    then the job has failed.
    """
    valid = (jobs.c.id == ticket.job_id) & (jobs.c.ticket == ticket.number) & _LIVE
    with database.writing() as connection:
        row = connection.execute(sa.select(jobs).where(valid).with_for_update()).first()
        if row is None:
            return None
        if row.attempts >= max_attempts:
            failure = JobFailure(
                "worker_died", f"What the job ran on died {row.attempts} times; it is given up."
            )
            _end(connection, row.id, JobStatus.FAILED, failure=failure)
            return None
        attempt = row.attempts + 1
        _record(
            connection,
            row.id,
            "started",
            {"attempt": attempt} if attempt > 1 else {},
            status=JobStatus.RUNNING.value,
            started_at=row.started_at or time.time(),
            attempts=attempt,
            worker=worker,
            step=0,
            total_steps=0,
        )
        return _get(connection, row.id)


def record(
    database: JobDatabase,
    fence: Fence,
    name: str,
    data: Mapping[str, Any],
    /,
    **columns: Any,
) -> bool:
    """Note an event of a running job; False when the fence is lost."""
    with database.writing() as connection:
        return _record(connection, fence.job_id, name, data, _holds(fence), **columns)


def end(
    database: JobDatabase,
    job_id: str,
    status: JobStatus,
    *,
    result: JobResult = _EMPTY,
    failure: JobFailure | None = None,
    fence: Fence | None = None,
) -> bool:
    """End a job, for whoever holds `fence` or for anyone; False when it was too late."""
    with database.writing() as connection:
        return _end(connection, job_id, status, result=result, failure=failure, fence=fence)


def put_in_line_again(
    database: JobDatabase, job_id: str, *, ticket: int | None = None, refund: bool = False
) -> bool:
    """Take a live job from whoever has it; False when it has ended or its ticket is another.

    `refund` gives the attempt back: the worker stopped in good order.
    """
    which = _LIVE if ticket is None else _LIVE & (jobs.c.ticket == ticket)
    back = {"attempts": sa.case((jobs.c.attempts > 0, jobs.c.attempts - 1), else_=0)}
    with database.writing() as connection:
        return _record(
            connection,
            job_id,
            "queued",
            {"again": True},
            which,
            status=JobStatus.QUEUED.value,
            ticket=jobs.c.ticket + 1,
            worker=None,
            step=0,
            total_steps=0,
            **(back if refund else {}),
        )


def note_in_line(database: JobDatabase, tickets: Collection[Ticket]) -> None:
    """Remember that the engine has these tickets."""
    with database.writing() as connection:
        for ticket in tickets:
            mine = (jobs.c.id == ticket.job_id) & (jobs.c.ticket == ticket.number)
            connection.execute(sa.update(jobs).where(mine).values(in_line=ticket.number))


def delete(database: JobDatabase, job_id: str) -> None:
    """Remove every trace of a job that has ended."""
    with database.writing() as connection:
        remove(connection, [job_id])


def not_in_line(database: JobDatabase, *, limit: int = 500) -> list[Ticket]:
    """Waiting jobs that no engine was told of: what was to tell it died in between."""
    query = (
        sa.select(jobs.c.id, jobs.c.ticket, jobs.c.model, jobs.c.rank, jobs.c.lap)
        .where(jobs.c.status == JobStatus.QUEUED.value, jobs.c.in_line < jobs.c.ticket)
        .order_by(jobs.c.seq)
        .limit(limit)
    )
    with database.reading() as connection:
        return [ticket_of(row) for row in connection.execute(query)]


def _get(connection: sa.Connection, job_id: str) -> Job:
    row = connection.execute(whole_job.where(jobs.c.id == job_id)).first()
    if row is None:
        raise NotFoundError(f"There is no job {job_id[:80]!r}.")
    return job_of(row)


def _holds(fence: Fence) -> sa.ColumnElement[bool]:
    return (
        (jobs.c.status == JobStatus.RUNNING.value)
        & (jobs.c.ticket == fence.ticket)
        & (jobs.c.attempts == fence.attempt)
    )


def _record(
    connection: sa.Connection,
    job_id: str,
    name: str,
    data: Mapping[str, Any],
    condition: sa.ColumnElement[bool] = _LIVE,
    **columns: Any,
) -> bool:
    """Change a job and add an event, whose id is one more than the last one's."""
    number = connection.execute(
        sa.update(jobs)
        .where(jobs.c.id == job_id, condition)
        .values(events=jobs.c.events + 1, **columns)
        .returning(jobs.c.events)
    ).scalar()
    if number is None:
        return False
    connection.execute(events.insert().values(job_id=job_id, id=number, name=name, data=dict(data)))
    return True


def _end(
    connection: sa.Connection,
    job_id: str,
    status: JobStatus,
    *,
    result: JobResult = _EMPTY,
    failure: JobFailure | None = None,
    fence: Fence | None = None,
) -> bool:
    told = {"code": failure.code, "message": failure.message} if failure else {}
    condition = _LIVE if fence is None else _holds(fence)
    now = time.time()
    if not _record(
        connection,
        job_id,
        status.value,
        told,
        condition,
        status=status.value,
        completed_at=now,
        expires_at=now + jobs.c.keep_s,
    ):
        return False
    connection.execute(
        results.insert().values(
            job_id=job_id,
            status=status.value,
            output=[dict(entry) for entry in result.output],
            preservation=dict(result.preservation) if result.preservation else None,
            warnings=list(result.warnings),
            timings=dict(result.timings),
            error=asdict(failure) if failure else None,
        )
    )
    _refer_to_output(connection, job_id, result)
    _owe_webhook(connection, job_id, now)
    job_durations.note(connection, job_id)
    return True


def _owe_webhook(connection: sa.Connection, job_id: str, now: float) -> None:
    url = connection.execute(sa.select(jobs.c.webhook).where(jobs.c.id == job_id)).scalar()
    if url is not None:
        connection.execute(
            webhooks.insert().values(
                id=f"msg_{job_id}", job_id=job_id, url=url, attempts=0, due_at=now
            )
        )


def _refer_to_output(connection: sa.Connection, job_id: str, result: JobResult) -> None:
    made = files_made(result)
    known = sa.select(files.c.file_id).where(files.c.job_id == job_id)
    made -= set(connection.execute(known).scalars())
    if made:
        rows = [{"job_id": job_id, "file_id": name} for name in sorted(made)]
        connection.execute(files.insert(), rows)
