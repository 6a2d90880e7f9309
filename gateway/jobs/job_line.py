"""The way of accepted jobs into the engine's line: at once, or later when that fails."""

from __future__ import annotations

import asyncio
import logging

from gateway.errors import RetouchError, StoreUnavailableError
from gateway.jobs import job_housekeeping, job_store
from gateway.jobs.job import Ticket
from gateway.jobs.job_database import JobDatabase
from gateway.jobs.job_engine import JobEngine, Run

logger = logging.getLogger(__name__)
_ENQUEUE_TIMEOUT_S = 5.0


class JobLine:
    """Tells the engine of tickets, and the store which ones the engine has."""

    def __init__(self, database: JobDatabase, engine: JobEngine) -> None:
        self._database = database
        self._engine = engine
        self._told: list[Ticket] = []
        """Put in line, which the store is to be told with others."""

    async def open(self, run: Run | None) -> None:
        """Start the engine, as soon as its database answers."""
        while True:
            try:
                return await self._engine.start(run)
            except StoreUnavailableError as error:  # it went away in between
                logger.warning("%s Trying again.", error.message, extra={"event": "store_retry"})
            await asyncio.sleep(1)

    async def put(self, ticket: Ticket) -> None:
        """Put a ticket in line; when that fails, `put_forgotten` does it: its job is accepted."""
        try:
            async with asyncio.timeout(_ENQUEUE_TIMEOUT_S):
                await self._engine.enqueue(ticket)
            self._told.append(ticket)
        except (TimeoutError, RetouchError):
            logger.warning("job %s enters the line later", ticket.job_id)

    async def put_forgotten(self) -> None:
        """Put in line what was accepted, or handed back, by a process that then died."""
        told, self._told = self._told, []
        if told:
            await self._database.call(job_store.note_in_line, told)
        tickets = await self._database.call(job_housekeeping.not_in_line)
        for ticket in tickets:
            await self._engine.enqueue(ticket)
        if tickets:
            await self._database.call(job_store.note_in_line, tickets)
