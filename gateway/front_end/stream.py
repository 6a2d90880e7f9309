"""A task's stream: a frame on every change and every few seconds, and one last frame."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace

from gateway.front_end.fields import TaskState
from gateway.front_end.task_state import state_of
from gateway.http.heartbeat import with_heartbeats
from gateway.jobs.job import Job, JobEvent, JobStatus
from gateway.jobs.job_desk import JobDesk


async def task_frames(job: Job, jobs: JobDesk, repeat_s: float) -> AsyncIterator[str]:
    """Frames `data: {json}`; the stream ends behind the terminal one."""
    shown: TaskState | None = None
    async for event in with_heartbeats(jobs.watch(job), repeat_s):
        job = _got_on(job, event) or await jobs.get(job.id)
        state = state_of(job)
        if state != shown or event is None:
            shown = state
            yield frame(state)
        if job.status.is_terminal:
            return


def _got_on(job: Job, event: JobEvent | None) -> Job | None:
    """The job after an event that says all that a frame shows; None: it must be looked at."""
    if event is None or job.status is not JobStatus.RUNNING:
        return None
    if event.name not in ("preview", "progress"):
        return None
    if event.name == "preview" or event.data["step"] <= job.step:  # told already
        return job
    return replace(job, step=event.data["step"], total_steps=event.data["total_steps"])


def frame(state: TaskState) -> str:
    """No `event:` and no `id:` lines: the client looks at the start of each line."""
    return f"data: {json.dumps(state.model_dump())}\n\n"
