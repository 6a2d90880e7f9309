"""How a job ends: once, by the first row in `results`, with all that hangs on it."""

from __future__ import annotations

import time
from dataclasses import asdict

import sqlalchemy as sa

from gateway import job_durations, job_events
from gateway.job import Fence, JobFailure, JobResult, JobStatus
from gateway.job_rows import files_made
from gateway.job_tables import files, jobs, results, webhooks

EMPTY = JobResult(output=())


def end(
    connection: sa.Connection,
    job_id: str,
    status: JobStatus,
    *,
    result: JobResult = EMPTY,
    failure: JobFailure | None = None,
    fence: Fence | None = None,
) -> bool:
    """End a job, for whoever holds `fence` or for anyone; False when it was too late."""
    told = {"code": failure.code, "message": failure.message} if failure else {}
    condition = job_events.LIVE if fence is None else job_events.holds(fence)
    now = time.time()
    if not job_events.record(
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
