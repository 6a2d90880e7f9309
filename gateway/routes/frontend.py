"""`/api`: what the existing web front end calls for painting, unchanged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import pybase64
from fastapi import APIRouter, Path, Response
from fastapi.responses import StreamingResponse

from gateway.errors import InvalidRequestError, NotFoundError, RetouchError
from gateway.front_end.debug_info import debug_info
from gateway.front_end.fields import (
    Canceled,
    SubmitFields,
    Submitted,
    SystemHealth,
    TaskResult,
    TaskState,
)
from gateway.front_end.health import system_health
from gateway.front_end.order import painting_order
from gateway.front_end.stream import frame, task_frames
from gateway.front_end.task_state import state_of, unknown_task
from gateway.http.dependencies import CatalogDep, KeyDep, MaskDeskDep, ServicesDep
from gateway.http.json_body import JsonRoute
from gateway.http.picture_response import PictureResponse
from gateway.jobs.job import Job, JobStatus

router = APIRouter(prefix="/api", tags=["front end"], route_class=JsonRoute)
REPEAT_S = 5.0
TaskId = Annotated[str, Path(max_length=200)]
_DEBUG = "debug"


@router.post("/generate/async", response_model_exclude_none=True)
async def submit(
    fields: SubmitFields, services: ServicesDep, masks: MaskDeskDep, key: KeyDep
) -> Submitted:
    """Queue a task; everything about it is checked here."""
    wanted = await painting_order(fields, services.pictures, masks)
    order = await services.painter.accept(wanted)
    metadata = {_DEBUG: "yes"} if fields.enable_debug else {}
    job = await services.jobs.submit(order, key, metadata)
    said = list(order.notes) or None
    return Submitted(task_id=job.id, message="The task is queued.", warnings=said)


@router.get("/generate/stream/{task_id}", response_class=StreamingResponse)
async def stream(task_id: TaskId, services: ServicesDep) -> StreamingResponse:
    """Frames of the task's state; the server closes behind the last one."""
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    try:
        job = await services.jobs.get(task_id)
        frames: AsyncIterator[str] = task_frames(job, services.jobs, REPEAT_S)
    except NotFoundError:
        # A client that comes back after its task is gone must not wait for ever.
        frames = _only(frame(unknown_task(task_id)))
    return StreamingResponse(frames, headers=headers, media_type="text/event-stream")


@router.get("/generate/status/{task_id}")
async def status(task_id: TaskId, services: ServicesDep) -> TaskState:
    """The task's state as a frame of its stream."""
    return state_of(await _job(task_id, services))


@router.get("/generate/result/{task_id}")
async def result(task_id: TaskId, services: ServicesDep) -> TaskResult:
    """The finished picture and how it was made."""
    job = await _finished(task_id, services)
    picture = await services.pictures.store.content(job.output[0]["file_id"])
    debug = None
    if _DEBUG in job.metadata:
        debug = await debug_info(job, services.pictures, services.backend)
    return TaskResult(
        task_id=job.id,
        image=await asyncio.to_thread(pybase64.b64encode_as_string, picture),
        debug_info=debug,
        generation_time=round((job.completed_at or 0) - (job.started_at or 0), 3),
        model_used=job.model,
        parameters_used=_parameters(job),
    )


@router.get("/generate/result-image/{task_id}", response_class=Response)
async def result_image(task_id: TaskId, services: ServicesDep) -> Response:
    """Bytes of the finished picture, at the size of the input."""
    output = (await _finished(task_id, services)).output[0]
    data = await services.pictures.store.view(output["file_id"])
    return PictureResponse(data, media_type=f"image/{output['format']}")


@router.post("/generate/async/cancel/{task_id}")
async def cancel(task_id: TaskId, services: ServicesDep) -> Canceled:
    """Cancel a task; one that has ended is left as it is."""
    job = await _job(task_id, services)
    if job.status.is_terminal:
        message = f"The task has ended already: {job.status}."
        return Canceled(success=False, message=message, task_id=job.id)
    await services.jobs.cancel(job.id)
    return Canceled(success=True, message="The task was canceled.", task_id=job.id)


@router.get("/health")
@router.get("/system/health")
async def health(catalog: CatalogDep) -> SystemHealth:
    """What the models said when they were last asked."""
    return system_health(catalog)


async def _job(task_id: str, services: ServicesDep) -> Job:
    try:
        return (await services.jobs.glance(task_id)).job
    except NotFoundError as error:
        raise NotFoundError(f"Task not found: {task_id[:80]}") from error


async def _finished(task_id: str, services: ServicesDep) -> Job:
    job = await _job(task_id, services)
    if job.status is JobStatus.SUCCEEDED:
        return job
    if job.status is JobStatus.FAILED and job.error is not None:
        raise TaskFailedError(job.error.message)
    raise InvalidRequestError(f"The task is not finished; it is {state_of(job).status}.")


def _parameters(job: Job) -> dict[str, Any]:
    pictures = ("image", "mask", "references", "reference_mask")
    return {name: value for name, value in job.request.items() if name not in pictures}


async def _only(text: str) -> AsyncIterator[str]:
    yield text


class TaskFailedError(RetouchError):
    """The task whose result is asked for failed."""
