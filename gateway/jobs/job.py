"""What a job is: its states, its snapshot, its events. Values only."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

PUBLIC = ""
"""Owner of jobs where keys are off."""


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
    owner: str = PUBLIC
    """Id of the key that submitted it; `PUBLIC` where keys are off."""
    attempts: int = 0
    """How often it was started; more than once when what it ran on died."""
    expires_at: float | None = None
    """When its result is removed; known when it has ended."""
    webhook: str | None = None
    """Where to tell that it has ended."""
    lap: int = 0
    """Its place among the jobs of all owners: of two owners each has one job a lap."""
    ticket: int = 1
    """Rises whenever the job is put in line anew; a worker with an older one is not heard."""

    @property
    def deadline_at(self) -> float | None:
        """When its owner stops waiting."""
        return None if self.deadline_s is None else self.created_at + self.deadline_s

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

    @cached_property
    def json(self) -> str:
        """`data` as text, made once for all who are told of this event."""
        return json.dumps(self.data)

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


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """What is handed in: a job without its life."""

    task: str
    model: str
    request: Mapping[str, Any]
    metadata: Mapping[str, str] = field(default_factory=dict)
    priority: JobPriority = JobPriority.INTERACTIVE
    deadline_s: float | None = None
    owner: str = PUBLIC
    webhook: str | None = None
    files: tuple[str, ...] = ()
    """Stored pictures it cannot do without."""

    @classmethod
    def like(cls, job: Job, files: tuple[str, ...]) -> NewJob:
        """The same request once more."""
        return cls(
            task=job.task,
            model=job.model,
            request=job.request,
            metadata=job.metadata,
            priority=job.priority,
            deadline_s=job.deadline_s,
            owner=job.owner,
            webhook=job.webhook,
            files=files,
        )


@dataclass(frozen=True)
class OnceKey:
    """An `Idempotency-Key`: of one owner's requests with it, one makes a job."""

    owner: str
    key: str
    fingerprint: str
    """Digest of the request; the same key with another one is refused."""


@dataclass(frozen=True)
class Submission:
    """A job, and whether an earlier request had made it."""

    job: Job
    replayed: bool


@dataclass(frozen=True)
class Ticket:
    """A place in line: what an engine keeps of a job."""

    job_id: str
    number: int
    model: str
    order: int
    """Lower goes first; of equals, the first to come."""


@dataclass(frozen=True)
class Fence:
    """The right to speak for a running job; lost as soon as the job is started again."""

    job_id: str
    ticket: int
    attempt: int


@dataclass(frozen=True)
class JobsPulse:
    """How the jobs of all gateways are, for whoever watches over them."""

    by_status: Mapping[str, int] = field(default_factory=dict)
    oldest_queued_s: float = 0.0
    oldest_pending_s: float = 0.0
    """Age of the oldest job that has not ended."""
