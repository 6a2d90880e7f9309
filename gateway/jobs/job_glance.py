"""What clients that poll cost the database: one look at all jobs they ask for at a time."""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from gateway.errors import NotFoundError
from gateway.jobs.job import Job, JobStatus
from gateway.jobs.job_database import JobDatabase
from gateway.jobs.job_lookup import Change, change_of, latest_rows, marks
from gateway.jobs.job_rows import job_of, waits_before, whole_job
from gateway.jobs.job_tables import jobs
from gateway.jobs.live_jobs import LiveJobs, Standing

_AT_MOST_EVERY_S = 0.05
_MOST_KNOWN = 512
_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class Glance:
    """A job at one moment."""

    job: Job
    queue_position: int | None
    """How many jobs of its model wait before it; None when it does not wait."""
    change: Change
    """Its mark: while this is the same, so is the job."""


def _position() -> sa.Label[int | None]:
    others = jobs.alias("others")
    turn = sa.tuple_(jobs.c.rank, jobs.c.lap, jobs.c.seq)
    ahead = (
        sa.select(sa.func.count())
        .select_from(others)
        .where(waits_before(others, jobs.c.model, turn))
        .correlate(jobs)
        .scalar_subquery()
    )
    return sa.case((jobs.c.status == JobStatus.QUEUED.value, ahead)).label("queue_position")


_ASKED = jobs.c.id.in_(sa.bindparam("job_ids", expanding=True))
_POSITIONS = marks.add_columns(_position()).where(_ASKED)
_WITH_POSITION = whole_job.add_columns(_position())
_WHOLE = whole_job.where(_ASKED)
"""All built once: putting them together costs more than the database takes to answer them."""


def glances(
    database: JobDatabase, job_ids: Collection[str], known: Mapping[str, Glance], live: LiveJobs
) -> dict[str, Glance]:
    """The jobs as they are now; those that are not there are left out.

    Of those that have not changed since `known`, their place in line alone is read.
    """
    standings = live.of(database, job_ids)
    others = [job_id for job_id in job_ids if job_id not in standings]
    found = _unchanged(standings, known)
    if others or len(found) < len(standings):
        with database.reading() as connection:
            if others:
                standings |= _standings(connection, others)
                found = _unchanged(standings, known)
            jobs_read = _whole(connection, standings.keys() - found.keys())
        # What was read later may be newer: one that is gone by then is left out.
        found |= {
            job_id: _glance(job, standings[job_id].queue_position, standings[job_id].change)
            for job_id, job in jobs_read.items()
        }
    return found


def _standings(connection: sa.Connection, job_ids: list[str]) -> dict[str, Standing]:
    rows = connection.execute(_POSITIONS, {"job_ids": job_ids})
    return {row.id: Standing(change_of(row), row.queue_position) for row in rows}


def _unchanged(standings: Mapping[str, Standing], known: Mapping[str, Glance]) -> dict[str, Glance]:
    found: dict[str, Glance] = {}
    for job_id, standing in standings.items():
        seen = known.get(job_id)
        if seen is None or seen.change != standing.change:
            continue
        if seen.queue_position != standing.queue_position:
            seen = _glance(seen.job, standing.queue_position, standing.change)
        found[job_id] = seen
    return found


def latest(
    database: JobDatabase,
    *,
    status: JobStatus | None,
    limit: int,
    after: str | None,
    owner: str | None,
) -> list[Glance]:
    """Newest first, each with its place; `after` continues behind that job."""
    asked = {"status": status, "limit": limit, "after": after, "owner": owner}
    rows = latest_rows(database, _WITH_POSITION, **asked)  # type: ignore[arg-type]
    return [
        _glance(
            job_of(row),
            row.queue_position,
            Change(row.events, JobStatus(row.status), row.ticket, row.attempts),
        )
        for row in rows
    ]


def _glance(job: Job, position: int | None, change: Change) -> Glance:
    # Put in line again since its place was read, it is about to have its turn.
    return Glance(job, (position or 0) if job.status is JobStatus.QUEUED else None, change)


def _whole(connection: sa.Connection, job_ids: Collection[str]) -> dict[str, Job]:
    if not job_ids:
        return {}
    return {row.id: job_of(row) for row in connection.execute(_WHOLE, {"job_ids": list(job_ids)})}


class JobGlances:
    """Looks for all who ask in this process; what it shows was read after it was asked for."""

    def __init__(self, database: JobDatabase, live: LiveJobs) -> None:
        self._database = database
        self._live = live
        self._waiting: list[tuple[str, asyncio.Future[Glance | None]]] = []
        self._known: OrderedDict[str, Glance] = OrderedDict()
        self._looking: asyncio.Task[None] | None = None
        self._looked_at = float("-inf")

    async def glance(self, job_id: str) -> Glance:
        """The job as it is now, and its place.

        Raises:
            NotFoundError: no such job.
            StoreUnavailableError: the database does not answer.
        """
        seen = None
        if _JOB_ID.fullmatch(job_id):
            answer: asyncio.Future[Glance | None] = asyncio.get_running_loop().create_future()
            self._waiting.append((job_id, answer))
            self._looking = self._looking or asyncio.create_task(self._look(), name="job-glances")
            seen = await answer
        if seen is None:
            raise NotFoundError(f"There is no job {job_id[:80]!r}.")
        return seen

    async def _look(self) -> None:
        try:
            while self._waiting:
                await self._since_the_last_look(_AT_MOST_EVERY_S)
                self._looked_at = asyncio.get_running_loop().time()
                asked, self._waiting = self._waiting, []
                await self._answer(asked)
        finally:
            self._looking = None

    async def _since_the_last_look(self, seconds: float) -> None:
        pause_s = self._looked_at + seconds - asyncio.get_running_loop().time()
        if pause_s > 0:
            await asyncio.sleep(pause_s)

    async def _answer(self, asked: list[tuple[str, asyncio.Future[Glance | None]]]) -> None:
        job_ids = {job_id for job_id, _ in asked}
        known = {job_id: self._known[job_id] for job_id in job_ids if job_id in self._known}
        found: dict[str, Glance] = {}
        error: Exception | None = None
        try:
            found = await self._database.call(glances, job_ids, known, self._live)
        except Exception as problem:  # those who asked raise it
            error = problem
        for job_id, answer in asked:
            if answer.done():  # nobody waits any more
                continue
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(found.get(job_id))
        self._remember(found)

    def _remember(self, found: Mapping[str, Glance]) -> None:
        for job_id, seen in found.items():
            self._known[job_id] = seen
            self._known.move_to_end(job_id)
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)
