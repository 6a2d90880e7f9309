"""Opens the job queue that the settings describe."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from gateway.inference import PIPELINE_MODELS
from gateway.jobs.job_database import JobDatabase
from gateway.jobs.job_engine import JobEngine
from gateway.jobs.job_engine_dbos import DbosEngine
from gateway.jobs.job_execution import ExecutionLimits, Runner, UntilReady
from gateway.jobs.job_queue import JobLimits, JobQueue
from gateway.jobs.job_upkeep import UpkeepLimits
from gateway.model_catalog import ModelCatalog
from gateway.settings import Settings

_ROUNDS_OF_PROOF = 2
"""A round of canaries may have asked a model just before it died; the next one has not."""
_LOOK_S = 0.1


def open_queue(
    settings: Settings,
    runner: Runner,
    catalog: ModelCatalog,
    *,
    database: JobDatabase | None = None,
    engine: JobEngine | None = None,
    works: bool = True,
) -> JobQueue:
    """The queue in the job database; `engine` replaces the one that keeps its line."""
    engine = engine or DbosEngine(
        settings.job_database_url,
        worker_id=settings.worker_id,
        models=PIPELINE_MODELS,
        jobs_per_model=settings.jobs_per_model,
    )
    return JobQueue(
        runner,
        database=database or open_database(settings),
        engine=engine,
        worker_id=settings.worker_id,
        limits=_limits(settings),
        works=works,
        until_ready=_until_ready(catalog),
    )


def open_database(settings: Settings) -> JobDatabase:
    """The job database, with threads to wait for it."""
    threads = ThreadPoolExecutor(8, "job-store")
    return JobDatabase(settings.job_database_url, executor=threads)


def _limits(settings: Settings) -> JobLimits:
    return JobLimits(
        max_queued=settings.max_queued_jobs,
        jobs_per_model=settings.jobs_per_model,
        keep_s=settings.job_ttl_s,
        drain_s=settings.drain_s,
        execution=ExecutionLimits(
            max_attempts=settings.max_job_attempts,
            progress_interval_s=settings.progress_interval_s,
        ),
        upkeep=UpkeepLimits(
            lost_after_s=settings.worker_lost_after_s,
            retention_s=settings.retention_interval_s,
            max_kept=settings.max_kept_jobs,
        ),
    )


def _until_ready(catalog: ModelCatalog) -> UntilReady:
    async def until_ready(model: str, again: bool) -> bool:
        was_down = False
        rounds = catalog.rounds + (_ROUNDS_OF_PROOF if again else 0)
        while catalog.rounds < rounds or not _is_ready(model, again):
            was_down |= not _is_ready(model, again)
            await asyncio.sleep(_LOOK_S)
        return was_down

    def _is_ready(model: str, again: bool) -> bool:
        entry = catalog.get(model)
        return entry is not None and entry.ready and (catalog.ready or not again)

    return until_ready
