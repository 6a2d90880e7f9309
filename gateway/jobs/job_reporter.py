"""How a job at work tells how it gets on: progress now and then, the last step always."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

from gateway.jobs import job_store
from gateway.jobs.job import Fence, JobEvent, JobStatus
from gateway.jobs.job_changes import Heard, JobChanges
from gateway.jobs.job_database import JobDatabase
from gateway.jobs.job_lookup import Change

logger = logging.getLogger(__name__)


class JobReporter:
    """Through it a runner tells how its job gets on; it returns at once, the writing follows."""

    def __init__(
        self, database: JobDatabase, changes: JobChanges, fence: Fence, *, interval_s: float
    ) -> None:
        self._database = database
        self._changes = changes
        self._fence = fence
        self._interval_s = interval_s
        self._last = float("-inf")
        self._unwritten: asyncio.Queue[tuple[str, Mapping[str, Any], dict[str, Any]]] = (
            asyncio.Queue()
        )

    def step_done(self, step: int, total_steps: int) -> None:
        """`step` of `total_steps` is done; one soon after another is left out, but not the last."""
        now = time.monotonic()
        if step < total_steps and now - self._last < self._interval_s:
            return
        self._last = now
        progress = round(0.99 * step / total_steps, 4) if total_steps else 0.0
        columns = {"step": step, "total_steps": total_steps}
        self._unwritten.put_nowait(("progress", columns | {"progress": progress}, columns))

    def preview(self, data: Mapping[str, Any]) -> None:
        """A picture of the unfinished state."""
        self._unwritten.put_nowait(("preview", data, {}))

    async def write(self) -> None:
        """Write what is reported, until canceled."""
        while True:
            name, data, columns = await self._unwritten.get()
            try:
                number = await self._database.insist(
                    job_store.record, self._fence, name, data, **columns
                )
                self._tell(number, name, data)
            except Exception:
                # What is lost is a step on the way; the end is written by another hand.
                logger.exception("progress not written", extra={"event": "job_progress_lost"})
            finally:
                self._unwritten.task_done()

    def _tell(self, number: int | None, name: str, data: Mapping[str, Any]) -> None:
        fence = self._fence
        if number is None:  # it is another's by now
            self._changes.wake(fence.job_id, Heard.PROGRESS)
            return
        change = Change(number, JobStatus.RUNNING, fence.ticket, fence.attempt)
        self._changes.tell(fence.job_id, JobEvent(number, name, data), change)

    async def written(self) -> None:
        """Until everything reported so far is written."""
        await self._unwritten.join()
