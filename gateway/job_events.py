"""One change of a job and the event that tells of it, written together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from gateway.job import Fence, JobStatus
from gateway.job_tables import events, jobs

LIVE = jobs.c.status.in_([JobStatus.QUEUED.value, JobStatus.RUNNING.value])
"""Jobs that have not ended."""


def holds(fence: Fence) -> sa.ColumnElement[bool]:
    """The job, as long as it runs as the fence says."""
    return (
        (jobs.c.status == JobStatus.RUNNING.value)
        & (jobs.c.ticket == fence.ticket)
        & (jobs.c.attempts == fence.attempt)
    )


def record(
    connection: sa.Connection,
    job_id: str,
    name: str,
    data: Mapping[str, Any],
    condition: sa.ColumnElement[bool] = LIVE,
    **columns: Any,
) -> bool:
    """Change a job and add an event, whose id is one more than the last one's.

    False when `condition` does not hold of it: then nothing was changed.
    """
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
