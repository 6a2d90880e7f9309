"""How long a job may still take."""

from __future__ import annotations

import time

from gateway.jobs.job import Job


def time_left(job: Job) -> float | None:
    """Seconds until the job's deadline, at least a moment; None without one."""
    if job.deadline_at is None:
        return None
    return max(0.001, job.deadline_at - time.time())
