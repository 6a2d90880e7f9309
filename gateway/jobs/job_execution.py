"""One worker's hands: takes a ticket, runs the job, writes down how it ended.

A job may be run twice: its worker died, or was taken for dead. It ends once: what a run writes
counts only while its `Fence` holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.errors import (
    InferenceError,
    InferenceTimeoutError,
    ModelUnavailableError,
    RetouchError,
)
from gateway.jobs import job_lookup, job_store
from gateway.jobs.job import Fence, Job, JobFailure, JobResult, JobStatus, Ticket
from gateway.jobs.job_changes import Heard, JobChanges
from gateway.jobs.job_database import JobDatabase
from gateway.jobs.job_lookup import Change
from gateway.jobs.job_reporter import JobReporter
from gateway.jobs.job_time import time_left

logger = logging.getLogger(__name__)
Runner = Callable[[Job, JobReporter], Awaitable[JobResult]]
UntilReady = Callable[[str, bool], Awaitable[bool]]
"""Waits until a model can be asked; with True, until it has proven so since now.
Says whether it was down."""


@dataclass(frozen=True, kw_only=True)
class ExecutionLimits:
    """How often and how long."""

    max_attempts: int = 3
    """Starts of a job, those after the death of what it ran on included."""
    progress_interval_s: float = 0.25
    """Time between two progress events of a job."""
    recovery_s: float = 120.0
    """How long a job waits for its model before it tries regardless."""


class JobExecution:
    """Runs the jobs whose tickets this process gets."""

    def __init__(
        self,
        runner: Runner,
        database: JobDatabase,
        changes: JobChanges,
        *,
        worker_id: str,
        limits: ExecutionLimits,
        until_ready: UntilReady,
    ) -> None:
        self._runner = runner
        self._database = database
        self._changes = changes
        self._worker_id = worker_id
        self._limits = limits
        self._until_ready = until_ready
        self._at_work: dict[Ticket, asyncio.Task[None]] = {}
        self._refusing = asyncio.Event()

    async def run(self, ticket: Ticket) -> None:
        """Work on a ticket until its job has ended, or is not ours any more."""
        if self._refusing.is_set():
            await self._hand_back(ticket, refund=False)
            return
        mine = self._at_work[ticket] = asyncio.create_task(self._attempts(ticket))
        try:
            await mine
        except asyncio.CancelledError:
            if not self._refusing.is_set():
                raise
            await self._hand_back(ticket, refund=True)
        except Exception:
            logger.exception("a job could not be run", extra={"event": "job_lost"})
        finally:
            mine.cancel()
            del self._at_work[ticket]

    @property
    def is_busy(self) -> bool:
        """Whether a job is at work here."""
        return bool(self._at_work)

    def refuse(self) -> None:
        """From now on tickets go back at once."""
        self._refusing.set()

    async def drain(self, drain_s: float) -> None:
        """Let what is at work end within `drain_s`; put the rest in line again."""
        if self._at_work and drain_s:
            await asyncio.wait(self._at_work.values(), timeout=drain_s)
        for task in self._at_work.values():
            task.cancel()

    async def _hand_back(self, ticket: Ticket, *, refund: bool) -> None:
        with contextlib.suppress(RetouchError):  # else the next start with this id recovers it
            await self._database.call(
                job_store.put_in_line_again, ticket.job_id, ticket=ticket.number, refund=refund
            )
            self._changes.wake(ticket.job_id, Heard.CHANGE)

    async def _attempts(self, ticket: Ticket) -> None:
        again = False
        while True:
            await self._was_down(ticket.model, again)
            job = await self._database.insist(
                job_store.begin, ticket, self._worker_id, max_attempts=self._limits.max_attempts
            )
            self._changes.wake(ticket.job_id, Heard.END if job is None else Heard.CHANGE)
            if job is None or not await self._attempt(job):
                return
            again = True

    async def _attempt(self, job: Job) -> bool:
        """Run the job once; whether it is to be tried again."""
        fence = Fence(job.id, job.ticket, job.attempts)
        interval_s = self._limits.progress_interval_s
        report = JobReporter(self._database, self._changes, fence, interval_s=interval_s)
        helpers = [asyncio.create_task(report.write())]
        work = asyncio.create_task(self._in_time(job, report))
        helpers.append(asyncio.create_task(self._cancel_when_lost(fence, work)))
        try:
            await asyncio.wait({work})
            if work.cancelled():  # someone canceled the job, or another worker has it
                return False
            await report.written()
            return await self._conclude(job, fence, work)
        finally:
            for task in (work, *helpers):
                task.cancel()
            await asyncio.gather(work, *helpers, return_exceptions=True)

    async def _conclude(self, job: Job, fence: Fence, work: asyncio.Task[JobResult]) -> bool:
        error = work.exception()
        if error is None:
            await self._end(fence, JobStatus.SUCCEEDED, result=work.result())
            return False
        if job.attempts < self._limits.max_attempts and await self._is_passing(error, job):
            logger.warning("job %s is tried again: %s", job.id, error, extra={"event": "job_again"})
            return True
        if not isinstance(error, RetouchError):
            logger.error(
                "job failed", exc_info=error, extra={"event": "job_failed", "job_id": job.id}
            )
        await self._end(fence, JobStatus.FAILED, failure=_failure(error))
        return False

    async def _is_passing(self, error: BaseException, job: Job) -> bool:
        """Whether the job may succeed next time: what it ran on died."""
        if isinstance(error, ModelUnavailableError):
            return True
        # A stage that died under its pipeline shows as an error of the pipeline.
        return type(error) is InferenceError and await self._was_down(job.model, True)

    async def _was_down(self, model: str, again: bool) -> bool:
        try:
            async with asyncio.timeout(self._limits.recovery_s):
                return await self._until_ready(model, again)
        except TimeoutError:
            return True

    async def _end(
        self,
        fence: Fence,
        status: JobStatus,
        *,
        result: JobResult | None = None,
        failure: JobFailure | None = None,
    ) -> None:
        await self._database.insist(
            job_store.end,
            fence.job_id,
            status,
            result=result or JobResult(output=()),
            failure=failure,
            fence=fence,
        )
        self._changes.wake(fence.job_id, Heard.END)

    async def _in_time(self, job: Job, report: JobReporter) -> JobResult:
        """Run the job within its deadline.

        Raises:
            InferenceTimeoutError: its deadline passed first; the work was canceled.
        """
        deadline = asyncio.timeout(time_left(job))
        try:
            async with deadline:
                return await self._runner(job, report)
        except TimeoutError:
            if not deadline.expired():
                raise
            raise InferenceTimeoutError(too_late(job.deadline_s)) from None

    async def _cancel_when_lost(self, fence: Fence, work: asyncio.Task[JobResult]) -> None:
        with self._changes.subscription(fence.job_id, least=Heard.CHANGE) as subscription:
            while not work.done():
                seen = await subscription.wait()
                if not await self._still_holds(fence, seen):
                    work.cancel()
                    return

    async def _still_holds(self, fence: Fence, change: Change | None) -> bool:
        if change is None:
            try:
                found = await self._database.call(job_lookup.changes, [fence.job_id])
            except RetouchError:  # nothing is known: go on
                return True
            change = found.get(fence.job_id)
        return change is not None and (change.status, change.ticket, change.attempts) == (
            JobStatus.RUNNING,
            fence.ticket,
            fence.attempt,
        )


def too_late(deadline_s: float | None) -> str:
    """The sentence for a job whose deadline passed."""
    return f"The job was not finished within its deadline of {deadline_s or 0:g} s."


def _failure(error: BaseException) -> JobFailure:
    if isinstance(error, RetouchError):
        return JobFailure(error.code, error.message, error.status)
    return JobFailure("internal_error", "The gateway failed; its log says why.")
