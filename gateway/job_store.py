"""The life of a job in the database: every change and its event in one transaction.

Whoever works on a job shows its `Fence`; a change whose fence is no longer the job's is not
made. How a job ends is decided by the first row in `results`.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa

from gateway import job_ending, job_events, job_lookup
from gateway.job import Fence, Job, JobFailure, JobResult, JobStatus, Ticket
from gateway.job_database import JobDatabase
from gateway.job_events import LIVE
from gateway.job_housekeeping import remove
from gateway.job_tables import jobs


def begin(database: JobDatabase, ticket: Ticket, worker: str, *, max_attempts: int) -> Job | None:
    """Start the job, or start it again after what it ran on died.

    None when the ticket is not the job's any more, or when it was its last attempt that died:
    then the job has failed.
    """
    valid = (jobs.c.id == ticket.job_id) & (jobs.c.ticket == ticket.number) & LIVE
    with database.writing() as connection:
        row = connection.execute(sa.select(jobs).where(valid).with_for_update()).first()
        if row is None:
            return None
        if row.attempts >= max_attempts:
            failure = JobFailure(
                "worker_died", f"What the job ran on died {row.attempts} times; it is given up."
            )
            job_ending.end(connection, row.id, JobStatus.FAILED, failure=failure)
            return None
        attempt = row.attempts + 1
        job_events.record(
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
        return job_lookup.find(connection, row.id)


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
        return job_events.record(
            connection, fence.job_id, name, data, job_events.holds(fence), **columns
        )


def end(
    database: JobDatabase,
    job_id: str,
    status: JobStatus,
    *,
    result: JobResult = job_ending.EMPTY,
    failure: JobFailure | None = None,
    fence: Fence | None = None,
) -> bool:
    """End a job, for whoever holds `fence` or for anyone; False when it was too late."""
    with database.writing() as connection:
        return job_ending.end(
            connection, job_id, status, result=result, failure=failure, fence=fence
        )


def put_in_line_again(
    database: JobDatabase, job_id: str, *, ticket: int | None = None, refund: bool = False
) -> bool:
    """Take a live job from whoever has it; False when it has ended or its ticket is another.

    `refund` gives the attempt back: the worker stopped in good order.
    """
    which = LIVE if ticket is None else LIVE & (jobs.c.ticket == ticket)
    back = {"attempts": sa.case((jobs.c.attempts > 0, jobs.c.attempts - 1), else_=0)}
    with database.writing() as connection:
        return job_events.record(
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
