"""The port to what keeps the line: it hands each ticket to one worker, in order.

The job store says what a job is; an engine only says whose turn it is. `job_engine_dbos.py`
keeps the line in the database, `job_engine_memory.py` in this process.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

from gateway.jobs.job import Ticket

Run = Callable[[Ticket], Awaitable[None]]
"""Works on a ticket to its end. It does not raise; when it returns, the ticket is used up."""


class JobEngine(Protocol):
    """Every method may raise `StoreUnavailableError`."""

    async def start(self, run: Run | None) -> None:
        """Begin; with `run` this process works on tickets, those it had before it died first."""
        ...

    async def enqueue(self, ticket: Ticket) -> None:
        """Put a ticket in line; one that is in line already stays where it is."""
        ...

    async def claimed_by(self, workers: Collection[str]) -> list[Ticket]:
        """Tickets that these workers took and have not used up."""
        ...

    async def lost(self, tickets: Collection[Ticket]) -> list[Ticket]:
        """Which of these neither wait nor are being worked on."""
        ...

    async def forget_used(self, *, older_than_s: float) -> None:
        """Drop what is still known of tickets that were used up so long ago."""
        ...

    async def pace(self, *, quiet: bool) -> None:
        """Whether nothing has been in line for a while: then it may look less often."""
        ...

    async def stop(self, *, drain_s: float) -> None:
        """Take no more tickets, and wait up to `drain_s` for those at work."""
        ...
