"""A job that this process puts in line begins at once, however seldom the line is looked at."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.jobs.job import Ticket
from gateway.jobs.job_engine_dbos import DbosEngine

pytestmark = pytest.mark.timeout(60)
SELDOM_S = 30.0
SOON_S = 10.0


async def test_what_is_put_in_line_here_is_begun_long_before_the_next_look(tmp_path: Path) -> None:
    begun: asyncio.Queue[str] = asyncio.Queue()

    async def run(ticket: Ticket) -> None:
        begun.put_nowait(ticket.job_id)

    engine = DbosEngine(
        f"sqlite:///{tmp_path}/jobs.db",
        worker_id="w",
        models=["one", "other"],
        jobs_per_model=1,
        polling_s=SELDOM_S,
    )
    await engine.start(run)
    for job_id, model in [("a", "one"), ("b", "one"), ("c", "other")]:
        await engine.enqueue(Ticket(job_id, 1, model, 1))
        async with asyncio.timeout(SOON_S):
            assert await begun.get() == job_id
        await asyncio.sleep(0.2)  # its end is written: the one place is free
    async with asyncio.timeout(SOON_S):
        await engine.stop(drain_s=0)
