"""Forecasts are honest: how many jobs end within them, over a simulated line with real noise."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from gateway.jobs.job_eta import Eta, LiveJob, Observation, Workload, forecast

SMALL, MIDDLE, LARGE = (
    Workload("generate", side**2, 20, 1, guided=True) for side in (512, 768, 1024)
)
JOBS, TAUGHT = 400, 50
STEPS = 20


@dataclass
class Line:
    """Busy places, and jobs of three sizes that come at random, each a quarter off or so.

    A job beside others is slower; 2 to 20 % of its time is no step of the network's.
    """

    places: int
    rng: np.random.Generator
    now: float = 0.0
    waiting: list[LiveJob] = field(default_factory=list)
    running: dict[str, tuple[LiveJob, float, float]] = field(default_factory=dict)
    observed: list[Observation] = field(default_factory=list)
    moments: list[tuple[float, str, str]] = field(default_factory=list)
    told: list[tuple[str, str, float, Eta]] = field(default_factory=list)
    ended: dict[str, float] = field(default_factory=dict)

    def run(self) -> None:
        arrival = 0.0
        pause_s = 4.1 / self.places / 0.85 * (1 + 0.05 * (self.places - 1))
        for number in range(JOBS):
            arrival += self.rng.exponential(pause_s)
            heapq.heappush(self.moments, (arrival, f"j{number}", "came"))
        while self.moments:
            self.now, name, what = heapq.heappop(self.moments)
            if what == "came":
                size = (SMALL, MIDDLE, LARGE)[self.rng.integers(3)]
                self.waiting.append(LiveJob(name, size))
            elif what == "ends":
                self._end(name)
            self._fill()
            if what != "ends":
                self._foretell(name, what)

    def _fill(self) -> None:
        while self.waiting and len(self.running) < self.places:
            job = self.waiting.pop(0)
            beside = len(self.running)
            seconds = 0.9 + 3.0 * job.workload.work / MIDDLE.work
            seconds *= (1 + 0.05 * beside) * self.rng.lognormal(0, 0.25)
            self.running[job.id] = (job, self.now, seconds)
            heapq.heappush(self.moments, (self.now + seconds, job.id, "ends"))
            look = self.now + seconds * self.rng.random()
            heapq.heappush(self.moments, (look, job.id, "look"))

    def _end(self, name: str) -> None:
        job, _began, seconds = self.running.pop(name)
        self.ended[name] = self.now
        self.observed.insert(0, Observation(job.workload, len(self.running), seconds))
        del self.observed[200:]

    def _foretell(self, name: str, what: str) -> None:
        at_work = [self._at_work(*entry) for entry in self.running.values()]
        line = [*at_work, *self.waiting]
        eta = forecast(line, self.observed, places=self.places, rng=self.rng).get(name)
        if eta is not None and len(self.ended) >= TAUGHT:
            self.told.append((name, what, self.now, eta))

    def _at_work(self, job: LiveJob, began: float, seconds: float) -> LiveJob:
        elapsed = self.now - began
        encoding, decoding = self.rng.uniform(0.01, 0.10, 2)  # shares of its time
        stepping = (elapsed / seconds - encoding) / (1 - encoding - decoding)
        step = min(STEPS, max(0, int(STEPS * stepping)))
        return replace(job, elapsed_s=elapsed, step=step, total_steps=STEPS)

    def coverage(self, when: str) -> tuple[float, float, int]:
        """Shares of forecasts, p50 and p90, within which the job ended; how many there were."""
        told = [(self.ended[name] - now, eta) for name, what, now, eta in self.told if what == when]
        p50 = float(np.mean([took <= eta.p50_s for took, eta in told]))
        p90 = float(np.mean([took <= eta.p90_s for took, eta in told]))
        return p50, p90, len(told)


@pytest.mark.parametrize("places", range(1, 9))
def test_as_many_jobs_end_within_a_forecast_as_it_says(places: int) -> None:
    line = Line(places, np.random.default_rng(places))
    line.run()
    for when in ("came", "look"):
        p50, p90, told = line.coverage(when)
        assert told >= 300
        assert 0.40 <= p50 <= 0.60
        assert p90 >= 0.85
