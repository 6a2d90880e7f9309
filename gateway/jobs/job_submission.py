"""How a job gets into the store: once per idempotency key, in a lap, within the limit."""

from __future__ import annotations

import itertools
import os
import time
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from gateway.errors import NotFoundError, TooManyJobsError, ValidationFailedError
from gateway.jobs import job_events
from gateway.jobs.job import Job, JobStatus, NewJob, OnceKey, Submission
from gateway.jobs.job_database import JobDatabase
from gateway.jobs.job_rows import doomed_among, job_of, mark_of, waits_before, whole_job
from gateway.jobs.job_tables import files, jobs

KEEP_S = 7 * 86_400.0
"""How long a result is kept."""
_counter = itertools.count()
FILES_LOCK = 7236552
"""PostgreSQL's advisory lock between those who refer to files and the one who removes them."""


def _the_line() -> sa.Select[Any]:
    """How many jobs wait, and of a kind the current lap and the last one that waits."""
    kind = (jobs.c.model == sa.bindparam("model")) & (jobs.c.rank == sa.bindparam("rank"))
    waits = jobs.c.status == JobStatus.QUEUED.value
    highest = sa.select(sa.func.max(jobs.c.lap)).where(kind)
    mine = highest.where(jobs.c.owner == sa.bindparam("owner"), waits)
    return sa.select(
        sa.select(sa.func.count()).where(waits).scalar_subquery().label("waiting"),
        highest.where(jobs.c.started_at.is_not(None)).scalar_subquery().label("current"),
        mine.scalar_subquery().label("last"),
    )


def _in_front() -> sa.Select[Any]:
    mine = sa.select(jobs.c.seq).where(jobs.c.id == sa.bindparam("job_id")).scalar_subquery()
    rank, lap = (sa.bindparam(name, type_=sa.Integer) for name in ("rank", "lap"))
    model = sa.bindparam("model", type_=sa.String)
    return sa.select(sa.func.count()).where(waits_before(jobs, model, sa.tuple_(rank, lap, mine)))


# Put together once: that costs more than the database takes for them.
_THE_LINE, _AHEAD = _the_line(), _in_front()
_NEW_JOB, _NEW_FILES = jobs.insert(), files.insert()


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
    line = connection.execute(
        _THE_LINE, {"model": new.model, "rank": new.priority.rank, "owner": new.owner}
    ).one()
    if line.waiting >= max_queued:
        raise TooManyJobsError(f"{line.waiting} jobs are waiting, the limit is {max_queued}.")
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
        lap=_lap(line),
    )
    connection.execute(_NEW_JOB, {**_columns(job, once), "keep_s": keep_s})
    _refer_to(connection, job, new.files)
    data = {"queue_position": _ahead(connection, job)}
    job_events.tell(connection, job.id, 1, "queued", data)
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


def _lap(line: sa.Row[Any]) -> int:
    """Fair queueing (start-time, McKenney/Goyal): one job of each owner a lap.

    An owner's next job goes a lap behind its last waiting one, and never into a lap that is
    over: one owner's thousand jobs spread over a thousand laps, another's one goes into this.
    """
    return max(line.current or 0, 0 if line.last is None else line.last + 1)


def _refer_to(connection: sa.Connection, job: Job, wanted: tuple[str, ...]) -> None:
    if not wanted:
        return
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text(f"SELECT pg_advisory_xact_lock_shared({FILES_LOCK})"))
    marks = {mark_of(name, owner): name for name in wanted for owner in ("", job.owner)}
    gone = connection.execute(doomed_among, {"marks": list(marks)}).scalar()
    if gone is not None:
        raise NotFoundError(f"File {marks[gone]} has expired.")
    rows = [{"job_id": job.id, "file_id": name} for name in sorted(set(wanted))]
    connection.execute(_NEW_FILES, rows)


def _ahead(connection: sa.Connection, job: Job) -> int:
    """How many wait before a job."""
    which = {"job_id": job.id, "model": job.model, "rank": job.priority.rank, "lap": job.lap}
    return int(connection.execute(_AHEAD, which).scalar_one())


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
