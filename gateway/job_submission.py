"""How a job gets into the store: once per idempotency key, in a lap, within the limit."""

from __future__ import annotations

import itertools
import os
import time
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from gateway.errors import NotFoundError, TooManyJobsError, ValidationFailedError
from gateway.job import Job, JobStatus, NewJob, OnceKey, Submission
from gateway.job_database import JobDatabase
from gateway.job_rows import job_of, mark_of, waits_before, whole_job
from gateway.job_tables import doomed_files, events, files, jobs

KEEP_S = 7 * 86_400.0
"""How long a result is kept."""
_counter = itertools.count()
FILES_LOCK = 7236552
"""PostgreSQL's advisory lock between those who refer to files and the one who removes them."""


def submit(
    database: JobDatabase,
    new: NewJob,
    *,
    once: OnceKey | None = None,
    max_queued: int,
    keep_s: float = KEEP_S,
) -> Submission:
    """Accept a job, or find the one that the same key has made.

    Raises:
        TooManyJobsError: as many jobs wait as may wait.
        ValidationFailedError: the key came with another request.
        NotFoundError: one of its files is being removed.
    """
    try:
        with database.writing() as connection:
            earlier = _earlier(connection, once)
            if earlier is not None:
                return earlier
            return Submission(_insert(connection, new, once, max_queued, keep_s), replayed=False)
    except IntegrityError:  # two with the same key at the same moment: the other one was first
        found = find_submission(database, once) if once else None
        if found is None:
            raise
        return found


def find_submission(database: JobDatabase, once: OnceKey) -> Submission | None:
    """The job that this key has made.

    Raises:
        ValidationFailedError: the key came with another request.
    """
    with database.reading() as connection:
        return _earlier(connection, once)


def files_of(database: JobDatabase, job_id: str) -> tuple[str, ...]:
    """Stored pictures the job refers to."""
    query = sa.select(files.c.file_id).where(files.c.job_id == job_id)
    with database.reading() as connection:
        return tuple(connection.execute(query).scalars())


def _earlier(connection: sa.Connection, once: OnceKey | None) -> Submission | None:
    if once is None:
        return None
    same = (jobs.c.owner == once.owner) & (jobs.c.idempotency_key == once.key)
    row = connection.execute(whole_job.add_columns(jobs.c.fingerprint).where(same)).first()
    if row is None:
        return None
    if row.fingerprint != once.fingerprint:
        message = "This Idempotency-Key was used for another request."
        raise ValidationFailedError(message, code="idempotency_mismatch")
    return Submission(job_of(row), replayed=True)


def _insert(
    connection: sa.Connection,
    new: NewJob,
    once: OnceKey | None,
    max_queued: int,
    keep_s: float,
) -> Job:
    waiting = _count_queued(connection)
    if waiting >= max_queued:
        raise TooManyJobsError(f"{waiting} jobs are waiting, the limit is {max_queued}.")
    now = time.time()
    job = Job(
        id=_new_id(now),
        task=new.task,
        model=new.model,
        request=new.request,
        metadata=new.metadata,
        priority=new.priority,
        deadline_s=new.deadline_s,
        owner=new.owner,
        webhook=new.webhook,
        created_at=now,
        lap=_lap(connection, new),
    )
    connection.execute(jobs.insert().values(**_columns(job, once), keep_s=keep_s))
    _refer_to(connection, job, new.files)
    position = _ahead(connection, job)
    connection.execute(
        events.insert().values(
            job_id=job.id, id=1, name="queued", data={"queue_position": position}
        )
    )
    return job


def _columns(job: Job, once: OnceKey | None) -> dict[str, Any]:
    return {
        "id": job.id,
        "owner": job.owner,
        "task": job.task,
        "model": job.model,
        "request": dict(job.request),
        "metadata": dict(job.metadata),
        "webhook": job.webhook,
        "status": job.status.value,
        "rank": job.priority.rank,
        "lap": job.lap,
        "step": 0,
        "total_steps": 0,
        "created_at": job.created_at,
        "deadline_s": job.deadline_s,
        "deadline_at": job.deadline_at,
        "attempts": 0,
        "ticket": job.ticket,
        "in_line": 0,
        "events": 1,
        "idempotency_key": once.key if once else None,
        "fingerprint": once.fingerprint if once else None,
    }


def _lap(connection: sa.Connection, new: NewJob) -> int:
    """Fair queueing (start-time, McKenney/Goyal): one job of each owner a lap.

    An owner's next job goes a lap behind its last waiting one, and never into a lap that is
    over: one owner's thousand jobs spread over a thousand laps, another's one goes into this.
    """
    kind = (jobs.c.model == new.model) & (jobs.c.rank == new.priority.rank)
    highest = sa.select(sa.func.max(jobs.c.lap))
    current = connection.execute(highest.where(kind, jobs.c.started_at.is_not(None))).scalar()
    last = connection.execute(
        highest.where(kind, jobs.c.owner == new.owner, jobs.c.status == JobStatus.QUEUED.value)
    ).scalar()
    return max(current or 0, 0 if last is None else last + 1)


def _refer_to(connection: sa.Connection, job: Job, wanted: tuple[str, ...]) -> None:
    if not wanted:
        return
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text(f"SELECT pg_advisory_xact_lock_shared({FILES_LOCK})"))
    marks = {mark_of(name, owner): name for name in wanted for owner in ("", job.owner)}
    doomed = sa.select(doomed_files.c.file_id).where(doomed_files.c.file_id.in_(list(marks)))
    gone = connection.execute(doomed).scalar()
    if gone is not None:
        raise NotFoundError(f"File {marks[gone]} has expired.")
    rows = [{"job_id": job.id, "file_id": name} for name in sorted(set(wanted))]
    connection.execute(files.insert(), rows)


def _count_queued(connection: sa.Connection) -> int:
    waiting = sa.select(sa.func.count()).where(jobs.c.status == JobStatus.QUEUED.value)
    return int(connection.execute(waiting).scalar_one())


def _ahead(connection: sa.Connection, job: Job) -> int:
    """How many wait before a job that was just put in."""
    mine = sa.select(jobs.c.seq).where(jobs.c.id == job.id).scalar_subquery()
    turn = sa.tuple_(sa.literal(job.priority.rank), sa.literal(job.lap), mine)
    ahead = sa.select(sa.func.count()).where(waits_before(jobs, job.model, turn))
    return int(connection.execute(ahead).scalar_one())


def queue_position(database: JobDatabase, job: Job) -> int | None:
    """How many jobs of its model wait before this one; None when it does not wait."""
    if job.status is not JobStatus.QUEUED:
        return None
    with database.reading() as connection:
        return _ahead(connection, job)


def _new_id(now: float) -> str:
    """Random, and in the order of time so that indexes stay compact."""
    millis = int(now * 1000).to_bytes(6, "big").hex()
    return f"job_{millis}{next(_counter) % 0x10000:04x}{os.urandom(8).hex()}"
