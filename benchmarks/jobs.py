"""What the durable queue costs: submit to first step, jobs/s, idle CPU, on each store given.

    python -m benchmarks.jobs --database-url sqlite:////tmp/bench/jobs.db \
        --database-url postgresql://postgres@127.0.0.1/bench

Gateway and worker in one process, as `retouch serve` does it; the work is a no-op with one step.
A database server's own processor time is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass

from benchmarks.reporting.figures import percentile
from benchmarks.reporting.machine import Machine, describe
from benchmarks.reporting.options import add_output_option, positive, recorded
from benchmarks.reporting.report import markdown_table, publish
from gateway.inference import PIPELINE_MODELS
from gateway.jobs.job import Job, JobResult
from gateway.jobs.job_database import JobDatabase
from gateway.jobs.job_engine_dbos import DbosEngine
from gateway.jobs.job_limits import JobLimits
from gateway.jobs.job_queue import JobQueue, JobReporter
from gateway.jobs.job_upkeep import UpkeepLimits

SETTLE_S, IDLE_S = 3.0, 12.0
QUIET_AFTER_S = 1.0
"""Stands for the minute after which a gateway looks less often, so that rounds are short."""
PLACES = 8
"""Jobs at work at once, as a gateway has them by default."""
HEADERS = [
    "store",
    "submit to first step p50, p95 ms",
    "after a quiet minute",
    "jobs/s",
    "idle CPU % of a core",
    "after a quiet minute",
]
_first_step: dict[str, float] = {}


@dataclass(frozen=True)
class Cost:
    """Of one store."""

    store: str
    latencies_ms: list[float]
    latencies_after_quiet_ms: list[float]
    jobs_per_s: float
    idle_percent: float
    idle_quiet_percent: float

    def row(self) -> list[str]:
        """For the table."""
        return [
            self.store,
            _show(self.latencies_ms),
            _show(self.latencies_after_quiet_ms),
            f"{self.jobs_per_s:.0f}",
            f"{self.idle_percent:.1f}",
            f"{self.idle_quiet_percent:.1f}",
        ]


def _show(found: list[float]) -> str:
    return ", ".join(f"{percentile(found, percent):.0f}" for percent in (50, 95))


async def work(job: Job, report: JobReporter) -> JobResult:
    """One step, no picture."""
    _first_step[job.id] = time.perf_counter()
    report.step_done(1, 1)
    return JobResult(output=())


async def submit(queue: JobQueue) -> tuple[str, float]:
    """A job's id and the moment it was handed in."""
    at = time.perf_counter()
    job = await queue.submit(task="generate", model=PIPELINE_MODELS[0], request={})
    return job.id, at


async def latencies_ms(queue: JobQueue, rounds: int, *, pause_s: float = 0.0) -> list[float]:
    """Submit to first step of one job at a time, at random moments at least `pause_s` apart."""
    found = []
    for _ in range(rounds):
        await asyncio.sleep(pause_s + random.uniform(0, 0.5))
        job_id, at = await submit(queue)
        await queue.wait(job_id, timeout_s=30)
        found.append(1000 * (_first_step[job_id] - at))
    return found


async def jobs_per_s(queue: JobQueue, jobs: int) -> float:
    """From the first submission of many to the end of the last."""
    started = time.perf_counter()
    accepted = await asyncio.gather(*(submit(queue) for _ in range(jobs)))
    for job_id, _ in accepted:
        await queue.wait(job_id, timeout_s=300)
    return jobs / (time.perf_counter() - started)


async def idle_cpu_percent() -> float:
    """Of one core, with nothing to do."""
    await asyncio.sleep(SETTLE_S)
    before = time.process_time()
    await asyncio.sleep(IDLE_S)
    return 100 * (time.process_time() - before) / IDLE_S


@asynccontextmanager
async def opened(url: str, *, quiet_after_s: float = 60.0) -> AsyncIterator[JobQueue]:
    """A gateway's queue with a worker, warmed up."""
    queue = JobQueue(
        work,
        database=JobDatabase(url, executor=ThreadPoolExecutor(8)),
        engine=DbosEngine(url, worker_id="bench", models=PIPELINE_MODELS, jobs_per_model=PLACES),
        worker_id="bench",
        limits=JobLimits(
            max_queued=100_000, drain_s=0, upkeep=UpkeepLimits(quiet_after_s=quiet_after_s)
        ),
    )
    await queue.start()
    try:
        await latencies_ms(queue, 3)
        yield queue
    finally:
        await queue.close()


async def measure(url: str, *, rounds: int, jobs: int) -> Cost:
    """The figures of one store."""
    async with opened(url) as queue:
        found = await latencies_ms(queue, rounds)
        rate = await jobs_per_s(queue, jobs)
        idle = await idle_cpu_percent()
    async with opened(url, quiet_after_s=QUIET_AFTER_S) as queue:
        quiet = await idle_cpu_percent()
        late = await latencies_ms(queue, rounds // 5, pause_s=QUIET_AFTER_S + 1.5)
    return Cost(url.partition(":")[0], found, late, rate, idle, quiet)


def main() -> None:
    """Read the command line, measure, publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database-url", required=True, action="append", dest="urls")
    parser.add_argument("--rounds", type=positive, default=75)
    parser.add_argument("--jobs", type=positive, default=500)
    add_output_option(parser)
    options = parser.parse_args()
    machine = Machine(triton="-")
    costs = [
        asyncio.run(measure(url, rounds=options.rounds, jobs=options.jobs)) for url in options.urls
    ]
    report = machine.report()
    markdown = f"{describe(report)}\n\n{markdown_table(HEADERS, [cost.row() for cost in costs])}"
    figures = {"machine": report, "options": recorded(options), "costs": [asdict(c) for c in costs]}
    publish(markdown, figures, options.output)


if __name__ == "__main__":
    main()
