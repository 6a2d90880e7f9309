"""The life of a job in the database: every change and its event in one transaction.

Whoever works on a job shows its `Fence`; a change whose fence is no longer the job's is not
made. How a job ends is decided by the first row in `results`.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

import sqlalchemy as sa

from gateway.jobs import job_ending, job_events
from gateway.jobs.job import Fence, Job, JobFailure, JobResult, JobStatus, Ticket
from gateway.jobs.job_database import JobDatabase
from gateway.jobs.job_housekeeping import remove
from gateway.jobs.job_rows import LIVE, begun_job, job_of
from gateway.jobs.job_tables import jobs

_ITS_TICKET = jobs.c.ticket == sa.bindparam("its_ticket")
_BEGIN = job_events.change(
    LIVE & _ITS_TICKET & (jobs.c.attempts < sa.bindparam("max_attempts")),
    "worker",
    returning=begun_job,
    status=JobStatus.RUNNING.value,
    started_at=sa.func.coalesce(jobs.c.started_at, sa.bindparam("now", type_=sa.Double)),
    attempts=jobs.c.attempts + 1,
    step=0,
    total_steps=0,
    in_line=jobs.c.ticket,  # whoever begins it got it from the engine
)
_IN_LINE = (
    sa.update(jobs)
    .where(jobs.c.id == sa.bindparam("of_job"), _ITS_TICKET)
    .values(in_line=jobs.c.ticket)
)


def begin(database: JobDatabase, ticket: Ticket, worker: str, *, max_attempts: int) -> Job | None:
    """Start the job, or start it again after what it ran on died.

    None when the ticket is not the job's any more, or when it was its last attempt that died:
    then the job has failed.
    """
    mine = {"its_ticket": ticket.number, "max_attempts": max_attempts}
    with database.writing() as connection:
        row = job_events.make(
            connection, _BEGIN, ticket.job_id, **mine, new_worker=worker, now=time.time()
        )
        if row is None:
            _give_up(connection, ticket)
            return None
        data = {"attempt": row.attempts} if row.attempts > 1 else {}
        job_events.tell(connection, ticket.job_id, row.event_id, "started", data)
        return job_of(row)


def _give_up(connection: sa.Connection, ticket: Ticket) -> None:
    """End a job that could not begin although the ticket is its own: it was its last attempt."""
    valid = (jobs.c.id == ticket.job_id) & (jobs.c.ticket == ticket.number) & LIVE
    attempts = connection.execute(sa.select(jobs.c.attempts).where(valid)).scalar()
    if attempts is not None:
        message = f"What the job ran on died {attempts} times; it is given up."
        failure = JobFailure("worker_died", message)
        job_ending.end(connection, ticket.job_id, JobStatus.FAILED, failure=failure)


def record(
    database: JobDatabase, fence: Fence, name: str, data: Mapping[str, Any], /, **columns: Any
) -> int | None:
    """Note an event of a running job; its id, None when the fence is lost."""
    values = {f"new_{column}": value for column, value in columns.items()}
    how = _held_change(tuple(columns))
    with database.writing() as connection:
        return job_events.record(
            connection, how, fence.job_id, name, data, **values, **job_events.shown(fence)
        )


@cache
def _held_change(columns: tuple[str, ...]) -> sa.Executable:
    return job_events.change(job_events.HELD, *columns)


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
    back: dict[str, Any] = {
        "attempts": sa.case((jobs.c.attempts > 0, jobs.c.attempts - 1), else_=0)
    }
    how = job_events.change(
        which,
        status=JobStatus.QUEUED.value,
        ticket=jobs.c.ticket + 1,
        worker=None,
        step=0,
        total_steps=0,
        **(back if refund else {}),
    )
    with database.writing() as connection:
        return bool(job_events.record(connection, how, job_id, "queued", {"again": True}))


def note_in_line(database: JobDatabase, tickets: Collection[Ticket]) -> None:
    """Remember that the engine has these tickets."""
    rows = [{"of_job": ticket.job_id, "its_ticket": ticket.number} for ticket in tickets]
    with database.writing() as connection:
        connection.execute(_IN_LINE, rows)


def delete(database: JobDatabase, job_id: str) -> None:
    """Remove every trace of a job that has ended."""
    with database.writing() as connection:
        remove(connection, [job_id])
