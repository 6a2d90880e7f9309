"""A job in the front end's words."""

from __future__ import annotations

from gateway.front_end.fields import TaskState
from gateway.jobs.job import Job, JobStatus

_FIRST_STEP, _LAST_STEP = 0.3, 0.95
"""The client's bar fills to 0.3 while a pipeline loads, and from 0.95 while the result travels."""
_WORDS = {
    JobStatus.QUEUED: "queued",
    JobStatus.SUCCEEDED: "done",
    JobStatus.FAILED: "error",
    JobStatus.EXPIRED: "error",
    JobStatus.CANCELED: "cancelled",
}


def state_of(job: Job) -> TaskState:
    """The task as a stream's frame and as its status."""
    word = _WORDS.get(job.status) or ("processing" if job.step else "loading_pipeline")
    return TaskState.model_validate(
        {
            "task_id": job.id,
            "status": word,
            "progress": _progress(job),
            "current_step": job.step or None,
            "total_steps": job.total_steps or job.request.get("num_inference_steps"),
            "error": _error(job),
            "loading_message": "Loading the pipeline" if word == "loading_pipeline" else None,
        }
    )


def _progress(job: Job) -> float:
    if job.status is JobStatus.SUCCEEDED:
        return 1.0
    if job.step and job.total_steps:
        done = job.step / job.total_steps
        return round(_FIRST_STEP + (_LAST_STEP - _FIRST_STEP) * done, 4)
    return 0.1 if job.status is JobStatus.RUNNING else 0.0


def _error(job: Job) -> str | None:
    if job.error is not None:
        return job.error.message
    return "The result has expired." if job.status is JobStatus.EXPIRED else None


def unknown_task(task_id: str) -> TaskState:
    """Last frame of a task that is not there (any more)."""
    message = f"Task not found or expired: {task_id[:80]}"
    return TaskState(
        task_id=task_id[:80],
        status="error",
        progress=0.0,
        current_step=None,
        total_steps=None,
        error=message,
        loading_message=None,
    )
