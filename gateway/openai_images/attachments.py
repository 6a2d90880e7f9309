"""Requests that wait for the same job: a retry joins, and the last to leave cancels it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.errors import NotFoundError
from gateway.jobs.job import Job
from gateway.jobs.job_desk import JobDesk

logger = logging.getLogger(__name__)
GRACE_S = 15.0
"""Longer than the pause an SDK makes before its retries (at most 8 s)."""


@dataclass
class _Attachment:
    job: asyncio.Task[Job]
    waiting: int = 0
    is_released: bool = False
    """The owner follows the job by its id; nobody needs to wait here."""


class Attachments:
    """Knows, by the digest of a request, the job that was made for it; of this gateway alone."""

    def __init__(self, jobs: JobDesk, *, grace_s: float = GRACE_S) -> None:
        self._jobs = jobs
        self._grace_s = grace_s
        self._by_digest: dict[str, _Attachment] = {}
        self._timers: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def attached(
        self, digest: str, submit: Callable[[], Awaitable[Job]], *, is_retry: bool
    ) -> AsyncIterator[Job]:
        """The job of a request, submitted unless this is a retry of one that has it already."""
        attachment = self._by_digest.get(digest) if is_retry else None
        if attachment is None:
            attachment = _Attachment(asyncio.ensure_future(submit()))
            self._by_digest[digest] = attachment
        attachment.waiting += 1
        try:
            # A client that leaves while its job is being accepted must not take a retry's along.
            yield await asyncio.shield(attachment.job)
        finally:
            attachment.waiting -= 1
            if not attachment.waiting:
                self._leave_later(digest, attachment)

    def release(self, digest: str) -> None:
        """Let the job run on when nobody waits here."""
        if digest in self._by_digest:
            self._by_digest[digest].is_released = True

    def _leave_later(self, digest: str, attachment: _Attachment) -> None:
        timer = asyncio.create_task(self._leave(digest, attachment))
        self._timers.add(timer)
        timer.add_done_callback(self._timers.discard)

    async def _leave(self, digest: str, attachment: _Attachment) -> None:
        """After the pause for retries, cancel what nobody came back for."""
        if attachment.job.done() and not attachment.job.cancelled():
            attachment.job.exception()  # seen by whoever waited
        await asyncio.sleep(self._grace_s)
        if attachment.waiting:
            return
        if self._by_digest.get(digest) is attachment:
            del self._by_digest[digest]
        if not attachment.is_released:
            await self._cancel(attachment)

    async def _cancel(self, attachment: _Attachment) -> None:
        try:
            job = await attachment.job
            await self._jobs.cancel(job.id)
        except NotFoundError:
            return
        except Exception as error:
            logger.debug("no job to cancel: %s", error)

    async def close(self) -> None:
        """Forget everything; jobs are left to their queue."""
        for timer in self._timers:
            timer.cancel()
        await asyncio.gather(*self._timers, return_exceptions=True)
