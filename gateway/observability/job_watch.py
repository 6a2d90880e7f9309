"""Around every job's run: a span, its ids for the log, its timings for the metrics."""

from __future__ import annotations

import asyncio
import logging
import time

from gateway.jobs.job import Job, JobResult
from gateway.jobs.job_queue import JobReporter, Runner
from gateway.observability.context import current_job_id
from gateway.observability.metrics import GatewayMetrics
from gateway.observability.tracing import Tracing

logger = logging.getLogger(__name__)


def watched(run: Runner, metrics: GatewayMetrics, tracing: Tracing) -> Runner:
    """The runner, observed."""

    async def observed(job: Job, report: JobReporter) -> JobResult:
        current_job_id.set(job.id)
        started, outcome = time.perf_counter(), "failed"
        try:
            with tracing.job_span(job):
                result = await run(job, report)
            outcome = "succeeded"
            metrics.stages_done(result.timings.get("stages", {}))
            return result
        except asyncio.CancelledError:
            outcome = "canceled"
            raise
        finally:
            seconds = time.perf_counter() - started
            metrics.job_done(job.model, outcome, seconds)
            members = {"event": "job_ended", "job_id": job.id, "model": job.model}
            words = "job %s after %.1f s"
            logger.info(words, outcome, seconds, extra={**members, "duration_ms": 1000 * seconds})

    return observed
