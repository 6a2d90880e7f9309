"""`/v1/jobs`: submit, watch, fetch, cancel."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from gateway.dependencies import JobDep, JobsDep, PainterDep, PicturesDep, SegmenterDep
from gateway.errors import ConflictError, InvalidRequestError, NotFoundError, RetouchError
from gateway.job import Job, JobEvent, JobStatus
from gateway.jobs import JobQueue
from gateway.multipart import read_body
from gateway.pictures import Pictures
from gateway.routes.masks import as_prompt
from gateway.schemas import JobList, JobOutput, JobRequest, JobView, MaskPrompt
from gateway.segmentation import Segmenter
from preprocessing import masks

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])
HEARTBEAT_S = 10.0
MAX_WAIT_S = 120.0
MAX_EVENT_ID_DIGITS = 18
Wait = Annotated[float, Query(ge=0, le=MAX_WAIT_S, description="Seconds to wait for the end.")]

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/JobRequest"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["task", "prompt"],
                    "properties": {
                        "task": {"type": "string", "enum": ["generate", "edit", "inpaint"]},
                        "prompt": {"type": "string"},
                        "image": {"type": "string", "format": "binary"},
                        "mask": {"type": "string", "example": '{"points": [[412, 300]]}'},
                        "seed": {"type": "integer"},
                    },
                }
            },
        },
    }
}


@router.post("", status_code=202, response_model=JobView, openapi_extra=_BODY)
async def submit(  # noqa: PLR0913
    request: Request,
    response: Response,
    pictures: PicturesDep,
    segmenter: SegmenterDep,
    painter: PainterDep,
    jobs: JobsDep,
    prefer: Annotated[str | None, Header(description="wait=N answers when the job ends.")] = None,
    accept: Annotated[str, Header(description="image/png: wait for the picture itself.")] = "",
) -> JobView | Response:
    """Accept a job. Everything about the request is checked here, before it is queued.

    Answers at once with 202; with `Prefer: wait=N` when the job ends; with `Accept: image/png`
    with the picture's bytes.
    """
    wanted = await read_body(request, JobRequest, pictures)
    fields = await _resolve_pictures(wanted, pictures, segmenter)
    order = await painter.accept(fields)
    job = jobs.submit(
        task=order.task, model=order.model, request={**asdict(order)}, metadata=wanted.metadata
    )
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    wants_picture = accept.startswith("image/")
    seconds = _wait_preference(prefer) or (MAX_WAIT_S if wants_picture else 0)
    if seconds:
        job = await jobs.wait(job.id, timeout_s=seconds)
        response.headers["Preference-Applied"] = f"wait={seconds:g}"
        response.status_code = 200 if job.status.is_terminal else 202
    if wants_picture:
        return await _picture(job, pictures, {"Location": f"/v1/jobs/{job.id}"})
    return await _view(job, jobs, pictures)


@router.get("")
async def list_jobs(
    jobs: JobsDep,
    pictures: PicturesDep,
    status: JobStatus | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: str | None = None,
) -> JobList:
    """Jobs, newest first."""
    found = jobs.latest(status=status, limit=limit + 1, after=after)
    shown = [await _view(job, jobs, pictures) for job in found[:limit]]
    return JobList(data=shown, has_more=len(found) > limit)


@router.get("/{job_id}")
async def get_job(job: JobDep, jobs: JobsDep, pictures: PicturesDep, wait: Wait = 0) -> JobView:
    """The job as it is now, or when it ends."""
    return await _view(await jobs.wait(job.id, timeout_s=wait) if wait else job, jobs, pictures)


@router.post("/{job_id}/cancel")
async def cancel(job: JobDep, jobs: JobsDep, pictures: PicturesDep) -> JobView:
    """Cancel; a job that has ended is left as it is."""
    return await _view(jobs.cancel(job.id), jobs, pictures)


@router.get("/{job_id}/result", response_class=Response)
async def result(job: JobDep, jobs: JobsDep, pictures: PicturesDep, wait: Wait = 0) -> Response:
    """The bytes of the first picture, once the job has succeeded."""
    if wait:
        job = await jobs.wait(job.id, timeout_s=wait)
    return await _picture(job, pictures, {})


async def _picture(job: Job, pictures: Pictures, headers: dict[str, str]) -> Response:
    """The first picture of a job that succeeded; otherwise the job's error, or 409."""
    if job.status is JobStatus.FAILED and job.error is not None:
        raise _JobFailedError(job.error.message, code=job.error.code)
    if job.status is not JobStatus.SUCCEEDED:
        raise ConflictError(f"The job is {job.status}; it has no result.", code=f"job_{job.status}")
    first = job.output[0]
    data = await pictures.store.content(first["file_id"])
    headers["ETag"] = f'"{first["sha256"]}"'
    return Response(data, headers=headers, media_type=f"image/{first['format']}")


@router.get("/{job_id}/events", response_class=StreamingResponse)
async def events(
    job: JobDep,
    jobs: JobsDep,
    last_event_id: Annotated[str | None, Header(description="Continue behind this event.")] = None,
) -> StreamingResponse:
    """Server-sent events: queued, started, progress, preview, then how it ended."""
    after = _event_id(last_event_id)
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    stream = _frames(jobs.watch(job.id, after=after))
    return StreamingResponse(stream, headers=headers, media_type="text/event-stream")


class _JobFailedError(RetouchError):
    """The job whose result is asked for failed; the sentence is the job's."""

    status, title = 502, "Job failed"


async def _frames(watch: AsyncIterator[JobEvent]) -> AsyncIterator[str]:
    """Events as frames, with a comment now and then so that proxies keep the line open."""
    pending: asyncio.Future[JobEvent] | None = None
    try:
        while True:
            pending = pending or asyncio.ensure_future(anext(watch))
            done, _ = await asyncio.wait({pending}, timeout=HEARTBEAT_S)
            if not done:
                yield ": still here\n\n"
                continue
            event, pending = pending.result(), None
            yield f"id: {event.id}\nevent: {event.name}\ndata: {json.dumps(event.data)}\n\n"
    except StopAsyncIteration:
        return
    finally:
        if pending is not None:
            pending.cancel()


async def _resolve_pictures(
    wanted: JobRequest, pictures: Pictures, segmenter: Segmenter
) -> dict[str, Any]:
    """Replace data URLs and a smart-mask prompt by file ids."""
    fields = wanted.model_dump(exclude={"metadata"})
    image = await pictures.resolve(wanted.image, pointer="/image") if wanted.image else None
    fields["image"] = image.id if image else None
    fields["reference"] = [
        (await pictures.resolve(name, pointer="/reference")).id for name in wanted.reference
    ]
    if isinstance(wanted.mask, MaskPrompt):
        if image is None:
            raise InvalidRequestError("A mask prompt needs an image.", pointer="/image")
        found = await segmenter.segment(image, [as_prompt(wanted.mask)], pointer="/mask")
        fields["mask"] = (await pictures.keep_mask(found.masks[0].mask))[0].id
    elif wanted.mask:
        fields["mask"] = (await pictures.resolve(wanted.mask, pointer="/mask")).id
    return fields


async def _view(job: Job, jobs: JobQueue, pictures: Pictures) -> JobView:
    base = f"/v1/jobs/{job.id}"
    return JobView(
        id=job.id,
        task=job.task,
        model=job.model,
        status=job.status.value,
        progress=job.progress,
        step=job.step,
        total_steps=job.total_steps,
        queue_position=jobs.queue_position(job),
        created_at=job.created_at,
        started_at=job.started_at,
        completed_at=job.completed_at,
        parameters=dict(job.request),
        output=[JobOutput(**entry) for entry in job.output],
        preservation=dict(job.preservation) if job.preservation else None,
        mask=await _mask_view(job, pictures),
        timings=dict(job.timings),
        warnings=list(job.warnings),
        error={"code": job.error.code, "message": job.error.message} if job.error else None,
        metadata=dict(job.metadata),
        urls={
            "self": base,
            "events": f"{base}/events",
            "result": f"{base}/result",
            "cancel": f"{base}/cancel",
        },
    )


async def _mask_view(job: Job, pictures: Pictures) -> dict[str, Any] | None:
    """How the mask was understood: coverage, box and polarity."""
    mask_id = job.request.get("mask")
    if not mask_id:
        return None
    view = {"file_id": mask_id, "polarity": "white", "coverage": None, "bbox": None}
    try:
        mask = await pictures.mask(mask_id)
    except NotFoundError:  # its owner deleted it since
        return view
    return view | {
        "coverage": round(masks.coverage(mask), 6),
        "bbox": masks.bounding_box(mask),
    }


def _wait_preference(prefer: str | None) -> float:
    found = re.search(r"\bwait=(\d{1,4})\b", prefer or "")
    return min(float(found.group(1)), MAX_WAIT_S) if found else 0.0


def _event_id(last_event_id: str | None) -> int:
    if last_event_id is None:
        return 0
    if not last_event_id.isdecimal() or len(last_event_id) > MAX_EVENT_ID_DIGITS:
        raise InvalidRequestError(f"Last-Event-ID must be a number, not {last_event_id[:40]!r}.")
    return int(last_event_id)
