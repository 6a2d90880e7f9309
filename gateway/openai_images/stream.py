"""A job as the Images API's stream: partial pictures, then one `completed` for each."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pybase64

from gateway.errors import RetouchError
from gateway.http.heartbeat import with_heartbeats
from gateway.jobs.job import Job, JobEvent, JobStatus
from gateway.jobs.job_desk import JobDesk
from gateway.openai_images.answer import Encoding, described, encoded, receipt, usage
from gateway.openai_images.fields import ImageFields
from gateway.painting.generation import PaintingOrder
from gateway.storage.pictures import Pictures
from preprocessing import codec, compose
from preprocessing.arrays import Image, Mask

logger = logging.getLogger(__name__)


class ImageStream:
    """Events of one job; `family` is image_generation or image_edit."""

    def __init__(
        self, job: Job, fields: ImageFields, *, family: str, jobs: JobDesk, pictures: Pictures
    ) -> None:
        self._job = job
        self._fields = fields
        self._family = family
        self._jobs = jobs
        self._pictures = pictures
        self._sent = 0

    async def frames(self, heartbeat_s: float) -> AsyncIterator[str]:
        """Server-sent frames; a failure is a frame with `error`, and the last one."""
        try:
            async for event in with_heartbeats(self._jobs.watch(self._job), heartbeat_s):
                if event is None:
                    yield ": still here\n\n"
                elif event.name == "preview" and self._is_due(event):
                    yield await self._partial(event)
                elif event.is_last:
                    async for frame in self._last():
                        yield frame
        except RetouchError as error:
            yield _error(error.message, error.code, error.status)
        except Exception:
            logger.exception("stream failed", extra={"event": "stream_failed"})
            yield _error("The gateway failed; its log says why.", "internal_error", 500)

    def _is_due(self, event: JobEvent) -> bool:
        """Whether the next of the partial pictures stands for this step or an earlier one."""
        if self._sent >= self._fields.partial_images:
            return False
        steps = self._job.request["num_inference_steps"]
        due = steps * (self._sent + 1) / (self._fields.partial_images + 1)
        return bool(due <= event.data["step"] < steps)

    async def _partial(self, event: JobEvent) -> str:
        order = PaintingOrder(**self._job.request)
        original = await self._pictures.decoded(order.image) if order.image else None
        picture = await asyncio.to_thread(
            _whole_preview,
            base64.b64decode(event.data["b64_json"]),
            order,
            original.pixels if original is not None else None,
            await self._pictures.mask(order.mask) if order.mask else None,
        )
        data = await asyncio.to_thread(Encoding.of(self._fields).encode, picture)
        number, self._sent = self._sent, self._sent + 1
        size = {"size": f"{picture.shape[1]}x{picture.shape[0]}"}
        extras = {"partial_image_index": number, **size}
        return await asyncio.to_thread(self._frame, "partial_image", data, extras)

    async def _last(self) -> AsyncIterator[str]:
        job = self._job = await self._jobs.get(self._job.id)
        if job.status is not JobStatus.SUCCEEDED:
            failure = job.error
            yield (
                _error(failure.message, failure.code, failure.status)
                if failure
                else _error(f"The job is {job.status}.", f"job_{job.status}", 409)
            )
            return
        for entry in job.output:
            data = await encoded(entry, self._fields, self._pictures)
            extras = {"usage": usage(job), "seed": entry["seed"], **receipt(job, self._fields)}
            yield await asyncio.to_thread(self._frame, "completed", data, extras)

    def _frame(self, name: str, data: bytes, extras: Mapping[str, Any]) -> str:
        """Some megabytes of text, put together off the event loop."""
        kind = f"{self._family}.{name}"
        body = {
            "type": kind,
            "b64_json": pybase64.b64encode_as_string(data),
            "created_at": int(time.time()),
            **described(self._job, self._fields),
            **extras,
        }
        return f"event: {kind}\ndata: {json.dumps(body)}\n\n"


def _whole_preview(
    jpeg: bytes, order: PaintingOrder, original: Image | None, mask: Mask | None
) -> Image:
    """A preview at the size of the result; in an edit with what the mask leaves alone."""
    preview = codec.decode_image(jpeg).pixels
    if original is None or not order.keep_size:
        return compose.resized(preview, (order.width, order.height))
    whole = original.copy()
    height, width = original.shape[:2]
    x0, y0, x1, y1 = order.crop or (0, 0, width, height)
    whole[y0:y1, x0:x1] = compose.resized(preview, (x1 - x0, y1 - y0))
    if mask is not None and order.preserve != "none":
        whole[~mask] = original[~mask]
    return whole


def _error(message: str, code: str, status: int) -> str:
    kind = "invalid_request_error" if status < 500 else "server_error"
    body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return f"event: error\ndata: {json.dumps(body)}\n\n"
