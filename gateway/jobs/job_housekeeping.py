"""What is looked for in the job store again and again: late jobs, dead workers, old results."""

from __future__ import annotations

import time
from collections.abc import Collection

import sqlalchemy as sa

from gateway.jobs.job import JobsPulse, JobStatus, Ticket
from gateway.jobs.job_database import JobDatabase
from gateway.jobs.job_rows import LIVE, ticket_of
from gateway.jobs.job_tables import events, files, jobs, results, webhooks, workers

_QUEUED, _RUNNING = JobStatus.QUEUED.value, JobStatus.RUNNING.value
_NOTED_WITHIN_S = 2.5
_WORKERS_OWN_TIME_S = 10.0
"""A worker ends a job whose deadline passed; only when it did not, somebody else does."""


def beat(database: JobDatabase, worker_id: str) -> None:
    """The worker lives."""
    now = time.time()
    with database.writing() as connection:
        seen = sa.update(workers).where(workers.c.id == worker_id).values(seen_at=now)
        if connection.execute(seen).rowcount == 0:
            connection.execute(workers.insert().values(id=worker_id, seen_at=now))


def unseen_workers(database: JobDatabase, patience_s: float) -> list[str]:
    """Workers that were not seen for so long."""
    long_ago = time.time() - patience_s
    with database.reading() as connection:
        return list(
            connection.execute(
                sa.select(workers.c.id).where(workers.c.seen_at < long_ago)
            ).scalars()
        )


def forget_workers(database: JobDatabase, worker_ids: Collection[str]) -> None:
    """They left, or what they had was taken over."""
    with database.writing() as connection:
        connection.execute(workers.delete().where(workers.c.id.in_(list(worker_ids))))


def past_deadline(database: JobDatabase) -> list[tuple[str, float]]:
    """Ids and deadlines of jobs whose time is over."""
    now = time.time()
    late = ((jobs.c.status == _QUEUED) & (jobs.c.deadline_at < now)) | (
        (jobs.c.status == _RUNNING) & (jobs.c.deadline_at < now - _WORKERS_OWN_TIME_S)
    )
    with database.reading() as connection:
        rows = connection.execute(sa.select(jobs.c.id, jobs.c.deadline_s).where(late, LIVE))
        return [(row.id, row.deadline_s) for row in rows]


def live_tickets(database: JobDatabase, *, limit: int = 500) -> list[Ticket]:
    """Tickets of the oldest live jobs that the engine was told of."""
    query = (
        sa.select(jobs.c.id, jobs.c.ticket, jobs.c.model, jobs.c.rank, jobs.c.lap)
        .where(LIVE, jobs.c.in_line == jobs.c.ticket)
        .order_by(jobs.c.seq)
        .limit(limit)
    )
    with database.reading() as connection:
        return [ticket_of(row) for row in connection.execute(query)]


def not_in_line(database: JobDatabase, *, limit: int = 500) -> list[Ticket]:
    """Waiting jobs that no engine was told of: what was to tell it died in between.

    Of new ones whoever accepted them may still note that it has told the engine.
    """
    is_due = (jobs.c.created_at < time.time() - _NOTED_WITHIN_S) | (jobs.c.ticket > 1)
    query = (
        sa.select(jobs.c.id, jobs.c.ticket, jobs.c.model, jobs.c.rank, jobs.c.lap)
        .where(jobs.c.status == _QUEUED, jobs.c.in_line < jobs.c.ticket, is_due)
        .order_by(jobs.c.seq)
        .limit(limit)
    )
    with database.reading() as connection:
        return [ticket_of(row) for row in connection.execute(query)]


def any_live(database: JobDatabase) -> bool:
    """Whether a job waits or runs."""
    with database.reading() as connection:
        return connection.execute(sa.select(jobs.c.id).where(LIVE).limit(1)).first() is not None


def pulse(database: JobDatabase) -> JobsPulse:
    """Jobs by status, and how long the oldest ones wait."""
    oldest = sa.select(sa.func.min(jobs.c.created_at))
    by_status = sa.select(jobs.c.status, sa.func.count()).group_by(jobs.c.status)
    with database.reading() as connection:
        pending = connection.execute(oldest.where(LIVE)).scalar()
        queued = connection.execute(oldest.where(jobs.c.status == _QUEUED)).scalar()
        counts = {status: number for status, number in connection.execute(by_status)}
    return JobsPulse(counts, _age_s(queued), _age_s(pending))


def _age_s(created_at: float | None) -> float:
    return 0.0 if created_at is None else max(0.0, time.time() - created_at)


def expire(database: JobDatabase, *, limit: int = 1000) -> None:
    """Remove results and events whose time is over; the job stays as expired."""
    old = (
        sa.select(jobs.c.id)
        .where(jobs.c.expires_at < time.time(), jobs.c.status != JobStatus.EXPIRED.value)
        .limit(limit)
    )
    with database.writing() as connection:
        ids = list(connection.execute(old).scalars())
        _remove_belongings(connection, ids)
        gone = sa.update(jobs).where(jobs.c.id.in_(ids)).values(status=JobStatus.EXPIRED.value)
        connection.execute(gone)


def forget_oldest(database: JobDatabase, max_kept: int, *, limit: int = 1000) -> None:
    """Remove ended jobs beyond the newest `max_kept`."""
    with database.writing() as connection:
        mark = connection.execute(
            sa.select(jobs.c.seq).order_by(jobs.c.seq.desc()).offset(max_kept).limit(1)
        ).scalar()
        if mark is None:
            return
        old = sa.select(jobs.c.id).where(jobs.c.seq <= mark, sa.not_(LIVE)).limit(limit)
        remove(connection, list(connection.execute(old).scalars()))


def remove(connection: sa.Connection, job_ids: list[str]) -> None:
    """Remove every trace of jobs that have ended."""
    _remove_belongings(connection, job_ids)
    connection.execute(jobs.delete().where(jobs.c.id.in_(job_ids), sa.not_(LIVE)))


def _remove_belongings(connection: sa.Connection, job_ids: list[str]) -> None:
    for table in (results, events, files, webhooks):
        connection.execute(table.delete().where(table.c.job_id.in_(job_ids)))
