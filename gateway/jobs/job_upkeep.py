"""What every process does besides: it mends what others left half done when they died.

Each round is safe to run in every gateway and worker at once: it only makes changes that hold
for the ticket it looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.errors import RetouchError
from gateway.jobs import job_durations, job_housekeeping, job_store
from gateway.jobs.job import JobFailure, JobStatus, Ticket
from gateway.jobs.job_changes import Heard, JobChanges
from gateway.jobs.job_database import JobDatabase
from gateway.jobs.job_engine import JobEngine
from gateway.jobs.job_execution import too_late
from gateway.jobs.job_line import JobLine

logger = logging.getLogger(__name__)
_KEEP_USED_TICKETS_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class UpkeepLimits:
    """How often and how long."""

    period_s: float = 1.0
    """Time between two rounds; a worker is seen to live in each."""
    lost_after_s: float = 60.0
    """A worker not seen for so long is taken for dead, and its jobs go to others."""
    quiet_after_s: float = 60.0
    """When no job has been live for so long, the line is looked at less often."""
    check_line_s: float = 10.0
    """Time between two checks that every waiting job is in the engine's line."""
    retention_s: float = 60.0
    """Time between two looks for jobs that have expired."""
    max_kept: int = 10_000
    """Ended jobs remembered, newest first."""


class JobUpkeep:
    """One background task."""

    def __init__(
        self,
        database: JobDatabase,
        engine: JobEngine,
        line: JobLine,
        changes: JobChanges,
        *,
        worker_id: str | None,
        limits: UpkeepLimits,
    ) -> None:
        self._database = database
        self._engine = engine
        self._line = line
        self._changes = changes
        self._worker_id = worker_id
        self._limits = limits
        self._task: asyncio.Task[None] | None = None
        self._suspects: set[Ticket] = set()
        self._line_checked_at = time.monotonic()
        self._swept_at = time.monotonic()
        self._live_at = time.monotonic()
        self._reached_since = time.monotonic()

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._rounds(), name="job-upkeep")

    async def stop(self) -> None:
        """Stop, and say goodbye."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._worker_id is not None:
            with contextlib.suppress(RetouchError):
                await self._database.call(job_housekeeping.forget_workers, [self._worker_id])

    async def _rounds(self) -> None:
        while True:
            for part in (
                self._beat,
                self._line.put_forgotten,
                self._end_late_jobs,
                self._take_over,
                self._check_line,
                self._pace,
                self._sweep,
            ):
                await self._guarded(part)
            await asyncio.sleep(self._limits.period_s)

    async def _guarded(self, part: Callable[[], Awaitable[None]]) -> None:
        try:
            await part()
        except RetouchError as error:
            self._reached_since = time.monotonic()
            logger.warning("upkeep: %s", error.message, extra={"event": "job_upkeep"})
        except Exception:
            self._reached_since = time.monotonic()
            logger.exception("upkeep failed", extra={"event": "job_upkeep"})

    async def _beat(self) -> None:
        if self._worker_id is not None:
            await self._database.call(job_housekeeping.beat, self._worker_id)

    async def _end_late_jobs(self) -> None:
        late = await self._database.call(job_housekeeping.past_deadline)
        for job_id, deadline_s in late:
            failure = JobFailure("deadline_exceeded", too_late(deadline_s), 504)
            await self._database.call(job_store.end, job_id, JobStatus.FAILED, failure=failure)
            self._changes.wake(job_id, Heard.END)

    async def _take_over(self) -> None:
        """Put in line again what dead workers had.

        While the database was away nobody could be seen: wait until all had time to be.
        """
        patience_s = self._limits.lost_after_s
        if time.monotonic() - self._reached_since < patience_s:
            return
        dead = await self._database.call(job_housekeeping.unseen_workers, patience_s)
        if not dead:
            return
        tickets = await self._engine.claimed_by(dead)
        for ticket in tickets:
            await self._again(ticket, "its worker is gone")
        await self._database.call(job_housekeeping.forget_workers, dead)

    async def _check_line(self) -> None:
        """Put in line again what the engine has lost, e.g. when its tables came from a backup."""
        if time.monotonic() - self._line_checked_at < self._limits.check_line_s:
            return
        self._line_checked_at = time.monotonic()
        tickets = await self._database.call(job_housekeeping.live_tickets)
        lost = set(await self._engine.lost(tickets)) if tickets else set()
        for ticket in lost & self._suspects:  # twice in a row: not just between two states
            await self._again(ticket, "it was not in line")
        self._suspects = lost

    async def _pace(self) -> None:
        if await self._database.call(job_housekeeping.any_live):
            self._live_at = time.monotonic()
        quiet_s = time.monotonic() - self._live_at
        await self._engine.pace(quiet=quiet_s > self._limits.quiet_after_s)

    async def _again(self, ticket: Ticket, why: str) -> None:
        if await self._database.call(
            job_store.put_in_line_again, ticket.job_id, ticket=ticket.number
        ):
            logger.warning("job %s starts again: %s", ticket.job_id, why)
            self._changes.wake(ticket.job_id, Heard.CHANGE)

    async def _sweep(self) -> None:
        if time.monotonic() - self._swept_at < self._limits.retention_s:
            return
        self._swept_at = time.monotonic()
        await self._database.call(job_housekeeping.expire)
        await self._database.call(job_housekeeping.forget_oldest, self._limits.max_kept)
        await self._database.call(job_durations.forget_old)
        await self._engine.forget_used(older_than_s=_KEEP_USED_TICKETS_S)
