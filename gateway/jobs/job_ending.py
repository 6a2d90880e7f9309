"""How a job ends: once, by the first row in `results`, with all that hangs on it."""

from __future__ import annotations

import time
from dataclasses import asdict

import sqlalchemy as sa

from gateway.jobs import job_durations, job_events
from gateway.jobs.job import Fence, JobFailure, JobResult, JobStatus
from gateway.jobs.job_rows import LIVE, files_made
from gateway.jobs.job_tables import files, jobs, results, webhooks

EMPTY = JobResult(output=())


def _end(condition: sa.ColumnElement[bool]) -> sa.Executable:
    return job_events.change(
        condition,
        "status",
        "completed_at",
        returning=(jobs.c.webhook, *job_durations.NEEDED),
        expires_at=sa.bindparam("now", type_=sa.Double) + jobs.c.keep_s,
    )


_END_LIVE, _END_HELD = _end(LIVE), _end(job_events.HELD)
_RESULT = results.insert()
_KNOWN_FILES = sa.select(files.c.file_id).where(files.c.job_id == sa.bindparam("job_id"))
_NEW_FILES = files.insert()


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
    row = job_events.make(
        connection,
        _END_LIVE if fence is None else _END_HELD,
        job_id,
        new_status=status.value,
        new_completed_at=(now := time.time()),
        now=now,
        **(job_events.shown(fence) if fence else {}),
    )
    if row is None:
        return False
    job_events.tell(connection, job_id, row.event_id, status.value, told)
    connection.execute(
        _RESULT,
        {
            "job_id": job_id,
            "status": status.value,
            "output": [dict(entry) for entry in result.output],
            "preservation": dict(result.preservation) if result.preservation else None,
            "warnings": list(result.warnings),
            "timings": dict(result.timings),
            "error": asdict(failure) if failure else None,
        },
    )
    _refer_to_output(connection, job_id, result)
    if row.webhook is not None:
        _owe_webhook(connection, job_id, row.webhook, now)
    if status is JobStatus.SUCCEEDED:
        job_durations.note(connection, row)
    return True


def _owe_webhook(connection: sa.Connection, job_id: str, url: str, now: float) -> None:
    owed = {"id": f"msg_{job_id}", "job_id": job_id, "url": url, "attempts": 0, "due_at": now}
    connection.execute(webhooks.insert(), owed)


def _refer_to_output(connection: sa.Connection, job_id: str, result: JobResult) -> None:
    made = files_made(result)
    if made:
        made -= set(connection.execute(_KNOWN_FILES, {"job_id": job_id}).scalars())
        rows = [{"job_id": job_id, "file_id": name} for name in sorted(made)]
        if rows:
            connection.execute(_NEW_FILES, rows)
