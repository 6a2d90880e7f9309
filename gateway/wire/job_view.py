"""A job as its owner sees it."""

from __future__ import annotations

from typing import Any

from gateway.errors import NotFoundError
from gateway.jobs.job import Job
from gateway.jobs.job_desk import JobDesk
from gateway.jobs.job_eta import Eta
from gateway.storage.pictures import Pictures
from gateway.wire.schemas import JobOutput, JobTimings, JobView


async def view_of(job: Job, jobs: JobDesk, pictures: Pictures) -> JobView:
    """The job with its place in line, its addresses and what became of its mask."""
    return await view_at(job, await jobs.queue_position(job), jobs, pictures)


async def view_at(
    job: Job, queue_position: int | None, jobs: JobDesk, pictures: Pictures
) -> JobView:
    """The same of a job whose place is known."""
    return view_with(job, queue_position, await jobs.eta(job), await mask_of(job, pictures))


def view_with(
    job: Job, queue_position: int | None, eta: Eta | None, mask: dict[str, Any] | None
) -> JobView:
    """The same of a job of which all else is known; `mask`: as `mask_of` says."""
    base = f"/v1/jobs/{job.id}"
    return JobView(
        id=job.id,
        task=job.task,
        model=job.model,
        status=job.status.value,
        progress=job.progress,
        step=job.step,
        total_steps=job.total_steps,
        queue_position=queue_position,
        eta_s=rounded(eta.p50_s) if eta else None,
        eta_p90_s=rounded(eta.p90_s) if eta else None,
        created_at=job.created_at,
        started_at=job.started_at,
        completed_at=job.completed_at,
        expires_at=job.expires_at,
        attempts=job.attempts,
        parameters=dict(job.request),
        output=[JobOutput(**entry) for entry in job.output],
        preservation=dict(job.preservation) if job.preservation else None,
        mask=mask,
        timings=JobTimings(**job.timings),
        warnings=list(job.warnings),
        error={"code": job.error.code, "message": job.error.message} if job.error else None,
        metadata=dict(job.metadata),
        urls={
            "self": base,
            "events": f"{base}/events",
            "result": f"{base}/result",
            "cancel": f"{base}/cancel",
            "retry": f"{base}/retry",
        },
    )


def rounded(seconds: float) -> float:
    """As it is shown."""
    return round(seconds, 1)


async def mask_of(job: Job, pictures: Pictures) -> dict[str, Any] | None:
    """How the mask was understood: coverage, box and polarity."""
    mask_id = job.request.get("mask")
    if not mask_id:
        return None
    polarity = job.request.get("mask_polarity") or "white"
    view = {"file_id": mask_id, "polarity": polarity, "coverage": None, "bbox": None}
    try:
        extent = await pictures.mask_extent(mask_id)
    except NotFoundError:  # its owner deleted it since
        return view
    return view | {"coverage": extent.shown_coverage, "bbox": extent.box}
