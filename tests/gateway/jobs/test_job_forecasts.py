"""Nobody waits for a forecast while there is one that will do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.errors import StoreUnavailableError
from gateway.jobs import job_forecasts, job_submission
from gateway.jobs.job import NewJob
from gateway.jobs.job_database import JobDatabase
from gateway.jobs.job_forecasts import JobForecasts


class GatedDatabase(JobDatabase):
    """Answers only while it may, or fails."""

    fails = False

    def __init__(self) -> None:
        super().__init__("sqlite://")
        self.prepare()
        self.may = asyncio.Event()
        self.may.set()
        self.calls = 0

    async def call(self, *args: Any, **options: Any) -> Any:
        self.calls += 1
        await self.may.wait()
        if self.fails:
            raise StoreUnavailableError("The job database cannot be reached.")
        return await super().call(*args, **options)


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> GatedDatabase:
    """With a job in line; the latest forecast is too old at once."""
    monkeypatch.setattr(job_forecasts, "_HOLDS_S", 0.0)
    monkeypatch.setattr(job_forecasts, "_SHARE_OF_TIME", 1e9)
    return GatedDatabase()


def submit(database: JobDatabase) -> str:
    new = NewJob(task="generate", model="m", request={"n": 1})
    return job_submission.submit(database, new, once=None, max_queued=9, keep_s=60).job.id


async def test_the_latest_serves_while_the_next_one_is_made(database: GatedDatabase) -> None:
    job_id = submit(database)
    forecasts = JobForecasts(database, jobs_per_model=1, worker_seen_within_s=60)
    await forecasts.eta(job_id)
    database.may.clear()
    async with asyncio.timeout(10):
        await asyncio.gather(*(forecasts.eta(job_id) for _ in range(10)))
        await asyncio.sleep(0)
        assert database.calls == 2, "one makes the next"
        database.may.set()
        await forecasts.close()
    database.close()


async def test_one_that_is_far_too_old_serves_nobody(
    database: GatedDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_forecasts, "_WHILE_MADE_ANEW_S", 0.0)
    job_id = submit(database)
    forecasts = JobForecasts(database, jobs_per_model=1, worker_seen_within_s=60)
    await forecasts.eta(job_id)
    database.fails = True
    with pytest.raises(StoreUnavailableError):
        await forecasts.eta(job_id)
    database.close()


async def test_a_store_that_is_away_is_told_once_the_latest_is_too_old(
    database: GatedDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = submit(database)
    forecasts = JobForecasts(database, jobs_per_model=1, worker_seen_within_s=60)
    await forecasts.eta(job_id)
    database.fails = True
    await forecasts.eta(job_id)
    await forecasts.close()
    monkeypatch.setattr(job_forecasts, "_WHILE_MADE_ANEW_S", 0.0)
    with pytest.raises(StoreUnavailableError):
        await forecasts.eta(job_id)
    database.close()
