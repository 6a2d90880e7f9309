"""`/v1/jobs`: submit, watch, fetch, cancel."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from gateway.edits.job_pictures import resolve_pictures
from gateway.errors import ConflictError, GoneError, InvalidRequestError, RetouchError
from gateway.http.dependencies import (
    GlancedJobDep,
    JobDep,
    JobsDep,
    KeyDep,
    MaskDeskDep,
    PicturesDep,
    ServicesDep,
)
from gateway.http.heartbeat import with_heartbeats
from gateway.http.multipart import read_body
from gateway.http.picture_response import PictureResponse
from gateway.http.server_timing import timing_headers
from gateway.jobs.job import Job, JobEvent, JobFailure, JobStatus, OnceKey
from gateway.keys.owner import current_owner
from gateway.painting.generation import TASK_MODELS
from gateway.routes.job_poll import job_now
from gateway.storage.pictures import Pictures
from gateway.wire.job_view import view_at, view_of
from gateway.wire.schemas import JobList, JobRequest, JobView

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
                    "required": ["task"],
                    "properties": {
                        "task": {"type": "string", "enum": list(TASK_MODELS)},
                        "prompt": {"type": "string"},
                        "image": {"type": "string", "format": "binary"},
                        "mask": {"type": "string", "example": '{"points": [[412, 300]]}'},
                        "reference": {"type": "string", "format": "binary"},
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
    mask_desk: MaskDeskDep,
    services: ServicesDep,
    jobs: JobsDep,
    key: KeyDep,
    prefer: Annotated[str | None, Header(description="wait=N answers when the job ends.")] = None,
    accept: Annotated[str, Header(description="image/png: wait for the picture itself.")] = "",
    idempotency_key: Annotated[
        str | None, Header(max_length=200, description="The same key and body: the same job.")
    ] = None,
) -> JobView | Response:
    """Accept a job. Everything about the request is checked here, before it is queued.

    Answers at once with 202; with `Prefer: wait=N` when the job ends; with `Accept: image/png`
    with the picture's bytes.
    """
    wanted = await read_body(request, JobRequest, pictures)
    once = _once(idempotency_key, wanted)
    accepted = await jobs.find_submission(once) if once else None
    if accepted is None:
        services.check_webhook(wanted.webhook)
        fields = await resolve_pictures(wanted, pictures, mask_desk)
        order = await services.painter.accept(fields)
        accepted = await jobs.submit_once(
            order, key, wanted.metadata, once=once, webhook=wanted.webhook
        )
    job = accepted.job
    if accepted.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    wants_picture = accept.startswith("image/")
    seconds = _wait_preference(prefer) or (MAX_WAIT_S if wants_picture else 0)
    if seconds:
        job = await jobs.wait(job.id, timeout_s=seconds)
        response.headers["Preference-Applied"] = f"wait={seconds:g}"
        response.status_code = 200 if job.status.is_terminal else 202
    response.headers.update(timing_headers(job))
    if wants_picture:
        return await _picture(job, pictures, {"Location": f"/v1/jobs/{job.id}"})
    return await view_of(job, jobs, pictures)


@router.get("")
async def list_jobs(
    jobs: JobsDep,
    pictures: PicturesDep,
    status: JobStatus | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: str | None = None,
) -> JobList:
    """Jobs, newest first."""
    found = await jobs.latest(status=status, limit=limit + 1, after=after)
    shown = [await view_at(s.job, s.queue_position, jobs, pictures) for s in found[:limit]]
    return JobList(data=shown, has_more=len(found) > limit)


@router.get("/{job_id}", response_model=JobView)
async def get_job(job_id: str, services: ServicesDep, wait: Wait = 0) -> Response:
    """The job as it is now, or when it ends."""
    if wait:
        await services.jobs.wait(job_id, timeout_s=wait)
    answer = await job_now(job_id, services)
    response = Response(answer.body)
    response.raw_headers = answer.headers
    return response


@router.post("/{job_id}/cancel")
async def cancel(job: JobDep, jobs: JobsDep, pictures: PicturesDep) -> JobView:
    """Cancel; a job that has ended is left as it is."""
    return await view_of(await jobs.cancel(job.id), jobs, pictures)


@router.post("/{job_id}/retry", status_code=202)
async def retry(job: JobDep, jobs: JobsDep, pictures: PicturesDep, response: Response) -> JobView:
    """The same request as a new job: the same one however often this is called."""
    again = await jobs.retry(job.id)
    response.headers["Location"] = f"/v1/jobs/{again.id}"
    return await view_of(again, jobs, pictures)


@router.delete("/{job_id}", status_code=204)
async def delete(job: JobDep, jobs: JobsDep) -> None:
    """Forget a job and its events; one that is live is canceled first."""
    await jobs.delete(job.id)


@router.get("/{job_id}/result", response_class=Response)
async def result(job: JobDep, jobs: JobsDep, pictures: PicturesDep, wait: Wait = 0) -> Response:
    """The bytes of the first picture, once the job has succeeded."""
    if wait:
        job = await jobs.wait(job.id, timeout_s=wait)
    return await _picture(job, pictures, {})


async def _picture(job: Job, pictures: Pictures, headers: dict[str, str]) -> Response:
    """The first picture of a job that succeeded; otherwise the job's error, or 409."""
    if job.status is JobStatus.FAILED and job.error is not None:
        raise _JobFailedError(job.error)
    if job.status is JobStatus.EXPIRED:
        raise GoneError(f"The result of job {job.id} has been removed.")
    if job.status is not JobStatus.SUCCEEDED:
        raise ConflictError(f"The job is {job.status}; it has no result.", code=f"job_{job.status}")
    first = job.output[0]
    data = await pictures.store.view(first["file_id"])
    headers |= {"ETag": f'"{first["sha256"]}"', **timing_headers(job)}
    return PictureResponse(data, headers=headers, media_type=f"image/{first['format']}")


@router.get("/{job_id}/events", response_class=StreamingResponse)
async def events(
    job: GlancedJobDep,
    jobs: JobsDep,
    last_event_id: Annotated[str | None, Header(description="Continue behind this event.")] = None,
) -> StreamingResponse:
    """Server-sent events: queued, started, progress, preview, then how it ended."""
    after = _event_id(last_event_id)
    if job.status is JobStatus.EXPIRED:
        raise GoneError(f"The events of job {job.id} have been removed.")
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    stream = _frames(jobs.watch(job, after=after))
    return StreamingResponse(stream, headers=headers, media_type="text/event-stream")


def _once(key: str | None, wanted: JobRequest) -> OnceKey | None:
    if not key:
        return None
    request = json.dumps(wanted.model_dump(mode="json"), sort_keys=True)
    digest = hashlib.sha256(request.encode()).hexdigest()
    return OnceKey(current_owner.get(), key, digest)


class _JobFailedError(RetouchError):
    """The job whose result is asked for failed; the sentence is the job's."""

    title = "Job failed"

    def __init__(self, failure: JobFailure) -> None:
        super().__init__(failure.message, code=failure.code)
        self.status = failure.status


async def _frames(watch: AsyncIterator[JobEvent]) -> AsyncIterator[str]:
    """Events as frames, with a comment now and then so that proxies keep the line open."""
    async for event in with_heartbeats(watch, HEARTBEAT_S):
        if event is None:
            yield ": still here\n\n"
        else:
            yield f"id: {event.id}\nevent: {event.name}\ndata: {event.json}\n\n"


def _wait_preference(prefer: str | None) -> float:
    found = re.search(r"\bwait=(\d{1,4})\b", prefer or "")
    return min(float(found.group(1)), MAX_WAIT_S) if found else 0.0


def _event_id(last_event_id: str | None) -> int:
    if last_event_id is None:
        return 0
    if not last_event_id.isdecimal() or len(last_event_id) > MAX_EVENT_ID_DIGITS:
        raise InvalidRequestError(f"Last-Event-ID must be a number, not {last_event_id[:40]!r}.")
    return int(last_event_id)
