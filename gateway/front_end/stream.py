"""A task's stream: a frame on every change and every few seconds, and one last frame."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from gateway.front_end.fields import TaskState
from gateway.front_end.task_state import state_of
from gateway.heartbeat import with_heartbeats
from gateway.job import Job
from gateway.job_desk import JobDesk


async def task_frames(job: Job, jobs: JobDesk, repeat_s: float) -> AsyncIterator[str]:
    """Frames `data: {json}`; the stream ends behind the terminal one."""
    shown: TaskState | None = None
    async for event in with_heartbeats(jobs.watch(job.id), repeat_s):
        job = await jobs.get(job.id)
        state = state_of(job)
        if state != shown or event is None:
            shown = state
            yield frame(state)
        if job.status.is_terminal:
            return


def frame(state: TaskState) -> str:
    """No `event:` and no `id:` lines: the client looks at the start of each line."""
    return f"data: {json.dumps(state.model_dump())}\n\n"
