"""A line in this process's memory, for tests and for work on the HTTP side."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from gateway.jobs.job import Ticket
from gateway.jobs.job_engine import Run
from gateway.painting.turns import Turns


class MemoryEngine:
    """Takes `jobs_per_model` tickets of each model at a time."""

    def __init__(self, *, jobs_per_model: int) -> None:
        self._jobs_per_model = jobs_per_model
        self._turns: dict[str, Turns] = {}
        self._tasks: dict[Ticket, asyncio.Task[None]] = {}
        self._run: Run | None = None

    async def start(self, run: Run | None) -> None:
        """Begin."""
        self._run = run

    async def enqueue(self, ticket: Ticket) -> None:
        """Put a ticket in line."""
        if ticket in self._tasks or self._run is None:
            return
        running = self._tasks[ticket] = asyncio.create_task(self._work_on(ticket, self._run))
        # Not in `_work_on`: a task canceled before its first step runs none of its code.
        running.add_done_callback(lambda _: self._tasks.pop(ticket, None))

    async def claimed_by(self, workers: Collection[str]) -> list[Ticket]:  # noqa: ARG002
        """None: there is no other worker."""
        return []

    async def lost(self, tickets: Collection[Ticket]) -> list[Ticket]:
        """Those it does not hold."""
        return [ticket for ticket in tickets if ticket not in self._tasks]

    async def forget_used(self, *, older_than_s: float) -> None:
        """Nothing is known of them."""

    async def pace(self, *, quiet: bool) -> None:
        """It does not look: it is told."""

    async def stop(self, *, drain_s: float) -> None:
        """Give those at work their time, then cancel."""
        self._run = None
        if self._tasks and drain_s:
            await asyncio.wait(self._tasks.values(), timeout=drain_s)
        for task in list(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _work_on(self, ticket: Ticket, run: Run) -> None:
        turns = self._turns.setdefault(ticket.model, Turns(self._jobs_per_model))
        async with turns.turn(ticket.order):
            await run(ticket)
