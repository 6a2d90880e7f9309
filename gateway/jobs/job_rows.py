"""Rows of the job store as jobs and events."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from gateway.jobs.job import Job, JobEvent, JobFailure, JobPriority, JobResult, JobStatus, Ticket
from gateway.jobs.job_tables import doomed_files, events, jobs, results

_FILE_ID = re.compile(r"file_[0-9a-f]{40}")
BATCH_BEHIND = 2**30
"""Added to the lap of a batch job: it goes behind every interactive one."""

whole_job = sa.select(
    jobs,
    results.c.output,
    results.c.preservation,
    results.c.warnings,
    results.c.timings,
    results.c.error,
).select_from(jobs.outerjoin(results, jobs.c.id == results.c.job_id))
"""Everything of a job, its result included when it has one."""
LIVE = jobs.c.status.in_([JobStatus.QUEUED.value, JobStatus.RUNNING.value])
"""Jobs that have not ended."""
doomed_among = sa.select(doomed_files.c.file_id).where(
    doomed_files.c.file_id.in_(sa.bindparam("marks", expanding=True))
)
"""Of `marks`, as `mark_of` makes them, those under which a removal is noted."""
_NO_RESULT = ("output", "preservation", "warnings", "timings", "error")
begun_job = (*jobs.c, *(sa.null().label(name) for name in _NO_RESULT))
"""Columns for `job_of` of a job that has just begun, without a look for its result."""


past_events = (
    sa.select(events.c.id, events.c.name, events.c.data)
    .where(events.c.job_id == sa.bindparam("job_id"), events.c.id > sa.bindparam("after"))
    .order_by(events.c.id)
)
"""Events of a job behind the one with the id `after`, oldest first."""


def waits_before(
    other: sa.FromClause, model: sa.ColumnElement[str] | str, turn: sa.Tuple
) -> sa.ColumnElement[bool]:
    """Whether a row of the jobs' table waits in a model's line before (rank, lap, seq)."""
    its_turn = sa.tuple_(other.c.rank, other.c.lap, other.c.seq)
    waiting = (other.c.status == JobStatus.QUEUED.value) & (other.c.model == model)
    return waiting & (its_turn < turn)


def job_of(row: sa.Row[Any]) -> Job:
    """The snapshot that a row of `whole_job` holds."""
    return Job(
        id=row.id,
        task=row.task,
        model=row.model,
        request=row.request,
        status=JobStatus(row.status),
        step=row.step,
        total_steps=row.total_steps,
        created_at=row.created_at,
        started_at=row.started_at,
        completed_at=row.completed_at,
        output=tuple(row.output or ()),
        preservation=row.preservation,
        warnings=tuple(row.warnings or ()),
        timings=row.timings or {},
        error=JobFailure(**row.error) if row.error else None,
        priority=list(JobPriority)[row.rank],
        deadline_s=row.deadline_s,
        metadata=row.metadata,
        owner=row.owner,
        attempts=row.attempts,
        expires_at=row.expires_at,
        webhook=row.webhook,
        lap=row.lap,
        ticket=row.ticket,
    )


def ticket_of(row: Any) -> Ticket:
    """Its place in line; the row has id, ticket, model, rank and lap."""
    return Ticket(row.id, row.ticket, row.model, row.rank * BATCH_BEHIND + row.lap + 1)


def ticket_for(job: Job) -> Ticket:
    """Its place in line."""
    return Ticket(job.id, job.ticket, job.model, job.priority.rank * BATCH_BEHIND + job.lap + 1)


def events_of(rows: Iterable[sa.Row[Any]]) -> list[JobEvent]:
    """Events in the order of the rows."""
    return [JobEvent(row.id, row.name, row.data) for row in rows]


def mark_of(file_id: str, owner: str) -> str:
    """Under what a removal is noted: of a file, or of one owner's share in it."""
    return f"{owner}/{file_id}" if owner else file_id


def files_made(result: JobResult) -> set[str]:
    """Stored pictures, and colour transforms, that a result hands out."""
    made = {entry["file_id"] for entry in result.output}
    addresses = [entry["cube_url"] for entry in result.output if entry.get("cube_url")]
    return made | {name for url in addresses for name in _FILE_ID.findall(url)}
