"""`/v1/images`: the OpenAI Images API, for stock SDKs."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from gateway.edits.job_masks import MaskDesk
from gateway.errors import NotImplementedHereError, RetouchError
from gateway.http.dependencies import ServicesDep
from gateway.http.server_timing import timing_headers
from gateway.jobs.job import Job, JobStatus, OnceKey
from gateway.keys.owner import current_owner
from gateway.openai_images.answer import image_response
from gateway.openai_images.attachments import Attachments
from gateway.openai_images.body import ImageBody, read_image_body
from gateway.openai_images.description import EDITS_BODY, GENERATIONS_BODY, ImagesView
from gateway.openai_images.fields import GenerationFields, ImageEditFields, ImageFields, understand
from gateway.openai_images.order import OrderTranslator
from gateway.openai_images.stream import ImageStream
from gateway.wire.job_view import view_of

router = APIRouter(prefix="/v1/images", tags=["openai"])
HEARTBEAT_S = 10.0
LONGEST_WAIT_S = 86_400.0
_MAX_KEY = 200
Prefer = Annotated[
    str | None, Header(description="respond-async answers 202 with the job; wait=N after N s.")
]
_FINAL = {"x-should-retry": "false"}
"""SDKs would send an answer with a status of 409 or 5xx again."""


@router.post("/generations", response_model=ImagesView, openapi_extra=GENERATIONS_BODY)
async def generations(request: Request, services: ServicesDep, prefer: Prefer = None) -> Response:
    """Paint pictures from words; with `stream: true` as server-sent events."""
    body = await read_image_body(request, services.pictures)
    fields = understand(GenerationFields, body.fields)
    order = await _translator(services).generation(fields)
    call = _Call(request, services, body, fields, order, "image_generation")
    return await _answer(call, prefer)


@router.post("/edits", response_model=ImagesView, openapi_extra=EDITS_BODY)
async def edits(request: Request, services: ServicesDep, prefer: Prefer = None) -> Response:
    """Edit pictures; what is outside the mask stays as it is."""
    body = await read_image_body(request, services.pictures)
    fields = understand(ImageEditFields, body.fields)
    order = await _translator(services).edit(fields, body)
    return await _answer(_Call(request, services, body, fields, order, "image_edit"), prefer)


@router.post("/variations", status_code=501)
async def variations() -> None:
    """Variations without words are not painted here; the answer says so."""
    raise NotImplementedHereError(
        "Variations are not supported; send the picture to /v1/images/edits with a prompt."
    )


@dataclass(frozen=True)
class _Call:
    request: Request
    services: ServicesDep
    body: ImageBody
    fields: ImageFields
    order: dict[str, Any]
    family: str
    notes: dict[str, str] = field(default_factory=dict)
    """Further headers of the answer."""

    @property
    def digest(self) -> str:
        """Equal for a request and its retries, different for different owners."""
        parts = [current_owner.get(), self.request.url.path, self.body.digest]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @property
    def is_retry(self) -> bool:
        """OpenAI's SDKs count their retries, and send no idempotency key."""
        count = self.request.headers.get("x-stainless-retry-count", "0")
        return count.isdecimal() and int(count) > 0

    async def submit(self) -> Job:
        """Queue the job, or find the one that the same idempotency key has made."""
        jobs, once = self.services.jobs, self.once
        accepted = await jobs.find_submission(once) if once else None
        if accepted is None:
            order = await self.services.painter.accept(self.order)
            key = getattr(self.request.state, "key", None)
            accepted = await jobs.submit_once(order, key, self.fields.labels, once=once)
        if accepted.replayed:
            self.notes["Idempotent-Replayed"] = "true"
        return accepted.job

    @property
    def once(self) -> OnceKey | None:
        """Such a request is the client's to repeat: its job runs on when nobody waits."""
        text = self.request.headers.get("idempotency-key", "")[:_MAX_KEY]
        return OnceKey(current_owner.get(), text, self.digest) if text else None


def _translator(services: ServicesDep) -> OrderTranslator:
    return OrderTranslator(
        services.pictures, MaskDesk(services.pictures, services.segmenter), services.catalog
    )


async def _answer(call: _Call, prefer: str | None) -> Response:
    attachments: Attachments = call.services.attachments
    held = attachments.attached(call.digest, call.submit, is_retry=call.is_retry)
    if call.fields.stream:
        # Entered here, so that what is refused is refused with a status.
        job = await held.__aenter__()
        if call.once is not None:
            attachments.release(call.digest)
        frames = _stream(call, job, held)
        headers = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
        return StreamingResponse(frames, headers=headers, media_type="text/event-stream")
    async with held as job:
        waits = _wait_of(prefer)
        if waits is not None or call.once is not None:
            attachments.release(call.digest)
        job = await _ended_or_gone(call, job, LONGEST_WAIT_S if waits is None else waits)
        if waits is not None and not job.status.is_terminal:
            return await _accepted(call, job, prefer or "")
        return await _finished(call, job)


async def _stream(call: _Call, job: Job, held: Any) -> AsyncIterator[str]:
    services = call.services
    stream = ImageStream(
        job, call.fields, family=call.family, jobs=services.jobs, pictures=services.pictures
    )
    try:
        async for frame in stream.frames(HEARTBEAT_S):
            yield frame
    finally:
        await held.__aexit__(None, None, None)


async def _ended_or_gone(call: _Call, job: Job, seconds: float) -> Job:
    """The job when it ended, when the time is up, or when the client has hung up."""
    ended = asyncio.ensure_future(call.services.jobs.wait(job.id, timeout_s=seconds))
    gone = asyncio.ensure_future(_hung_up(call.request))
    try:
        await asyncio.wait({ended, gone}, return_when=asyncio.FIRST_COMPLETED)
        return ended.result() if ended.done() else await call.services.jobs.get(job.id)
    finally:
        ended.cancel()
        gone.cancel()


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _accepted(call: _Call, job: Job, prefer: str) -> Response:
    view = await view_of(job, call.services.jobs, call.services.pictures)
    headers = {"Location": f"/v1/jobs/{job.id}", "Preference-Applied": prefer[:80], **call.notes}
    return JSONResponse(view.model_dump(mode="json"), 202, headers)


async def _finished(call: _Call, job: Job) -> Response:
    if job.status is not JobStatus.SUCCEEDED:
        return _failed(job)
    base = str(call.request.base_url)
    body = await image_response(job, call.fields, call.services.pictures, base)
    headers = {"Location": f"/v1/jobs/{job.id}", **timing_headers(job), **call.notes}
    return JSONResponse(body, headers=headers)


def _failed(job: Job) -> Response:
    failure = job.error
    if failure is None:
        raise JobEndedError(f"The job is {job.status}.", f"job_{job.status}", 409)
    raise JobEndedError(failure.message, failure.code, failure.status)


def _wait_of(prefer: str | None) -> float | None:
    """Seconds after which the client rather has the job; None to wait for the end."""
    found = re.search(r"\bwait=(\d{1,5})\b", prefer or "")
    if found:
        return float(found.group(1))
    return 0.0 if "respond-async" in (prefer or "") else None


class JobEndedError(RetouchError):
    """The job that the request waited for has no picture; asking again changes nothing."""

    title = "Job failed"
    headers = _FINAL

    def __init__(self, message: str, code: str, status: int) -> None:
        super().__init__(message, code=code)
        self.status = status
