"""When jobs will end, judged by how long jobs like them took. Pure: values in, values out.

Durations are drawn from what was measured, weighted by likeness and age, and the line is played
through with them many times; p50 and p90 are quantiles of what came out. Each scenario draws
from a resample of its own (a weighted bootstrap, Efron 1979), so that few observations make p90
wide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Seconds = npt.NDArray[np.float64]
SCENARIOS = 256
ENOUGH = 4.0
"""Sum of likenesses (0..1 each) from which on jobs are foretold."""
_SIZE_SPREAD = 0.5
"""In natural logarithms: a job of twice the work counts 0.38, of four times 0.02."""
_OTHER_TASK = 0.2
_HALF_LIFE = 50.0
"""Observations of a model after which one counts half."""


@dataclass(frozen=True)
class Workload:
    """What makes a job long or short."""

    task: str
    pixels: int
    steps: float
    """Those that are done: a strength of 0.5 leaves out half."""
    pictures: int
    guided: bool
    """A guided step is two passes of the network."""

    @classmethod
    def of(cls, task: str, request: Mapping[str, Any]) -> Workload:
        """That of an accepted request; what it does not say counts 1."""
        steps = request.get("num_inference_steps", 1) * request.get("strength", 1.0)
        return cls(
            task=task,
            pixels=request.get("width", 1) * request.get("height", 1),
            steps=max(1.0, steps),
            pictures=request.get("n", 1),
            guided=request.get("true_cfg_scale", 1.0) > 1,
        )

    @property
    def work(self) -> float:
        """Pixels times steps times pictures times passes."""
        return self.pixels * self.steps * self.pictures * (2 if self.guided else 1)


@dataclass(frozen=True)
class Observation:
    """A job that succeeded at its first start."""

    workload: Workload
    beside: int
    """Jobs of its model that ran when it ended."""
    seconds: float


@dataclass(frozen=True)
class LiveJob:
    """A job that has not ended."""

    id: str
    workload: Workload
    elapsed_s: float | None = None
    """Since it started; None while it waits."""
    step: int = 0
    """Steps done, of `total_steps`."""
    total_steps: int = 0


@dataclass(frozen=True)
class Eta:
    """Seconds until a job's end: as likely sooner as later, and with 9 in 10 sooner."""

    p50_s: float
    p90_s: float


def forecast(
    line: Sequence[LiveJob],
    observed: Sequence[Observation],
    *,
    places: int,
    rng: np.random.Generator,
) -> dict[str, Eta]:
    """When the jobs of one model end; jobs that nothing like is known of are left out.

    Args:
        line: those at work, and those that wait, in the order of their turns.
        observed: of the same model, newest first.
        places: how many run at a time.
        rng: where the scenarios come from.

    Returns:
        By job id. Behind a job of unknown length, all that wait are left out.
    """
    running = [job for job in line if job.elapsed_s is not None]
    waiting = [job for job in line if job.elapsed_s is None]
    places = max(places, len(running))
    draws = _Draws(observed, beside=min(places, len(line)) - 1, rng=rng)
    ends = {job.id: _remaining(job, draws) for job in running}
    known = {job_id: end for job_id, end in ends.items() if end is not None}
    if len(known) == len(running) and places:
        free = np.zeros((SCENARIOS, places))
        for place, end in enumerate(known.values()):
            free[:, place] = end
        known |= _play(waiting, free, draws)
    return _etas(known)


class _Draws:
    """Durations of a workload, one for each scenario."""

    def __init__(
        self, observed: Sequence[Observation], *, beside: int, rng: np.random.Generator
    ) -> None:
        self._seconds = np.array([seen.seconds for seen in observed], np.float64)
        self._work = np.array([seen.workload.work for seen in observed], np.float64)
        self._tasks = np.array([seen.workload.task for seen in observed], np.str_)
        loads = np.array([1 + seen.beside for seen in observed], np.float64) / (1 + max(0, beside))
        self._weights = 0.5 ** (np.arange(len(observed)) / _HALF_LIFE)
        self._same_load = np.exp(-np.abs(np.log(loads)))
        self._rng = rng
        self._pools: dict[Workload, Seconds | None] = {}

    def seconds(self, workload: Workload) -> Seconds | None:
        """Shape (SCENARIOS,); None when too little is known."""
        if workload not in self._pools:
            self._pools[workload] = self._pool(workload)
        pool = self._pools[workload]
        if pool is None:
            return None
        chosen = self._rng.integers(pool.shape[1], size=SCENARIOS)
        drawn: Seconds = pool[np.arange(SCENARIOS), chosen]
        return drawn

    def shares(self) -> Seconds:
        """0..1, one for each scenario."""
        return self._rng.random(SCENARIOS)

    def _pool(self, workload: Workload) -> Seconds | None:
        """Shape (SCENARIOS, as many as count): what each scenario has measured."""
        ratio = workload.work / self._work
        same_size = np.exp(-0.5 * (np.log(ratio) / _SIZE_SPREAD) ** 2)
        same_task = np.where(self._tasks == workload.task, 1.0, _OTHER_TASK)
        likeness = same_size * same_task * self._same_load
        if likeness.sum() < ENOUGH:
            return None
        weights = likeness * self._weights
        weights /= weights.sum()
        effective = max(2, round(1 / float((weights**2).sum())))
        return self._rng.choice(self._seconds * ratio, size=(SCENARIOS, effective), p=weights)


def _remaining(job: LiveJob, draws: _Draws) -> Seconds | None:
    """Time left of a job at work.

    Its own pace counts for as much as it has done, what others took for the rest.
    """
    total = draws.seconds(job.workload)
    if total is None or job.elapsed_s is None:
        return None
    if job.step == 0:
        return _outlasting(total, job.elapsed_s)
    # Somewhere between the last step it told of and the next; encoding before the first one and
    # decoding after the last one take as long as up to two steps each.
    before, behind = 2 * draws.shares(), 2 * draws.shares()
    left = 1.0 - (before + job.step + draws.shares()) / (before + job.total_steps + behind)
    left = np.maximum(left, 0.0)
    return left * (job.elapsed_s + left * total)


def _outlasting(total: Seconds, elapsed_s: float) -> Seconds:
    """What is left of the durations that are longer than `elapsed_s`.

    A job that has outlasted them all may take as long again.
    """
    longer = total[total > elapsed_s]
    if longer.size == 0:
        return elapsed_s * np.linspace(0.0, 1.0, total.size)
    return np.resize(longer, total.size) - elapsed_s


def _play(waiting: Sequence[LiveJob], free: Seconds, draws: _Draws) -> dict[str, Seconds]:
    """Each takes the place that is free first; `free` is (SCENARIOS, places), and is used up."""
    ends: dict[str, Seconds] = {}
    scenario = np.arange(SCENARIOS)
    for job in waiting:
        seconds = draws.seconds(job.workload)
        if seconds is None:
            break
        place = free.argmin(axis=1)
        free[scenario, place] += seconds
        ends[job.id] = free[scenario, place]
    return ends


def _etas(ends: Mapping[str, Seconds]) -> dict[str, Eta]:
    """Quantiles of all at once: one by one they take most of a forecast's time."""
    if not ends:
        return {}
    p50, p90 = np.quantile(np.stack(list(ends.values())), (0.5, 0.9), axis=1).tolist()
    return {
        job_id: Eta(*both) for job_id, both in zip(ends, zip(p50, p90, strict=True), strict=True)
    }
