"""What jobs took, kept to foretell what others will take."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from gateway.jobs.job import JobStatus
from gateway.jobs.job_database import JobDatabase
from gateway.jobs.job_eta import LiveJob, Observation, Workload
from gateway.jobs.job_rows import LIVE
from gateway.jobs.job_tables import durations, jobs, workers

KEPT = 200
"""Durations remembered of each model, newest first."""
_MOST_LIVE = 2000

NEEDED = (
    jobs.c.task,
    jobs.c.model,
    jobs.c.request,
    jobs.c.attempts,
    jobs.c.ticket,
    jobs.c.started_at,
    jobs.c.completed_at,
)
"""Of a job that has ended, for `note`."""
_RUNNING = sa.select(sa.func.count()).where(
    jobs.c.model == sa.bindparam("model"), jobs.c.status == JobStatus.RUNNING.value
)
_NEW_DURATION = durations.insert()


@dataclass(frozen=True)
class Line:
    """The jobs of one model that have not ended, and what its jobs took."""

    live: tuple[LiveJob, ...]
    """In the order of their turns."""
    observed: tuple[Observation, ...]
    """Newest first."""


@dataclass(frozen=True)
class Lines:
    """What is known for a forecast."""

    by_model: Mapping[str, Line]
    workers: int
    """Those that were seen lately."""


def note(connection: sa.Connection, row: sa.Row[Any]) -> None:
    """Remember what a job took that has just succeeded, unless it was started twice.

    Args:
        connection: the transaction that ended it.
        row: its `NEEDED` columns.
    """
    if row.attempts != 1 or row.ticket != 1:
        return
    load = Workload.of(row.task, row.request)
    beside = connection.execute(_RUNNING, {"model": row.model}).scalar_one()
    connection.execute(
        _NEW_DURATION,
        {
            "model": row.model,
            "task": load.task,
            "pixels": load.pixels,
            "steps": load.steps,
            "pictures": load.pictures,
            "guided": load.guided,
            "beside": beside,
            "seconds": max(0.0, row.completed_at - row.started_at),
        },
    )


def forget_old(database: JobDatabase) -> None:
    """Keep the newest ones of each model."""
    newest = sa.func.row_number().over(
        partition_by=durations.c.model, order_by=durations.c.seq.desc()
    )
    ranked = sa.select(durations.c.seq, newest.label("place")).subquery()
    old = sa.select(ranked.c.seq).where(ranked.c.place > KEPT)
    with database.writing() as connection:
        connection.execute(durations.delete().where(durations.c.seq.in_(old)))


def lines(database: JobDatabase, *, seen_within_s: float) -> Lines:
    """All models' lines, in one consistent view."""
    now = time.time()
    seen = sa.select(sa.func.count()).where(workers.c.seen_at > now - seen_within_s)
    with database.reading() as connection:
        live = _live(connection, now)
        observed = _observed(connection) if live else {}
        return Lines(
            {
                model: Line(tuple(row), tuple(observed.get(model, ())))
                for model, row in live.items()
            },
            int(connection.execute(seen).scalar_one()),
        )


def _live(connection: sa.Connection, now: float) -> dict[str, list[LiveJob]]:
    columns = (jobs.c.id, jobs.c.task, jobs.c.model, jobs.c.request, jobs.c.status)
    how_far = (
        jobs.c.started_at,
        jobs.c.attempts,
        jobs.c.ticket,
        jobs.c.step,
        jobs.c.total_steps,
    )
    query = (
        sa.select(*columns, *how_far)
        .where(LIVE)
        .order_by(jobs.c.status.desc(), jobs.c.rank, jobs.c.lap, jobs.c.seq)
        .limit(_MOST_LIVE)
    )
    found: defaultdict[str, list[LiveJob]] = defaultdict(list)
    for row in connection.execute(query):
        found[row.model].append(_live_job(row, now))
    return found


def _live_job(row: Any, now: float) -> LiveJob:
    load = Workload.of(row.task, row.request)
    if row.status == JobStatus.QUEUED.value:
        return LiveJob(row.id, load)
    if row.attempts > 1 or row.ticket > 1:  # when this start was is not kept
        return LiveJob(row.id, load, elapsed_s=0.0)
    elapsed_s = max(0.0, now - row.started_at)
    return LiveJob(row.id, load, elapsed_s, step=row.step, total_steps=row.total_steps)


def _observed(connection: sa.Connection) -> dict[str, list[Observation]]:
    found: defaultdict[str, list[Observation]] = defaultdict(list)
    for row in connection.execute(sa.select(durations).order_by(durations.c.seq.desc())):
        if len(found[row.model]) < KEPT:
            load = Workload(row.task, row.pixels, row.steps, row.pictures, row.guided)
            found[row.model].append(Observation(load, row.beside, row.seconds))
    return found
