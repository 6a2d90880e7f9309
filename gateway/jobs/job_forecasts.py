"""When jobs will end: one look at the store a second, however many ask."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from dataclasses import dataclass, field

import numpy as np

from gateway.errors import RetouchError
from gateway.jobs import job_durations
from gateway.jobs.job_database import JobDatabase
from gateway.jobs.job_eta import Eta, forecast

_HOLDS_S = 1.0
_SHARE_OF_TIME = 0.01
"""Forecasts for jobs that the latest one knows take no more of it; they hold a second at least."""
_WHILE_MADE_ANEW_S = 1.0
"""So much longer the latest forecast serves, so that nobody waits for the next one."""
_SHARE_FOR_NEW = 0.1
"""The same for a job that it does not know yet."""
_LONGEST_RETRY_S = 60
_UNKNOWN_RETRY_S = 5


@dataclass(frozen=True)
class _Forecast:
    made_at: float
    cost_s: float
    etas: dict[str, Eta] = field(default_factory=dict)
    seen: frozenset[str] = frozenset()
    """Jobs that were there, foretold or not."""
    next_end_s: float | None = None
    """When the first job at work ends whose place another one waits for."""


class JobForecasts:
    """The latest forecast of this process."""

    def __init__(
        self, database: JobDatabase, *, jobs_per_model: int, worker_seen_within_s: float
    ) -> None:
        """`jobs_per_model`: how many of each model a worker runs at a time."""
        self._database = database
        self._jobs_per_model = jobs_per_model
        self._worker_seen_within_s = worker_seen_within_s
        self._latest = _Forecast(float("-inf"), 0.0)
        self._turn = asyncio.Lock()
        """Guards `_latest`: of many who ask, one looks."""
        self._anew: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Wait for a forecast that is being made."""
        if self._anew is not None:
            await self._anew

    async def eta(self, job_id: str) -> Eta | None:
        """Seconds until the end of a live job; None when it is not known."""
        latest = await self._look(job_id)
        eta = latest.etas.get(job_id)
        if eta is None:
            return None
        age_s = time.monotonic() - latest.made_at
        return Eta(max(0.0, eta.p50_s - age_s), max(0.0, eta.p90_s - age_s))

    async def retry_after_s(self) -> int:
        """When there will be room in a full line, 1..60; 5 when it is not known."""
        try:
            next_end_s = (await self._look(None)).next_end_s
        except RetouchError:
            next_end_s = None
        if next_end_s is None:
            return _UNKNOWN_RETRY_S
        return min(_LONGEST_RETRY_S, max(1, math.ceil(next_end_s)))

    async def _look(self, job_id: str | None) -> _Forecast:
        if self._holds(job_id):
            return self._latest
        if self._holds(job_id, longer_s=_WHILE_MADE_ANEW_S):
            self._begin_anew()
            return self._latest
        async with self._turn:
            if not self._holds(job_id):
                self._latest = await self._database.call(self._make)
        return self._latest

    def _begin_anew(self) -> None:
        """Make the next one while the latest one serves."""
        if self._anew is None:
            self._anew = asyncio.create_task(self._make_anew(), name="job-forecast")

    async def _make_anew(self) -> None:
        # While the store is away whoever asks is told, as soon as the latest one is too old.
        try:
            with contextlib.suppress(RetouchError):
                async with self._turn:
                    self._latest = await self._database.call(self._make)
        finally:
            self._anew = None

    def _holds(self, job_id: str | None, *, longer_s: float = 0.0) -> bool:
        age_s, cost_s = time.monotonic() - self._latest.made_at, self._latest.cost_s
        if job_id is None or job_id in self._latest.seen:
            return age_s <= max(_HOLDS_S, cost_s / _SHARE_OF_TIME) + longer_s
        return age_s <= cost_s / _SHARE_FOR_NEW

    def _make(self, database: JobDatabase) -> _Forecast:
        began = time.monotonic()
        found = job_durations.lines(database, seen_within_s=self._worker_seen_within_s)
        etas: dict[str, Eta] = {}
        next_ends: list[float] = []
        for line in found.by_model.values() if found.workers else ():
            made = forecast(
                line.live,
                line.observed,
                places=found.workers * self._jobs_per_model,
                rng=np.random.default_rng(0),
            )
            etas |= made
            if line.live[-1].elapsed_s is None:  # somebody waits
                running = (job.id for job in line.live if job.elapsed_s is not None)
                next_ends += [made[job_id].p50_s for job_id in running if job_id in made]
        cost_s = time.monotonic() - began
        seen = frozenset(job.id for line in found.by_model.values() for job in line.live)
        return _Forecast(began, cost_s, etas, seen, min(next_ends, default=None))
