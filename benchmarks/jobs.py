"""What the durable queue costs: submit to first step, jobs/s, idle CPU, on SQLite or PostgreSQL.

    python -m benchmarks.jobs --database-url sqlite:////tmp/bench/jobs.db --jobs 200

Gateway and worker in one process, as `retouch serve` does it; the work is a no-op with one step.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

from gateway.job import Job, JobResult
from gateway.job_database import JobDatabase
from gateway.job_engine_dbos import DbosEngine
from gateway.job_limits import JobLimits
from gateway.jobs import JobQueue, JobReporter

IDLE_S = 10.0
_first_step: dict[str, float] = {}


async def work(job: Job, report: JobReporter) -> JobResult:
    """One step, no picture."""
    _first_step[job.id] = time.perf_counter()
    report.step_done(1, 1)
    return JobResult(output=())


async def submit(queue: JobQueue) -> tuple[str, float]:
    """A job's id and the moment it was handed in."""
    at = time.perf_counter()
    job = await queue.submit(task="generate", model="bench", request={})
    return job.id, at


async def latencies_ms(queue: JobQueue, rounds: int) -> list[float]:
    """Submit to first step of one job at a time."""
    found = []
    for _ in range(rounds):
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
    before = time.process_time()
    await asyncio.sleep(IDLE_S)
    return 100 * (time.process_time() - before) / IDLE_S


async def measure(url: str, *, rounds: int, jobs: int) -> None:
    """Print the figures of one store."""
    queue = JobQueue(
        work,
        database=JobDatabase(url, executor=ThreadPoolExecutor(8)),
        engine=DbosEngine(url, worker_id="bench", models=["bench"], jobs_per_model=32),
        worker_id="bench",
        limits=JobLimits(max_queued=100_000, drain_s=0),
    )
    await queue.start()
    try:
        await latencies_ms(queue, 3)
        found = await latencies_ms(queue, rounds)
        twentieths = statistics.quantiles(found, n=20)
        print(f"submit to first step: p50 {statistics.median(found):.0f} ms")
        print(f"submit to first step: p95 {twentieths[-1]:.0f} ms")
        print(f"jobs/s: {await jobs_per_s(queue, jobs):.0f}")
        print(f"idle: {await idle_cpu_percent():.1f} % of one core")
    finally:
        await queue.close()


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=500)
    options = parser.parse_args()
    asyncio.run(measure(options.database_url, rounds=options.rounds, jobs=options.jobs))


if __name__ == "__main__":
    main()
