"""The knobs of a job queue."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.jobs.job_execution import ExecutionLimits
from gateway.jobs.job_submission import KEEP_S
from gateway.jobs.job_upkeep import UpkeepLimits


@dataclass(frozen=True, kw_only=True)
class JobLimits:
    """How many, how often, how long."""

    max_queued: int = 1000
    jobs_per_model: int = 1
    """How many of each model a worker runs at a time, as far as forecasts go."""
    keep_s: float = KEEP_S
    """How long the result of a job is kept."""
    poll_s: float = 0.1
    """Time between two looks for what other processes did."""
    drain_s: float = 20.0
    """How long jobs at work may go on when the process is asked to end."""
    execution: ExecutionLimits = field(default_factory=ExecutionLimits)
    upkeep: UpkeepLimits = field(default_factory=UpkeepLimits)
