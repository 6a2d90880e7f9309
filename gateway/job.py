"""What a job is: its states, its snapshot, its events. Values only."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class JobStatus(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    """Accepted, waiting for its turn."""
    RUNNING = "running"
    """The model server works on it."""
    SUCCEEDED = "succeeded"
    """The result can be fetched."""
    FAILED = "failed"
    """It ended with an error; `Job.error` says which."""
    CANCELED = "canceled"
    """Someone canceled it."""
    EXPIRED = "expired"
    """Its result has been removed."""

    @property
    def is_terminal(self) -> bool:
        """Whether nothing more happens to the job."""
        return self not in (JobStatus.QUEUED, JobStatus.RUNNING)


class JobPriority(StrEnum):
    """Whose turn is first."""

    INTERACTIVE = "interactive"
    """Someone waits for it."""
    BATCH = "batch"
    """Runs when nobody waits."""

    @property
    def rank(self) -> int:
        """Lower goes first."""
        return list(JobPriority).index(self)


@dataclass(frozen=True)
class JobFailure:
    """Why a job failed, in words for its owner."""

    code: str
    message: str
    status: int = 502
    """HTTP status of the answer to those who ask for the result."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A snapshot of one job. Times are seconds since the epoch."""

    id: str
    task: str
    model: str
    request: Mapping[str, Any]
    """The accepted parameters, defaults filled in: what runs, and what the owner sees."""
    status: JobStatus = JobStatus.QUEUED
    step: int = 0
    total_steps: int = 0
    created_at: float = field(default_factory=time.time)
    started_at: float | None = None
    completed_at: float | None = None
    output: tuple[Mapping[str, Any], ...] = ()
    preservation: Mapping[str, Any] | None = None
    warnings: tuple[str, ...] = ()
    timings: Mapping[str, Any] = field(default_factory=dict)
    error: JobFailure | None = None
    priority: JobPriority = JobPriority.INTERACTIVE
    deadline_s: float | None = None
    """Seconds from `created_at`; a job not finished by then fails."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The owner's own words; not looked at."""
    owner: str = ""
    """Id of the key that submitted it; empty where keys are off."""

    @property
    def progress(self) -> float:
        """0..1; 1 only when it succeeded."""
        if self.status is JobStatus.SUCCEEDED:
            return 1.0
        return round(0.99 * self.step / self.total_steps, 4) if self.total_steps else 0.0


@dataclass(frozen=True)
class JobEvent:
    """Something happened to a job."""

    id: int
    """Increases by one with every event of the job, from 1."""
    name: str
    """queued, started, progress, preview, succeeded, failed or canceled."""
    data: Mapping[str, Any]

    @property
    def is_last(self) -> bool:
        """Whether no event follows."""
        return self.name in (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELED)


@dataclass(frozen=True, kw_only=True)
class JobResult:
    """What a runner hands back for a job that succeeded."""

    output: tuple[Mapping[str, Any], ...]
    preservation: Mapping[str, Any] | None = None
    warnings: tuple[str, ...] = ()
    timings: Mapping[str, Any] = field(default_factory=dict)
